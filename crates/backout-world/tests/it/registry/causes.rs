//! Each cause of the ladder, with real images in a real registry.

use std::net::SocketAddr;

use backout_core::finding::Level;
use backout_core::judgement::Verdict;
use backout_core::policy::gate::ArtifactDigest;
use backout_core::release::Image as ReleaseImage;
use backout_fixtures::docker_registry::DockerRegistry;
use backout_fixtures::image::{self, Artifact, Image};
use backout_fixtures::push::{delete, push};
use backout_gates::Outcome;
use backout_gates::gates::artifact_digest::{Evidence, Git, RecordedImage, Running, causes, judge};
use backout_world::registry::{Known, digest_evidence};

use super::reader;

const NAME: &str = "shop/checkout";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";
const REVISION: &str = "org.opencontainers.image.revision";

/// A registry with one image that was built and recorded.
struct Shop {
    registry: DockerRegistry,
    built: Artifact,
}

fn app(files: &str, revision: &str) -> Image {
    Image::new("linux/amd64").layer(&[("app", files)]).label(REVISION, revision)
}

impl Shop {
    async fn open(test: &str, built: Artifact) -> Option<Self> {
        let registry = DockerRegistry::start(test).await?;
        push(registry.address(), NAME, &["1.42.0"], &built).await;
        Some(Self { registry, built })
    }

    fn address(&self) -> SocketAddr {
        self.registry.address()
    }

    async fn push(&self, tags: &[&str], image: &Artifact) {
        push(self.address(), NAME, tags, image).await;
    }

    fn text(&self, rest: &str) -> String {
        format!("{}/{NAME}{rest}", self.address())
    }

    fn pinned(&self, image: &Artifact) -> String {
        self.text(&format!("@{}", image.digest()))
    }

    async fn evidence(&self, deployed: &[&str], running: Vec<Running>) -> Evidence {
        let recorded = ReleaseImage {
            name: "checkout".parse().expect("a name"),
            repository: self.text(""),
            tag: "1.42.0".to_owned(),
            digest: self.built.digest(),
            platforms: Vec::new(),
        };
        let recorded = RecordedImage::of(&recorded, Some(COMMIT), None).expect("a repository");
        let known = Known {
            deployed: deployed.iter().map(|text| ((*text).to_owned(), None)).collect(),
            running,
            node_platforms: vec!["linux/amd64".parse().expect("a platform")],
        };
        digest_evidence(&reader(), recorded, known).await
    }
}

/// The first cause and what the gate says.
fn judged(evidence: &Evidence) -> (&'static str, Outcome) {
    let config = ArtifactDigest::default();
    (causes(&config, evidence).remove(0).1.name(), judge(&config, evidence))
}

/// Checks cause, verdict and the code and level of the worst finding.
#[track_caller]
fn expect(evidence: &Evidence, name: &str, verdict: Verdict, finding: Option<(&str, Level)>) {
    let (found, outcome) = judged(evidence);
    let worst = outcome.findings.first().map(|finding| (finding.code.0, finding.level));
    assert_eq!((found, outcome.verdict, worst), (name, verdict, finding), "{}", outcome.message);
    for finding in &outcome.findings {
        assert!(!finding.help.is_empty(), "{}", finding.message);
    }
}

#[tokio::test]
async fn equal_tag_moved_and_unpinned() {
    let built = app("one", COMMIT).build();
    let Some(shop) = Shop::open("tag_moved", built).await else { return };
    let pinned = shop.pinned(&shop.built);
    let tag = shop.text(":1.42.0");
    expect(&shop.evidence(&[], vec![]).await, "MATCH", Verdict::Pass, None);
    expect(&shop.evidence(&[&pinned], vec![]).await, "MATCH", Verdict::Pass, None);
    let unpinned = Some(("BO302", Level::Warning));
    expect(&shop.evidence(&[&tag], vec![]).await, "UNPINNED", Verdict::Pass, unpinned);

    shop.push(&["1.42.0"], &app("two", OTHER).build()).await;
    let moved = Some(("BO301", Level::Error));
    expect(&shop.evidence(&[], vec![]).await, "TAG_MOVED", Verdict::Fail, moved);
    let evidence = shop.evidence(&[&tag], vec![]).await;
    expect(&evidence, "TAG_MOVED", Verdict::Fail, moved);
    let message = judged(&evidence).1.message;
    assert!(message.contains("commit 89abcdef0123"), "{message}");
    let note = Some(("BO301", Level::Note));
    expect(&shop.evidence(&[&pinned], vec![]).await, "MATCH", Verdict::Pass, note);
}

#[tokio::test]
async fn stale_no_op() {
    let built = app("one", COMMIT).build();
    let Some(shop) = Shop::open("stale_no_op", built).await else { return };
    let text = shop.text(":latest");
    shop.push(&["latest"], &shop.built).await;
    let image_id = shop.pinned(&app("old", OTHER).build());
    let running = Running { pod: "Pod shop/checkout-1".to_owned(), text: text.clone(), image_id };
    let evidence = shop.evidence(&[&text], vec![running]).await;
    expect(&evidence, "STALE_NOOP", Verdict::Fail, Some(("BO303", Level::Error)));
}

#[tokio::test]
async fn index_versus_platform_and_attestations_only() {
    let (amd, arm) = (app("one", COMMIT).build(), Image::new("linux/arm64").layer(&[]).build());
    let both = |started: &str| {
        let attestation = image::provenance(&amd, COMMIT, started);
        image::index(&[("linux/amd64", &amd), ("linux/arm64", &arm)], &[&attestation])
    };
    let Some(shop) = Shop::open("attestation_only", both("first")).await else { return };
    let child = shop.pinned(&amd);
    let note = Some(("BO300", Level::Note));
    let evidence = shop.evidence(&[&child], vec![]).await;
    expect(&evidence, "INDEX_VS_PLATFORM", Verdict::Pass, note);
    let wrong = shop.pinned(&arm);
    let evidence = shop.evidence(&[&wrong], vec![]).await;
    expect(&evidence, "WRONG_PLATFORM", Verdict::Fail, Some(("BO309", Level::Error)));
    let again = both("second");
    shop.push(&["again"], &again).await;
    let evidence = shop.evidence(&[&shop.pinned(&again)], vec![]).await;
    expect(&evidence, "ATTESTATION_ONLY", Verdict::Pass, note);
}

#[tokio::test]
async fn conversion_and_compression() {
    let built = app("one", COMMIT).build();
    let Some(shop) = Shop::open("conversion", built).await else { return };
    let warning = Some(("BO300", Level::Warning));
    for (image, name) in
        [(shop.built.to_docker(), "FORMAT_CONVERSION"), (shop.built.recompressed(), "RECOMPRESSED")]
    {
        shop.push(&["other"], &image).await;
        let evidence = shop.evidence(&[&shop.pinned(&image)], vec![]).await;
        expect(&evidence, name, Verdict::Pass, warning);
    }
}

#[tokio::test]
async fn metadata_rebuild() {
    let built = app("one", COMMIT).build();
    let Some(shop) = Shop::open("metadata_rebuild", built).await else { return };
    let later = app("one", COMMIT).created("2026-03-04T05:06:07Z");
    let root = later.clone().runs_with("User", serde_json::json!("0"));
    for (image, verdict, level) in
        [(later, Verdict::Pass, Level::Warning), (root, Verdict::Fail, Level::Error)]
    {
        let image = image.build();
        shop.push(&["later"], &image).await;
        let evidence = shop.evidence(&[&shop.pinned(&image)], vec![]).await;
        expect(&evidence, "METADATA_REBUILD", verdict, Some(("BO304", level)));
    }
}

#[tokio::test]
async fn rebuild_wrong_commit_and_untrusted_label() {
    let built = app("one", COMMIT).build();
    let Some(shop) = Shop::open("rebuild", built).await else { return };
    let attested = |files: &str, label: &str, commit: &str| {
        let image = app(files, label).build();
        let provenance = image::provenance(&image, commit, "first");
        image::index(&[("linux/amd64", &image)], &[&provenance])
    };
    let cases = [
        (app("two", COMMIT).build(), "NON_REPRODUCIBLE_REBUILD", "BO305"),
        (attested("three", COMMIT, COMMIT), "NON_REPRODUCIBLE_REBUILD", "BO305"),
        (app("four", OTHER).build(), "WRONG_COMMIT", "BO306"),
        (attested("five", OTHER, OTHER), "WRONG_COMMIT", "BO306"),
        (attested("six", COMMIT, OTHER), "LABEL_UNTRUSTED", "BO307"),
        (app("seven", "dev-latest").build(), "LABEL_UNTRUSTED", "BO307"),
    ];
    for (image, name, code) in &cases {
        shop.push(&["other"], image).await;
        let evidence = shop.evidence(&[&shop.pinned(image)], vec![]).await;
        expect(&evidence, name, Verdict::Fail, Some((*code, Level::Error)));
    }
    let accepting = ArtifactDigest { accept_rebuilds: true, ..ArtifactDigest::default() };
    for (case, verdict) in [(0, Verdict::Fail), (1, Verdict::Pass)] {
        let evidence = shop.evidence(&[&shop.pinned(&cases[case].0)], vec![]).await;
        assert_eq!(judge(&accepting, &evidence).verdict, verdict, "a label is no provenance");
    }
    let mut evidence = shop.evidence(&[&shop.pinned(&cases[2].0)], vec![]).await;
    assert!(evidence.revisions().contains(OTHER));
    evidence.git.insert(OTHER.to_owned(), Git::Unknown);
    expect(&evidence, "LABEL_UNTRUSTED", Verdict::Fail, Some(("BO307", Level::Error)));
}

#[tokio::test]
async fn mirror() {
    let built = app("one", COMMIT).build();
    let Some(shop) = Shop::open("mirror", built).await else { return };
    push(shop.address(), "mirror/checkout", &["1.42.0"], &shop.built).await;
    let mirror = format!("{}/mirror/checkout", shop.address());
    let text = format!("{mirror}@{}", shop.built.digest());
    let evidence = shop.evidence(&[&text], vec![]).await;
    expect(&evidence, "MIRROR", Verdict::Fail, Some(("BO308", Level::Error)));
    let listing = ArtifactDigest { mirrors: vec![mirror], ..ArtifactDigest::default() };
    assert_eq!(judge(&listing, &evidence), Outcome::pass(judge(&listing, &evidence).message));
}

#[tokio::test]
async fn never_pushed_and_garbage_collected() {
    let built = app("one", COMMIT).build();
    let Some(shop) = Shop::open("garbage_collected", built).await else { return };
    shop.push(&["1.42.0"], &app("two", OTHER).build()).await;
    delete(shop.address(), NAME, &shop.built).await;
    let missing = Some(("BO309", Level::Error));
    let name = "NEVER_PUSHED or GARBAGE_COLLECTED";
    let pinned = shop.pinned(&shop.built);
    let evidence = shop.evidence(&[&pinned], vec![]).await;
    expect(&evidence, name, Verdict::Fail, missing);
    let ran = Running {
        pod: "Pod shop/checkout-1".to_owned(),
        text: pinned.clone(),
        image_id: pinned.clone(),
    };
    let evidence = shop.evidence(&[&pinned], vec![ran]).await;
    expect(&evidence, "GARBAGE_COLLECTED", Verdict::Fail, missing);
}

#[tokio::test]
async fn a_registry_that_is_gone_is_no_missing_image() {
    let built = app("one", COMMIT).build();
    let Some(shop) = Shop::open("registry_gone", built).await else { return };
    let pinned = shop.pinned(&shop.built);
    let address = shop.address();
    let Shop { registry, built } = shop;
    drop(registry);
    // The process ends soon after it was told to.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let recorded = ReleaseImage {
        name: "checkout".parse().expect("a name"),
        repository: format!("{address}/{NAME}"),
        tag: "1.42.0".to_owned(),
        digest: built.digest(),
        platforms: Vec::new(),
    };
    let recorded = RecordedImage::of(&recorded, Some(COMMIT), None).expect("a repository");
    let known = Known { deployed: vec![(pinned, None)], ..Known::default() };
    let evidence = digest_evidence(&reader(), recorded, known).await;
    expect(&evidence, "UNREADABLE", Verdict::NotEvaluated, None);
    assert!(judged(&evidence).1.message.contains("cannot be reached"));
}
