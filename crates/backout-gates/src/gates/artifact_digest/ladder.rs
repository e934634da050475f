//! The ladder of causes: why an image is or is not what was built, the first that fits.

use std::collections::BTreeSet;

use backout_core::policy::gate::ArtifactDigest;
use backout_core::units::Digest;

use super::compare;
use super::evidence::{Artifact, Deployed, Evidence, Git, Running};
use crate::oci::{Lookup, Manifest, Platform, Repository};

/// Why an image is or is not what was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Row 0. It is.
    Match,
    /// Row 1. The tag points to something else; `now` says what that is, by the rows below.
    TagMoved {
        /// What the tag points to.
        to: Digest,
        /// How that differs from what was built.
        now: Box<Cause>,
    },
    /// Row 1. Only a tag is written; it points to what was built, for now.
    Unpinned,
    /// Row 2. The text is the one that pods run with, and the tag moved on: nothing would happen.
    StaleNoop {
        /// A pod that runs something else.
        pod: String,
        /// What it runs.
        runs: Digest,
        /// What the tag points to.
        now: Digest,
    },
    /// Row 3. One is the index, the other is what it lists for a platform of the nodes.
    IndexVsPlatform {
        /// Whether the recorded one is the index.
        recorded_is_index: bool,
        /// The platform.
        platform: Platform,
    },
    /// Row 4. Two indexes list the same images, and different attestations.
    AttestationOnly,
    /// As row 4, but images for platforms that no node has differ too.
    OtherPlatforms,
    /// As row 5, but only annotations of the manifest differ.
    AnnotationsOnly,
    /// Row 5. The same configuration in a manifest of another format; or, with equal media types, the
    /// same settings and files that a tool wrote anew.
    FormatConversion {
        /// Media type of what was built.
        from: String,
        /// Media type of the other.
        to: String,
    },
    /// Row 6. The same configuration, and layers that are compressed otherwise.
    Recompressed,
    /// Row 7. The same layers with another configuration.
    MetadataRebuild {
        /// Fields that differ and say how it came about.
        origin: Vec<String>,
        /// Fields that differ and decide how it runs.
        behaviour: Vec<String>,
    },
    /// Row 8. Another content, built from the same commit.
    NonReproducibleRebuild {
        /// The commit.
        revision: String,
        /// Whether a provenance names it too, and not only a label.
        vouched: bool,
    },
    /// Row 9. Another content, built from another commit.
    WrongCommit {
        /// The commit that was built.
        expected: String,
        /// The commit that it was built from.
        found: String,
        /// How Git relates the two, if it was asked.
        git: Option<Git>,
    },
    /// Row 10. Another content, and what it says about its commit cannot be believed.
    LabelUntrusted {
        /// Why not.
        why: String,
    },
    /// Row 11. What was built, in another repository.
    Mirror {
        /// Whether the policy lists the repository.
        listed: bool,
    },
    /// Row 12. The registry does not have it.
    Missing {
        /// What it does not have.
        what: String,
        /// Whether it had it before, because a container runs it.
        ran: bool,
        /// What the recorded tag points to, if it points to anything.
        tag: Option<Digest>,
    },
    /// It has no image for the platform of any node.
    WrongPlatform {
        /// The platforms of the nodes.
        missing: Vec<Platform>,
    },
    /// It could not be read, so that nothing is known.
    Unreadable {
        /// Why not.
        why: String,
    },
}

impl Cause {
    /// The row of the ladder; the higher, the less is the same.
    #[must_use]
    pub const fn row(&self) -> u8 {
        match self {
            Self::Match => 0,
            Self::TagMoved { .. } | Self::Unpinned => 1,
            Self::StaleNoop { .. } => 2,
            Self::IndexVsPlatform { .. } => 3,
            Self::AttestationOnly | Self::OtherPlatforms => 4,
            Self::AnnotationsOnly | Self::FormatConversion { .. } => 5,
            Self::Recompressed => 6,
            Self::MetadataRebuild { .. } => 7,
            Self::NonReproducibleRebuild { .. } => 8,
            Self::WrongCommit { .. } => 9,
            Self::LabelUntrusted { .. } => 10,
            Self::Mirror { .. } => 11,
            Self::Missing { .. } | Self::WrongPlatform { .. } => 12,
            Self::Unreadable { .. } => 13,
        }
    }

    /// Its name in the ladder.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Match => "MATCH",
            Self::TagMoved { .. } => "TAG_MOVED",
            Self::Unpinned => "UNPINNED",
            Self::StaleNoop { .. } => "STALE_NOOP",
            Self::IndexVsPlatform { .. } => "INDEX_VS_PLATFORM",
            Self::AttestationOnly => "ATTESTATION_ONLY",
            Self::OtherPlatforms => "OTHER_PLATFORMS_DIFFER",
            Self::AnnotationsOnly => "ANNOTATIONS_ONLY",
            Self::FormatConversion { .. } => "FORMAT_CONVERSION",
            Self::Recompressed => "RECOMPRESSED",
            Self::MetadataRebuild { .. } => "METADATA_REBUILD",
            Self::NonReproducibleRebuild { .. } => "NON_REPRODUCIBLE_REBUILD",
            Self::WrongCommit { .. } => "WRONG_COMMIT",
            Self::LabelUntrusted { .. } => "LABEL_UNTRUSTED",
            Self::Mirror { .. } => "MIRROR",
            Self::Missing { ran: true, .. } => "GARBAGE_COLLECTED",
            Self::Missing { .. } => "NEVER_PUSHED or GARBAGE_COLLECTED",
            Self::WrongPlatform { .. } => "WRONG_PLATFORM",
            Self::Unreadable { .. } => "UNREADABLE",
        }
    }

    /// Whether nodes run the very same thing, by whatever digest.
    #[must_use]
    pub const fn is_same_image(&self) -> bool {
        matches!(
            self,
            Self::Match
                | Self::Unpinned
                | Self::IndexVsPlatform { .. }
                | Self::AttestationOnly
                | Self::OtherPlatforms
                | Self::AnnotationsOnly
                | Self::FormatConversion { .. }
                | Self::Recompressed
                | Self::Mirror { .. }
        )
    }
}

/// What is the matter with how a manifest names the image.
pub(super) fn deployed(config: &ArtifactDigest, evidence: &Evidence, deployed: &Deployed) -> Cause {
    let recorded = &evidence.recorded;
    let is_same_repository = deployed.reference.repository == recorded.repository;
    match &deployed.reference.digest {
        None => by_tag(evidence, deployed),
        Some(digest) if *digest != recorded.digest => {
            below(evidence, digest, &deployed.text, &deployed.artifact)
        }
        Some(_) if is_same_repository => recorded_digest(evidence),
        Some(_) => match &deployed.artifact {
            Lookup::Found(artifact) => {
                let listed = is_mirror(config, &deployed.reference.repository);
                runnable(evidence, artifact).unwrap_or(Cause::Mirror { listed })
            }
            Lookup::Absent => missing(evidence, &deployed.text),
            Lookup::Failed(why) => Cause::Unreadable { why: why.clone() },
        },
    }
}

/// What is the matter with the recorded image itself, when no manifests are known: whether the
/// registry has it, and whether its tag still points to it.
pub(super) fn recorded(evidence: &Evidence) -> Cause {
    match recorded_digest(evidence) {
        Cause::Match => {}
        other => return other,
    }
    match &evidence.tagged {
        Lookup::Found(tagged) if tagged.digest == evidence.recorded.digest => Cause::Match,
        Lookup::Found(tagged) => moved(evidence, tagged),
        // A tag is only a name: what was built is there.
        Lookup::Absent => Cause::Match,
        Lookup::Failed(why) => Cause::Unreadable { why: why.clone() },
    }
}

/// Whether the policy lists a repository as one that holds copies on purpose.
pub(super) fn is_mirror(config: &ArtifactDigest, repository: &Repository) -> bool {
    let same = |mirror: &String| mirror.parse::<Repository>().is_ok_and(|it| it == *repository);
    config.mirrors.iter().any(same)
}

fn recorded_digest(evidence: &Evidence) -> Cause {
    match &evidence.built {
        Lookup::Found(built) => runnable(evidence, built).unwrap_or(Cause::Match),
        Lookup::Absent => {
            let recorded = &evidence.recorded;
            missing(evidence, &format!("{}@{}", recorded.repository, recorded.digest))
        }
        Lookup::Failed(why) => Cause::Unreadable { why: why.clone() },
    }
}

/// Why no node can run it, if none can, or why that is not known.
fn runnable(evidence: &Evidence, artifact: &Artifact) -> Option<Cause> {
    for node in &evidence.node_platforms {
        if let Lookup::Failed(why) = artifact.image_for(node) {
            return Some(Cause::Unreadable { why });
        }
    }
    let missing = missing_platforms(evidence, artifact);
    let is_for_none = !missing.is_empty() && missing.len() == evidence.node_platforms.len();
    is_for_none.then_some(Cause::WrongPlatform { missing })
}

/// The platforms of nodes that it has no image for.
pub(super) fn missing_platforms(evidence: &Evidence, artifact: &Artifact) -> Vec<Platform> {
    let nodes = evidence.node_platforms.iter();
    nodes.filter(|node| artifact.image_for(node) == Lookup::Absent).cloned().collect()
}

fn missing(evidence: &Evidence, what: &str) -> Cause {
    let digest = &evidence.recorded.digest;
    let ran = evidence.running.iter().any(|it| digest_in(&it.image_id).as_ref() == Some(digest));
    let tag = match &evidence.tagged {
        Lookup::Found(tagged) => Some(tagged.digest.clone()),
        Lookup::Absent | Lookup::Failed(_) => None,
    };
    Cause::Missing { what: what.to_owned(), ran, tag }
}

/// Rows 1 and 2: only a tag is written.
fn by_tag(evidence: &Evidence, deployed: &Deployed) -> Cause {
    let now = match &deployed.artifact {
        Lookup::Found(now) => now,
        Lookup::Absent => return missing(evidence, &deployed.text),
        Lookup::Failed(why) => return Cause::Unreadable { why: why.clone() },
    };
    let same_text = |it: &&Running| is_same_text(&it.text, deployed);
    for running in evidence.running.iter().filter(same_text) {
        match is_running(now, running) {
            Ok(None) => {}
            Ok(Some(_)) if runs_what_was_built(evidence, running) => {}
            Ok(Some(runs)) => {
                let (pod, now) = (running.pod.clone(), now.digest.clone());
                return Cause::StaleNoop { pod, runs, now };
            }
            Err(why) => return Cause::Unreadable { why },
        }
    }
    if now.digest == evidence.recorded.digest {
        return runnable(evidence, now).unwrap_or(Cause::Unpinned);
    }
    moved(evidence, now)
}

fn moved(evidence: &Evidence, to: &Artifact) -> Cause {
    let found = Lookup::Found(to.clone());
    let shown = format!("{}@{}", to.repository, to.digest);
    let now = Box::new(below(evidence, &to.digest, &shown, &found));
    Cause::TagMoved { to: to.digest.clone(), now }
}

/// Whether a container runs what was built, so that it is well that nothing happens to it.
fn runs_what_was_built(evidence: &Evidence, running: &Running) -> bool {
    match &evidence.built {
        Lookup::Found(built) => is_running(built, running) == Ok(None),
        Lookup::Absent | Lookup::Failed(_) => {
            digest_in(&running.image_id).as_ref() == Some(&evidence.recorded.digest)
        }
    }
}

fn is_same_text(text: &str, deployed: &Deployed) -> bool {
    text == deployed.text
        || text.parse::<crate::oci::Reference>().is_ok_and(|it| it == deployed.reference)
}

/// Whether a container runs what the tag points to now. Its image id may be the digest of the index,
/// of the platform's manifest or of the configuration. Returns what it runs instead.
fn is_running(now: &Artifact, running: &Running) -> Result<Option<Digest>, String> {
    let Some(runs) = digest_in(&running.image_id) else {
        return Err(format!("{} has no image id that is a digest", running.pod));
    };
    let mut ids = BTreeSet::from([&now.digest]);
    if let Manifest::Index(index) = &now.manifest {
        ids.extend(index.images().map(|image| &image.digest));
    }
    for (_, image) in &now.images {
        match image {
            Lookup::Found(image) => {
                ids.extend([&image.digest, &image.manifest.config.digest]);
            }
            Lookup::Absent => {}
            Lookup::Failed(why) if !ids.contains(&runs) => return Err(why.clone()),
            Lookup::Failed(_) => {}
        }
    }
    Ok((!ids.contains(&runs)).then_some(runs))
}

/// The digest in `docker.io/a@sha256:...`, `docker-pullable://...@sha256:...` or `sha256:...`.
fn digest_in(image_id: &str) -> Option<Digest> {
    let after = image_id.rsplit_once('@').map_or(image_id, |(_, digest)| digest);
    let bare = after.rsplit_once('/').map_or(after, |(_, digest)| digest);
    bare.parse().ok()
}

/// Rows 3 to 10, and 12: another digest than the recorded one.
fn below(evidence: &Evidence, digest: &Digest, text: &str, actual: &Lookup<Artifact>) -> Cause {
    let recorded = &evidence.recorded;
    let actual = match actual {
        Lookup::Found(actual) => actual,
        Lookup::Absent => return missing(evidence, text),
        Lookup::Failed(why) => return Cause::Unreadable { why: why.clone() },
    };
    if let Some(cause) = runnable(evidence, actual) {
        return cause;
    }
    let nodes = &evidence.node_platforms;
    // The record lists them itself, so that it needs no registry.
    let listed = recorded.platforms.iter().find(|(platform, listed)| {
        listed == digest && nodes.iter().any(|node| node.runs(platform))
    });
    if let Some((platform, _)) = listed {
        return Cause::IndexVsPlatform { recorded_is_index: true, platform: platform.clone() };
    }
    let built = match &evidence.built {
        Lookup::Found(built) => built,
        Lookup::Absent => {
            return missing(evidence, &format!("{}@{}", recorded.repository, recorded.digest));
        }
        Lookup::Failed(why) => return Cause::Unreadable { why: why.clone() },
    };
    if let Some(platform) = nodes.iter().find(|node| built.lists(node, &actual.digest)) {
        return Cause::IndexVsPlatform { recorded_is_index: true, platform: platform.clone() };
    }
    // What an index has for other nodes was not recorded, so that it must not have any.
    let mut given = nodes.iter().filter(|node| actual.image_for(node) != Lookup::Absent);
    if given.clone().all(|node| actual.lists(node, &built.digest))
        && let Some(platform) = given.next()
    {
        return Cause::IndexVsPlatform { recorded_is_index: false, platform: platform.clone() };
    }
    of_two(evidence, built, actual)
}

/// Rows 4 to 10: what the nodes get of the two, the platform with the highest row deciding.
fn of_two(evidence: &Evidence, built: &Artifact, actual: &Artifact) -> Cause {
    let mut worst: Option<Cause> = None;
    for node in &evidence.node_platforms {
        let cause = match (built.image_for(node), actual.image_for(node)) {
            (Lookup::Failed(why), _) | (_, Lookup::Failed(why)) => {
                Cause::Unreadable { why: why.clone() }
            }
            // Such a node runs nothing of it.
            (_, Lookup::Absent) => continue,
            (Lookup::Absent, Lookup::Found(image)) => {
                let what = "nothing was recorded that it could be held against";
                Cause::Unreadable { why: format!("{} is for {node}: {what}", image.digest) }
            }
            (Lookup::Found(old), Lookup::Found(new)) if old.digest == new.digest => continue,
            (Lookup::Found(old), Lookup::Found(new)) => compare::cause(evidence, old, new),
        };
        if worst.as_ref().is_none_or(|worst| worst.row() < cause.row()) {
            worst = Some(cause);
        }
    }
    let same_lists = || match (&built.manifest, &actual.manifest) {
        (Manifest::Index(built), Manifest::Index(actual)) => {
            let images = |index: &crate::oci::Index| {
                let images = index.images().map(|it| (it.platform.clone(), it.digest.clone()));
                images.collect::<BTreeSet<_>>()
            };
            images(built) == images(actual)
        }
        _ => false,
    };
    worst.unwrap_or_else(
        || {
            if same_lists() { Cause::AttestationOnly } else { Cause::OtherPlatforms }
        },
    )
}

impl Artifact {
    /// What a node gets of it. A platform that nobody looked for is a failure, and no absence.
    fn image_for(&self, node: &Platform) -> Lookup<&super::evidence::PlatformArtifact> {
        match self.images.iter().find(|(platform, _)| platform == node) {
            Some((_, Lookup::Found(image))) => Lookup::Found(image),
            Some((_, Lookup::Absent)) => Lookup::Absent,
            Some((_, Lookup::Failed(why))) => Lookup::Failed(why.clone()),
            None => Lookup::Failed(format!("nobody looked for the image for {node}")),
        }
    }

    /// Whether it is an index that gives this very manifest to a node.
    fn lists(&self, node: &Platform, digest: &Digest) -> bool {
        let index = self.manifest.index();
        let given = index.and_then(|index| index.image_for(node));
        given.is_some_and(|given| given.digest == *digest)
    }
}
