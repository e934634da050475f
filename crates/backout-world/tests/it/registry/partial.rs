//! Images of which a part is missing from the registry, so that no node can pull them.

use backout_core::judgement::Verdict;
use backout_core::policy::gate::ArtifactDigest;
use backout_core::release::Image as ReleaseImage;
use backout_fixtures::image::{self, Artifact, Image};
use backout_fixtures::memory_registry::MemoryRegistry;
use backout_fixtures::push::push;
use backout_gates::gates::artifact_digest::{RecordedImage, judge};
use backout_gates::oci::Lookup;
use backout_world::registry::{Known, digest_evidence};

use super::reader;

/// Why nothing is known of this image after it was pushed, and recorded as it was pushed.
async fn not_evaluated(pushed: &Artifact, deployed: Option<&str>) -> String {
    let registry = MemoryRegistry::start().await;
    push(registry.address(), "a", &["1"], pushed).await;
    let recorded = ReleaseImage {
        name: "a".parse().expect("a name"),
        repository: format!("{}/a", registry.address()),
        tag: "1".to_owned(),
        digest: pushed.digest(),
        platforms: Vec::new(),
    };
    let recorded = RecordedImage::of(&recorded, None, None).expect("a repository");
    let known = Known {
        deployed: deployed.iter().map(|text| ((*text).to_owned(), None)).collect(),
        running: Vec::new(),
        node_platforms: vec!["linux/amd64".parse().expect("a platform")],
    };
    let evidence = digest_evidence(&reader(), recorded, known).await;
    assert!(matches!(evidence.built, Lookup::Found(_)), "the manifest itself is there");
    let outcome = judge(&ArtifactDigest::default(), &evidence);
    assert_eq!(outcome.verdict, Verdict::NotEvaluated, "{}", outcome.message);
    outcome.message
}

fn app() -> Artifact {
    Image::new("linux/amd64").layer(&[("app", "one")]).build()
}

#[tokio::test]
async fn an_index_whose_image_is_missing() {
    let whole = image::index(&[("linux/amd64", &app())], &[]);
    let told = not_evaluated(&Artifact { children: Vec::new(), ..whole }, None).await;
    assert!(told.contains("for linux/amd64, and") && told.contains("does not have it"), "{told}");
}

#[tokio::test]
async fn an_image_whose_configuration_is_missing() {
    let mut image = app();
    image.blobs.clear();
    let told = not_evaluated(&image, None).await;
    assert!(told.contains("names the configuration"), "{told}");
}

#[tokio::test]
async fn an_image_whose_configuration_is_none() {
    let referrer = image::referrer(&app(), "a/b", "a/b", b"x", &[]);
    let told = not_evaluated(&referrer, None).await;
    assert!(told.contains("which is no image"), "{told}");
}

#[tokio::test]
async fn a_text_that_is_no_reference() {
    let told = not_evaluated(&app(), Some("registry.example/A:1:2")).await;
    assert!(told.contains("is not an image reference"), "{told}");
}
