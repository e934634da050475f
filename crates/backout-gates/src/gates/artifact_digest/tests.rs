//! Each row of the ladder, from evidence that is made here.

use backout_core::document::Location;
use backout_core::finding::{Finding, Subject};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::oci::{ImageConfig, Manifest, Platform, Provenance, Reference, media_type};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";
const REPOSITORY: &str = "registry.example/shop/checkout";

/// One image, by what the ladder looks at.
#[derive(Clone)]
struct Image {
    layers: &'static str,
    compression: &'static str,
    config: Value,
    media_type: &'static str,
    annotations: Value,
    attested: Option<&'static str>,
}

impl Image {
    fn new(layers: &'static str, revision: Option<&str>) -> Self {
        let labels =
            revision.map_or(json!({}), |it| json!({"org.opencontainers.image.revision": it}));
        Self {
            layers,
            compression: "gzip",
            config: json!({"os": "linux", "architecture": "amd64", "created": "2026-01-02T03:04:05Z",
                "config": {"Env": ["A=1"], "Labels": labels}}),
            media_type: media_type::OCI_MANIFEST,
            annotations: json!({}),
            attested: None,
        }
    }

    fn of_platform(&self) -> PlatformArtifact {
        let mut config = self.config.clone();
        let diff_id = Digest::of_bytes(self.layers.as_bytes());
        config["rootfs"] = json!({"type": "layers", "diff_ids": [diff_id]});
        let config = config.to_string();
        let layer = format!("{}{}", self.layers, self.compression);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": self.media_type,
            "config": {"mediaType": media_type::OCI_CONFIG, "size": config.len(),
                "digest": Digest::of_bytes(config.as_bytes())},
            "layers": [{"mediaType": media_type::OCI_LAYER_GZIP, "size": 1,
                "digest": Digest::of_bytes(layer.as_bytes())}],
            "annotations": self.annotations,
        });
        let bytes = manifest.to_string();
        let Manifest::Image(manifest) = Manifest::read(bytes.as_bytes(), None).unwrap() else {
            panic!("it is one image")
        };
        let subjects = vec![Digest::of_bytes(bytes.as_bytes())];
        PlatformArtifact {
            digest: Digest::of_bytes(bytes.as_bytes()),
            media_type: self.media_type.to_owned(),
            manifest: *manifest,
            config: ImageConfig::read(config.as_bytes(), media_type::OCI_CONFIG).into(),
            provenance: self.attested.map_or(Lookup::Absent, |revision| {
                Lookup::Found(Provenance { revision: Some(revision.to_owned()), subjects })
            }),
        }
    }

    fn artifact(&self) -> Artifact {
        let image = self.of_platform();
        Artifact {
            repository: REPOSITORY.parse().unwrap(),
            digest: image.digest.clone(),
            media_type: self.media_type.to_owned(),
            manifest: Manifest::Image(Box::new(image.manifest.clone())),
            images: vec![(node(), Lookup::Found(image))],
        }
    }
}

fn node() -> Platform {
    "linux/amd64".parse().unwrap()
}

/// An index over images of platforms, with an attestation of this content.
fn index(images: &[(&str, &Image)], attestation: &str) -> Artifact {
    let descriptor = |platform: &Platform, digest: &Digest| {
        json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 1,
            "platform": {"os": platform.os, "architecture": platform.architecture}})
    };
    let platforms = images
        .iter()
        .map(|(platform, image)| (platform.parse::<Platform>().unwrap(), image.of_platform()));
    let platforms: Vec<_> = platforms.collect();
    let mut listed: Vec<Value> =
        platforms.iter().map(|(platform, image)| descriptor(platform, &image.digest)).collect();
    let unknown = Platform::new("unknown", "unknown", None);
    let mut attested = descriptor(&unknown, &Digest::of_bytes(attestation.as_bytes()));
    attested["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    listed.push(attested);
    let index =
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": listed});
    let bytes = index.to_string();
    let of_node = platforms.into_iter().find(|(platform, _)| *platform == node());
    Artifact {
        repository: REPOSITORY.parse().unwrap(),
        digest: Digest::of_bytes(bytes.as_bytes()),
        media_type: media_type::OCI_INDEX.to_owned(),
        manifest: Manifest::read(bytes.as_bytes(), None).unwrap(),
        images: vec![(node(), of_node.map_or(Lookup::Absent, |(_, image)| Lookup::Found(image)))],
    }
}

/// What was built is there and tagged; no manifests are known.
fn evidence(built: &Artifact) -> Evidence {
    Evidence {
        recorded: RecordedImage {
            container: "checkout".to_owned(),
            repository: REPOSITORY.parse().unwrap(),
            tag: "1.42.0".to_owned(),
            digest: built.digest.clone(),
            platforms: Vec::new(),
            revision: Some(COMMIT.to_owned()),
            place: None,
        },
        built: Lookup::Found(built.clone()),
        tagged: Lookup::Found(built.clone()),
        deployed: Vec::new(),
        running: Vec::new(),
        node_platforms: vec![node()],
        git: std::collections::BTreeMap::new(),
    }
}

fn deployed(text: &str, artifact: Lookup<Artifact>) -> Deployed {
    let reference: Reference = text.parse().unwrap();
    Deployed { text: text.to_owned(), reference, place: None, artifact }
}

/// What was built, and another image that is deployed by its digest.
fn pinned(built: &Artifact, other: &Artifact) -> Evidence {
    let text = format!("{REPOSITORY}@{}", other.digest);
    let deployed = vec![deployed(&text, Lookup::Found(other.clone()))];
    Evidence { deployed, ..evidence(built) }
}

fn cause(evidence: &Evidence) -> Cause {
    causes(&ArtifactDigest::default(), evidence).remove(0).1
}

fn judged(evidence: &Evidence) -> Outcome {
    let outcome = judge(&ArtifactDigest::default(), evidence);
    for finding in &outcome.findings {
        let known = ABOUT.findings.iter().any(|explained| explained.code == finding.code.0);
        assert!(known, "{} is explained", finding.code);
        assert!(!finding.message.is_empty() && !finding.help.is_empty(), "{finding:?}");
    }
    outcome
}

/// Verdict, codes and levels.
fn told(evidence: &Evidence) -> (Verdict, Vec<(&'static str, Level)>) {
    let outcome = judged(evidence);
    let told = outcome.findings.iter().map(|finding| (finding.code.0, finding.level)).collect();
    (outcome.verdict, told)
}

fn app() -> Image {
    Image::new("one", Some(COMMIT))
}

#[test]
fn row_0_what_was_built_is_deployed() {
    let built = app().artifact();
    assert_eq!(cause(&evidence(&built)), Cause::Match);
    let evidence = pinned(&built, &built);
    assert_eq!(cause(&evidence), Cause::Match);
    assert_eq!(told(&evidence), (Verdict::Pass, vec![]));
    assert!(judged(&evidence).message.contains("built from commit 0123456789ab"));
}

#[test]
fn row_1_a_tag_that_moved_fails_and_says_what_it_points_to() {
    let (built, other) = (app().artifact(), Image::new("two", Some(OTHER)).artifact());
    let mut evidence = evidence(&built);
    evidence.tagged = Lookup::Found(other.clone());
    evidence.git.insert(OTHER.to_owned(), Git::Newer);
    assert_eq!(told(&evidence), (Verdict::Fail, vec![("BO301", Level::Error)]));
    let message = judged(&evidence).message;
    assert!(message.contains("an image of commit 89abcdef0123, which is newer"), "{message}");
    let text = format!("{REPOSITORY}:1.42.0");
    evidence.deployed = vec![deployed(&text, Lookup::Found(other.clone()))];
    assert!(matches!(cause(&evidence), Cause::TagMoved { .. }));
    assert_eq!(told(&evidence).0, Verdict::Fail);
    let by_digest = format!("{text}@{}", built.digest);
    evidence.deployed = vec![deployed(&by_digest, Lookup::Found(built))];
    assert_eq!(told(&evidence), (Verdict::Pass, vec![("BO301", Level::Note)]));
}

#[test]
fn row_1_a_tag_that_moved_to_the_same_image_is_a_warning() {
    let image = app();
    let built = index(&[("linux/amd64", &image)], "first");
    let mut evidence = evidence(&built);
    evidence.tagged = Lookup::Found(index(&[("linux/amd64", &image)], "second"));
    assert_eq!(told(&evidence), (Verdict::Pass, vec![("BO301", Level::Warning)]));
}

#[test]
fn row_1_a_tag_alone_is_not_pinned() {
    let built = app().artifact();
    let mut evidence = evidence(&built);
    let text = format!("{REPOSITORY}:1.42.0");
    evidence.deployed = vec![deployed(&text, Lookup::Found(built.clone()))];
    assert_eq!(cause(&evidence), Cause::Unpinned);
    assert_eq!(told(&evidence), (Verdict::Pass, vec![("BO302", Level::Warning)]));
    let help = &judged(&evidence).findings[0].help;
    assert!(help.contains(built.digest.as_str()), "{help}");
}

#[test]
fn row_2_pods_with_the_same_text_and_another_image_mean_that_nothing_happens() {
    let (built, old) = (app().artifact(), Image::new("old", Some(OTHER)).artifact());
    let mut evidence = evidence(&built);
    let text = format!("{REPOSITORY}:latest");
    evidence.deployed = vec![deployed(&text, Lookup::Found(built.clone()))];
    let running = |text: &str, id: &str| Running {
        pod: "Pod shop/checkout-1".to_owned(),
        text: text.to_owned(),
        image_id: id.to_owned(),
    };
    evidence.running = vec![running(&text, &format!("{REPOSITORY}@{}", old.digest))];
    assert_eq!(told(&evidence), (Verdict::Fail, vec![("BO303", Level::Error)]));
    // Runtimes tell the digest of the manifest, of the index or of the configuration.
    let Lookup::Found(image) = &built.images[0].1 else { panic!("it is there") };
    for id in [&built.digest, &image.manifest.config.digest] {
        evidence.running = vec![running(&text, &format!("docker-pullable://a@{id}"))];
        assert_eq!(cause(&evidence), Cause::Unpinned, "{id}");
    }
    let other_text = format!("{REPOSITORY}:1.41.0");
    evidence.running = vec![running(&other_text, old.digest.as_str())];
    assert_eq!(cause(&evidence), Cause::Unpinned, "the text changes, so that pods do");
    evidence.running = vec![running(&text, "")];
    assert_eq!(told(&evidence).0, Verdict::NotEvaluated);
    // A pod that runs what was built is not stale, wherever the tag went.
    evidence.running = vec![running(&text, built.digest.as_str())];
    evidence.deployed = vec![deployed(&text, Lookup::Found(old))];
    assert_eq!(cause(&evidence).name(), "TAG_MOVED");
}

#[test]
fn row_3_an_index_and_what_it_lists_are_the_same() {
    let image = app();
    let (one, both) = (image.artifact(), index(&[("linux/amd64", &image)], "a"));
    for (built, other, is_index) in [(&both, &one, true), (&one, &both, false)] {
        let evidence = pinned(built, other);
        let platform = node();
        assert_eq!(
            cause(&evidence),
            Cause::IndexVsPlatform { recorded_is_index: is_index, platform }
        );
        assert_eq!(told(&evidence), (Verdict::Pass, vec![("BO300", Level::Note)]));
    }
    let mut evidence = pinned(&both, &one);
    evidence.built = Lookup::Failed("not asked".to_owned());
    evidence.recorded.platforms = vec![(node(), one.digest)];
    assert_eq!(cause(&evidence).row(), 3, "the record knows it by itself");
}

#[test]
fn row_4_attestations_do_not_matter() {
    let image = app();
    let arm = Image::new("arm", Some(COMMIT));
    let both = |attestation| index(&[("linux/amd64", &image), ("linux/arm64", &arm)], attestation);
    let evidence = pinned(&both("first"), &both("second"));
    assert_eq!(cause(&evidence), Cause::AttestationOnly);
    assert_eq!(told(&evidence), (Verdict::Pass, vec![("BO300", Level::Note)]));
    let fewer = pinned(&both("first"), &index(&[("linux/amd64", &image)], "first"));
    assert_eq!(cause(&fewer), Cause::OtherPlatforms);
}

#[test]
fn rows_5_and_6_another_form_of_the_same_image() {
    let built = app();
    let docker = Image { media_type: media_type::DOCKER_MANIFEST, ..app() };
    let again = Image { compression: "zstd", ..app() };
    let annotated = Image { annotations: json!({"a": "b"}), ..app() };
    let cause_of = |other: &Image| cause(&pinned(&built.artifact(), &other.artifact()));
    assert!(matches!(cause_of(&docker), Cause::FormatConversion { .. }));
    assert_eq!(cause_of(&again), Cause::Recompressed);
    assert_eq!(cause_of(&annotated), Cause::AnnotationsOnly);
    // `skopeo copy` from a docker-archive to an OCI registry writes the configuration anew.
    let mut rewritten = app();
    rewritten.config["config"]["Cmd"] = Value::Null;
    rewritten.config["config"]["WorkingDir"] = json!("");
    for other in [docker, again, rewritten] {
        let evidence = pinned(&built.artifact(), &other.artifact());
        assert_eq!(told(&evidence), (Verdict::Pass, vec![("BO300", Level::Warning)]));
        assert!(judged(&evidence).findings[0].help.contains("signature"));
    }
}

#[test]
fn row_7_another_configuration_over_the_same_files() {
    let built = app().artifact();
    let mut later = app();
    later.config["created"] = json!("2026-02-02T03:04:05Z");
    later.config["history"] = json!([{"created_by": "x"}]);
    let evidence = pinned(&built, &later.artifact());
    assert_eq!(told(&evidence), (Verdict::Pass, vec![("BO304", Level::Warning)]));
    let mut other = later;
    other.config["config"]["Env"] = json!(["A=2"]);
    other.config["config"]["User"] = json!("0");
    let evidence = pinned(&built, &other.artifact());
    let Cause::MetadataRebuild { behaviour, .. } = cause(&evidence) else { panic!("row 7") };
    assert_eq!(behaviour, ["config.Env", "config.User"]);
    assert_eq!(told(&evidence), (Verdict::Fail, vec![("BO304", Level::Error)]));
}

#[test]
fn row_8_a_second_build_of_the_same_commit() {
    let built = app().artifact();
    let mut rebuilt = Image::new("two", Some(&COMMIT[..12]));
    let evidence = pinned(&built, &rebuilt.artifact());
    assert_eq!(told(&evidence), (Verdict::Fail, vec![("BO305", Level::Error)]));
    let accepting = ArtifactDigest { accept_rebuilds: true, ..ArtifactDigest::default() };
    assert_eq!(judge(&accepting, &evidence).verdict, Verdict::Fail, "a label is no provenance");
    rebuilt.attested = Some(COMMIT);
    let evidence = pinned(&built, &rebuilt.artifact());
    assert_eq!(judge(&accepting, &evidence).verdict, Verdict::Pass);
    assert_eq!(told(&evidence).0, Verdict::Fail);
}

#[test]
fn row_9_another_commit() {
    let built = app().artifact();
    let mut evidence = pinned(&built, &Image::new("two", Some(OTHER)).artifact());
    assert_eq!(evidence.revisions().len(), 2, "of what is deployed, and of what the tag has");
    for (git, words) in [
        (Git::Older, "which is older"),
        (Git::Newer, "which is newer"),
        (Git::Unrelated, "on another branch"),
        (Git::Failed("no repository".to_owned()), "no repository"),
    ] {
        evidence.git.insert(OTHER.to_owned(), git);
        assert_eq!(told(&evidence), (Verdict::Fail, vec![("BO306", Level::Error)]));
        let message = judged(&evidence).message;
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn row_10_what_it_says_about_its_commit_cannot_be_believed() {
    let built = app().artifact();
    let mut contradicted = Image::new("two", Some(COMMIT));
    contradicted.attested = Some(OTHER);
    let mut two_labels = Image::new("two", Some(COMMIT));
    two_labels.annotations = json!({"org.opencontainers.image.revision": OTHER});
    for (image, words) in [
        (contradicted, "its provenance says"),
        (two_labels, "its annotation says"),
        (Image::new("two", Some("dev-latest")), "no commit"),
        (Image::new("two", None), "names no commit"),
    ] {
        let evidence = pinned(&built, &image.artifact());
        assert_eq!(told(&evidence), (Verdict::Fail, vec![("BO307", Level::Error)]));
        let message = judged(&evidence).message;
        assert!(message.contains(words), "{message}");
    }
    let mut evidence = pinned(&built, &Image::new("two", Some(OTHER)).artifact());
    for git in [Git::Unknown, Git::Ambiguous] {
        evidence.git.insert(OTHER.to_owned(), git);
        assert_eq!(cause(&evidence).row(), 10);
    }
}

#[test]
fn row_11_another_repository_must_be_listed() {
    let built = app().artifact();
    let text = format!("mirror.example/shop/checkout@{}", built.digest);
    let mut evidence = evidence(&built);
    evidence.deployed = vec![deployed(&text, Lookup::Found(built))];
    assert_eq!(told(&evidence), (Verdict::Fail, vec![("BO308", Level::Error)]));
    let mirrors = vec!["mirror.example/shop/checkout".to_owned()];
    let listing = ArtifactDigest { mirrors, ..ArtifactDigest::default() };
    let outcome = judge(&listing, &evidence);
    assert_eq!((outcome.verdict, outcome.findings.len()), (Verdict::Pass, 0));
    // An equivalent image of a stranger's repository is still a stranger's.
    let docker = Image { media_type: media_type::DOCKER_MANIFEST, ..app() }.artifact();
    let text = format!("mirror.example/shop/checkout@{}", docker.digest);
    evidence.deployed = vec![deployed(&text, Lookup::Found(docker))];
    let expected = vec![("BO308", Level::Error), ("BO300", Level::Warning)];
    assert_eq!(told(&evidence), (Verdict::Fail, expected));
    assert_eq!(judge(&listing, &evidence).verdict, Verdict::Pass);
}

#[test]
fn row_12_what_the_registry_does_not_have() {
    let built = app().artifact();
    let mut evidence = evidence(&built);
    evidence.built = Lookup::Absent;
    evidence.tagged = Lookup::Absent;
    assert_eq!(told(&evidence), (Verdict::Fail, vec![("BO309", Level::Error)]));
    assert!(judged(&evidence).message.contains("never pushed"));
    evidence.tagged = Lookup::Found(Image::new("two", None).artifact());
    assert!(judged(&evidence).message.contains("overwritten"));
    let image_id = format!("{REPOSITORY}@{}", built.digest);
    let pod = "Pod shop/checkout-1".to_owned();
    evidence.running = vec![Running { pod, text: "x".to_owned(), image_id }];
    assert!(judged(&evidence).message.contains("it ran before"));
}

#[test]
fn an_image_for_another_platform_cannot_run() {
    let image = app();
    let built = index(&[("linux/arm64", &image)], "a");
    assert_eq!(told(&evidence(&built)), (Verdict::Fail, vec![("BO309", Level::Error)]));
    assert!(judged(&evidence(&built)).message.contains("linux/amd64"));
}

/// The same on nodes of two platforms, with what each gets of an index.
fn on_two_platforms(evidence: Evidence, arm: &Image) -> Evidence {
    let node: Platform = "linux/arm64".parse().unwrap();
    let given = |artifact: Lookup<Artifact>| {
        artifact.map(|mut artifact| {
            let listed = artifact.manifest.index().and_then(|index| index.image_for(&node));
            let image = match listed {
                Some(_) => Lookup::Found(arm.of_platform()),
                None => Lookup::Absent,
            };
            artifact.images.push((node.clone(), image));
            artifact
        })
    };
    let deployed = evidence.deployed.into_iter();
    let deployed = deployed.map(|it| Deployed { artifact: given(it.artifact), ..it }).collect();
    Evidence {
        built: given(evidence.built),
        tagged: given(evidence.tagged),
        deployed,
        node_platforms: vec![self::node(), node.clone()],
        ..evidence
    }
}

#[test]
fn an_image_for_some_of_the_nodes_is_compared_all_the_same() {
    let (image, arm, wrong) = (app(), Image::new("arm", None), Image::new("two", Some(OTHER)));
    let both = index(&[("linux/amd64", &image), ("linux/arm64", &arm)], "a");
    let child = on_two_platforms(pinned(&both, &image.artifact()), &arm);
    let expected = vec![("BO309", Level::Warning), ("BO300", Level::Note)];
    assert_eq!(told(&child), (Verdict::Pass, expected));
    let other = on_two_platforms(pinned(&both, &wrong.artifact()), &arm);
    let expected = vec![("BO306", Level::Error), ("BO309", Level::Warning)];
    assert_eq!(told(&other), (Verdict::Fail, expected), "a warning hides no wrong commit");
    // What an index has for nodes that nothing was recorded for is not known to be right.
    let more = on_two_platforms(pinned(&image.artifact(), &both), &arm);
    let outcome = judged(&more);
    assert_eq!(outcome.verdict, Verdict::NotEvaluated, "{}", outcome.message);
    assert!(outcome.message.contains("nothing was recorded"), "{}", outcome.message);
}

#[test]
fn findings_point_to_the_manifest_or_the_record() {
    let built = app().artifact();
    let mut evidence = evidence(&built);
    evidence.built = Lookup::Absent;
    let subject = |evidence: &Evidence| judged(evidence).findings.remove(0).subject;
    assert_eq!(subject(&evidence), Subject::Object(format!("image {REPOSITORY}:1.42.0")));
    let place = |file: &str| {
        let location = Some(Location { line: 7, column: 13, length: 1 });
        Some(Place { file: file.to_owned(), location })
    };
    evidence.recorded.place = place("releases/1.42.0.yaml");
    assert_eq!(subject(&evidence), Subject::File(place("releases/1.42.0.yaml").unwrap()));
    let text = format!("{REPOSITORY}:1.42.0");
    evidence.deployed = vec![deployed(&text, Lookup::Absent)];
    evidence.deployed[0].place = place("rendered.yaml");
    assert_eq!(subject(&evidence), Subject::File(place("rendered.yaml").unwrap()));
}

#[test]
fn the_words_of_every_row() {
    let built = app().artifact();
    let shown = |finding: &Finding| {
        format!(
            "{} {}: {}\n  label: {}\n  help: {}",
            finding.level, finding.code, finding.message, finding.label, finding.help
        )
    };
    let mut moved = evidence(&built);
    moved.tagged = Lookup::Found(Image::new("two", Some(OTHER)).artifact());
    let mut later = app();
    later.config["created"] = json!("2026-02-02T03:04:05Z");
    let mut other = app();
    other.config["config"]["Env"] = json!(["A=2"]);
    let mut gone = evidence(&built);
    gone.built = Lookup::Absent;
    gone.tagged = Lookup::Absent;
    let mut unpinned = evidence(&built);
    let text = format!("{REPOSITORY}:1.42.0");
    unpinned.deployed = vec![deployed(&text, Lookup::Found(built.clone()))];
    let mut mirror = evidence(&built);
    let text = format!("mirror.example/shop/checkout@{}", built.digest);
    mirror.deployed = vec![deployed(&text, Lookup::Found(built.clone()))];
    let docker = Image { media_type: media_type::DOCKER_MANIFEST, ..app() };
    let cases = [
        moved,
        unpinned,
        pinned(&built, &index(&[("linux/amd64", &app())], "a")),
        pinned(&index(&[("linux/amd64", &app())], "a"), &index(&[("linux/amd64", &app())], "b")),
        pinned(&built, &docker.artifact()),
        pinned(&built, &Image { compression: "zstd", ..app() }.artifact()),
        pinned(&built, &later.artifact()),
        pinned(&built, &other.artifact()),
        pinned(&built, &Image::new("two", Some(COMMIT)).artifact()),
        pinned(&built, &Image::new("two", Some(OTHER)).artifact()),
        pinned(&built, &Image::new("two", None).artifact()),
        mirror,
        gone,
    ];
    let told: Vec<String> = cases
        .iter()
        .flat_map(|evidence| judged(evidence).findings.iter().map(shown).collect::<Vec<_>>())
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
}

fn lookups() -> impl Strategy<Value = Lookup<Artifact>> {
    let image = |layers, revision: Option<&str>| Image::new(layers, revision).artifact();
    prop_oneof![
        Just(Lookup::Found(image("one", Some(COMMIT)))),
        Just(Lookup::Found(image("two", Some(COMMIT)))),
        Just(Lookup::Found(image("two", Some(OTHER)))),
        Just(Lookup::Found(index(&[("linux/amd64", &app())], "a"))),
        Just(Lookup::Found(index(&[("linux/arm64", &app())], "a"))),
        Just(Lookup::Absent),
        Just(Lookup::Failed("the registry is silent".to_owned())),
    ]
}

proptest! {
    #[test]
    fn what_could_not_be_read_never_passes(tagged in lookups(), actual in lookups(), by_tag: bool) {
        let built = app().artifact();
        let mut evidence = evidence(&built);
        evidence.built = Lookup::Failed("the registry is silent".to_owned());
        evidence.tagged = tagged;
        prop_assert_ne!(judged(&evidence).verdict, Verdict::Pass);
        let text = match (&actual, by_tag) {
            (_, true) => format!("{REPOSITORY}:1.42.0"),
            (Lookup::Found(actual), false) => format!("{REPOSITORY}@{}", actual.digest),
            _ => format!("{REPOSITORY}@{}", built.digest),
        };
        let same_by_tag = by_tag && matches!(&actual, Lookup::Found(it) if it.digest == built.digest);
        evidence.deployed = vec![deployed(&text, actual)];
        // By tag, the registry itself says that what the tag has is what was built.
        if !same_by_tag {
            prop_assert_ne!(judged(&evidence).verdict, Verdict::Pass);
        }
    }

    #[test]
    fn equal_digests_of_one_repository_always_match(tagged in lookups(), accept: bool) {
        let built = app().artifact();
        let mut evidence = pinned(&built, &built);
        evidence.tagged = tagged;
        let config = ArtifactDigest { accept_rebuilds: accept, ..ArtifactDigest::default() };
        prop_assert_eq!(&causes(&config, &evidence)[0].1, &Cause::Match);
        prop_assert_eq!(judge(&config, &evidence).verdict, Verdict::Pass);
    }

    #[test]
    fn another_content_never_passes_without_a_word(layers in "[a-z]{1,4}", revision in "[0-9a-f]{0,40}") {
        let built = app().artifact();
        let layers: &'static str = Box::leak(format!("other {layers}").into_boxed_str());
        let evidence = pinned(&built, &Image::new(layers, Some(&revision)).artifact());
        prop_assert_eq!(judged(&evidence).verdict, Verdict::Fail);
    }
}
