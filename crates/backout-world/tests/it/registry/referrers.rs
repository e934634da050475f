//! What refers to an image, by the API and without it.

use backout_fixtures::docker_registry::DockerRegistry;
use backout_fixtures::image::{self, Artifact, Image, OCI_EMPTY};
use backout_fixtures::memory_registry::MemoryRegistry;
use backout_fixtures::push::push;
use backout_gates::oci::{Lookup, Wanted};
use backout_world::registry::{Referrers, ReferrersPlace};

use super::{reader, repository};

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

fn image() -> Artifact {
    Image::new("linux/amd64").layer(&[("app", "one")]).build()
}

fn signature(of: &Artifact, content: &str) -> Artifact {
    image::referrer(of, BUNDLE, BUNDLE, content.as_bytes(), &[("a", "b")])
}

fn found(referrers: Lookup<Referrers>) -> Referrers {
    match referrers {
        Lookup::Found(referrers) => referrers,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_api_is_read_page_by_page() {
    let registry = MemoryRegistry::start().await;
    let image = image();
    push(registry.address(), "a", &["1"], &image).await;
    for content in ["one", "two", "three", "four", "five"] {
        push(registry.address(), "a", &[], &signature(&image, content)).await;
    }
    let repository = repository(registry.address(), "a");
    let read = found(reader().referrers(&repository, &image.digest()).await);
    assert_eq!((read.descriptors.len(), read.place), (5, ReferrersPlace::Api));
    let first = Wanted::Digest(read.descriptors[0].digest.clone());
    let Lookup::Found(first) = reader().manifest(&repository, &first).await else {
        panic!("it is there")
    };
    let layer = &first.manifest.image().unwrap().layers[0];
    assert_eq!(layer.media_type, BUNDLE);
    let blob = reader().blob(&repository, &layer.digest, 100).await;
    assert!(matches!(blob, Lookup::Found(_)), "{blob:?}");
}

#[tokio::test]
async fn an_api_that_knows_of_none_does_not_hide_the_fallback_tag() {
    let registry = MemoryRegistry::start().await;
    let image = image();
    push(registry.address(), "a", &["1"], &image).await;
    let repository = repository(registry.address(), "a");
    let none = found(reader().referrers(&repository, &image.digest()).await);
    assert_eq!((none.descriptors.len(), none.place), (0, ReferrersPlace::FallbackTag));
    let other = Image::new("linux/amd64").build();
    let index = image::fallback_index(&[&signature(&other, "x")], BUNDLE);
    push(registry.address(), "a", &[&image::fallback_tag(&image.digest())], &index).await;
    let read = found(reader().referrers(&repository, &image.digest()).await);
    assert_eq!((read.descriptors.len(), read.place), (1, ReferrersPlace::FallbackTag));
}

#[tokio::test]
async fn a_registry_without_the_api_has_the_fallback_tag() {
    let Some(registry) = DockerRegistry::start("fallback_tag").await else { return };
    let image = image();
    push(registry.address(), "a", &["1"], &image).await;
    let repository = repository(registry.address(), "a");
    let none = found(reader().referrers(&repository, &image.digest()).await);
    assert_eq!((none.descriptors.len(), none.place), (0, ReferrersPlace::FallbackTag));
    // A wrong artifact type in the index must not hide it.
    let index = image::fallback_index(&[&signature(&image, "one")], OCI_EMPTY);
    push(registry.address(), "a", &[&image::fallback_tag(&image.digest())], &index).await;
    let read = found(reader().referrers(&repository, &image.digest()).await);
    assert_eq!((read.descriptors.len(), read.place), (1, ReferrersPlace::FallbackTag));
    assert_eq!(read.descriptors[0].artifact_type.as_deref(), Some(OCI_EMPTY));
    let Lookup::Found(mut tags) = reader().tags(&repository).await else { panic!("it has tags") };
    tags.sort();
    assert_eq!(tags, ["1".to_owned(), image::fallback_tag(&image.digest())]);
}

#[tokio::test]
async fn what_is_not_there_is_absent() {
    let Some(registry) = DockerRegistry::start("absent").await else { return };
    push(registry.address(), "a", &["1"], &image()).await;
    let wanted = Wanted::tag("2").unwrap();
    for name in ["a", "b"] {
        let read = reader().manifest(&repository(registry.address(), name), &wanted).await;
        assert_eq!(read, Lookup::Absent, "{name}");
    }
    let digest = Image::new("linux/arm64").build().digest();
    let blob = reader().blob(&repository(registry.address(), "a"), &digest, 10).await;
    assert_eq!(blob, Lookup::Absent);
    assert_eq!(reader().tags(&repository(registry.address(), "b")).await, Lookup::Absent);
}
