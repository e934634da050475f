//! Artifact digest (F1): the registry serves what was built, and what was built is deployed.
//!
//! Two digests that differ are not yet a fault, and two that are equal are not yet a success. The
//! gate finds the cause by a ladder of tests, the first that fits, from manifests and configurations
//! alone; no layer is read.

mod compare;
mod evidence;
mod ladder;
mod mentions;
mod revision;
mod words;

use backout_core::finding::{Code, Level, Place};
use backout_core::judgement::Verdict;
use backout_core::policy::gate::ArtifactDigest;
use backout_core::units::Digest;

pub use evidence::{Artifact, Deployed, Evidence, Git, PlatformArtifact, RecordedImage, Running};
pub use ladder::Cause;
pub use mentions::mentions;

use crate::Outcome;
use crate::gates::{About, Explained};
use crate::oci::{Lookup, Repository};

/// The same image under another digest.
pub const BO300: Code = Code("BO300");
/// The tag was moved.
pub const BO301: Code = Code("BO301");
/// Only a tag is deployed.
pub const BO302: Code = Code("BO302");
/// Nothing would be deployed.
pub const BO303: Code = Code("BO303");
/// The same files with another configuration.
pub const BO304: Code = Code("BO304");
/// A second build of the same commit.
pub const BO305: Code = Code("BO305");
/// Built from another commit.
pub const BO306: Code = Code("BO306");
/// What the image says about its source cannot be believed.
pub const BO307: Code = Code("BO307");
/// Deployed from another repository.
pub const BO308: Code = Code("BO308");
/// The nodes cannot get the image.
pub const BO309: Code = Code("BO309");

/// What the gate is for.
pub const ABOUT: About = About {
    name: "artifact-digest",
    mode: "F1",
    what: "The registry serves the image that was built and recorded, and that is the one deployed.",
    reads: "The registry's manifests and image configurations, for the recorded digest, the recorded \
            tag and every image that the manifests name; provenance in the index; pods and Git \
            where they are known. No layers.",
    findings: &[
        Explained {
            code: "BO300",
            level: Level::Warning,
            title: "INDEX_VS_PLATFORM, ATTESTATION_ONLY, FORMAT_CONVERSION or RECOMPRESSED",
            means: "The digests differ, and nodes run the same image: an index against the image \
                    that it lists, another attestation beside the same images, another format of \
                    the manifest, or layers that were compressed again. The first two are notes. A \
                    signature on one of the digests is no signature on the other.",
            next: "Sign what is deployed, or deploy what was signed.",
        },
        Explained {
            code: "BO301",
            level: Level::Error,
            title: "TAG_MOVED",
            means: "The tag points to another digest than the build recorded: somebody pushed to \
                    it again. A warning when nodes would run the same image all the same; a note \
                    when the digest is deployed and nobody looks at the tag.",
            next: "Deploy the digest, and make tags of releases immutable in the registry.",
        },
        Explained {
            code: "BO302",
            level: Level::Warning,
            title: "UNPINNED",
            means: "A manifest names the image by its tag only. It points to what was built now; \
                    a push changes what new pods run, at any time.",
            next: "Write the digest behind the tag: repository:tag@sha256:...",
        },
        Explained {
            code: "BO303",
            level: Level::Error,
            title: "STALE_NOOP",
            means: "The text of the image is the one that pods run with already, while the tag \
                    points to something new. Applying it changes nothing: the rollout succeeds at \
                    once, and the old image keeps running.",
            next: "Write the digest, so that the text changes with the image.",
        },
        Explained {
            code: "BO304",
            level: Level::Error,
            title: "METADATA_REBUILD",
            means: "The same files with another configuration. An error when what runs differs \
                    (environment, command, user and the like); a warning when only dates, history \
                    or labels do.",
            next: "Deploy the digest that was recorded, or record the build that is deployed.",
        },
        Explained {
            code: "BO305",
            level: Level::Error,
            title: "NON_REPRODUCIBLE_REBUILD",
            means: "The same commit was built twice, with different files: what was tested is not \
                    what is deployed. A warning when `acceptRebuilds` is set and a provenance \
                    names the commit.",
            next: "Build once, and promote that digest.",
        },
        Explained {
            code: "BO306",
            level: Level::Error,
            title: "WRONG_COMMIT",
            means: "The image was built from another commit than the release records.",
            next: "Deploy the digest that was recorded.",
        },
        Explained {
            code: "BO307",
            level: Level::Error,
            title: "LABEL_UNTRUSTED",
            means: "The image has another content, and what it says about its commit is missing, \
                    contradicts itself, or is a commit that Git does not know.",
            next: "Deploy the digest that was recorded, and have the build label images with the \
                   full commit.",
        },
        Explained {
            code: "BO308",
            level: Level::Error,
            title: "MIRROR or RETAGGED",
            means: "The image that was built is deployed from a repository that is neither the \
                    recorded one nor listed in `mirrors`.",
            next: "List the repository in `mirrors`, or deploy from the recorded one.",
        },
        Explained {
            code: "BO309",
            level: Level::Error,
            title: "NEVER_PUSHED, GARBAGE_COLLECTED or no image for the platform",
            means: "The nodes cannot get the image: the registry does not have it, or it has none \
                    for their platform. A release that cannot be pulled is no way back either.",
            next: "Push it again, or release another version; keep what you may go back to out of \
                   the registry's clean-up.",
        },
    ],
};

/// One place that names the image, and what is the matter there.
struct Looked<'a> {
    /// The text there.
    text: String,
    place: Option<&'a Place>,
    repository: &'a Repository,
    /// The digest there, written or resolved.
    digest: Option<&'a Digest>,
    /// What is there, if it could be read.
    artifact: Option<&'a Artifact>,
    /// Whether a tag is only a name here, because a digest is deployed.
    is_pinned: bool,
    cause: Cause,
}

/// Why each place that names the image is or is not what was built, with the text of the place: as
/// manifests name it, or as the record does when no manifests are known.
#[must_use]
pub fn causes(config: &ArtifactDigest, evidence: &Evidence) -> Vec<(String, Cause)> {
    look(config, evidence).into_iter().map(|looked| (looked.text, looked.cause)).collect()
}

/// Judges one image. What could not be read is never a pass; a fault that was found is one, even
/// when something else could not be read. The image itself is never blamed: the recorded digest
/// may be deployed again once the fault is mended.
#[must_use]
pub fn judge(config: &ArtifactDigest, evidence: &Evidence) -> Outcome {
    let looked = look(config, evidence);
    let findings = looked.iter().flat_map(|looked| words::findings(config, evidence, looked));
    let mut findings: Vec<_> = findings.collect();
    findings.dedup();
    let unreadable = looked.iter().find_map(|looked| match &looked.cause {
        Cause::Unreadable { why } => Some((looked, why)),
        _ => None,
    });
    let recorded = &evidence.recorded;
    let passed = format!(
        "{}@{} is what was built and recorded{}",
        recorded.repository,
        words::short(&recorded.digest),
        words::built_from(evidence)
    );
    let outcome = Outcome::of(findings, passed);
    match unreadable {
        Some((looked, why)) if outcome.verdict == Verdict::Pass => Outcome {
            findings: outcome.findings,
            ..Outcome::not_evaluated(format!(
                "it is not known whether {} is what was built: {why}",
                looked.text
            ))
        },
        _ => outcome,
    }
}

fn look<'a>(config: &ArtifactDigest, evidence: &'a Evidence) -> Vec<Looked<'a>> {
    let recorded = &evidence.recorded;
    let by_record = |cause: Cause, is_pinned| Looked {
        text: format!("{}:{}", recorded.repository, recorded.tag),
        place: None,
        repository: &recorded.repository,
        digest: Some(&recorded.digest),
        artifact: if is_pinned { None } else { found(&evidence.built) },
        is_pinned,
        cause,
    };
    if evidence.deployed.is_empty() {
        return vec![by_record(ladder::recorded(evidence), false)];
    }
    let looked = evidence.deployed.iter().map(|deployed| Looked {
        text: deployed.text.clone(),
        place: deployed.place.as_ref(),
        repository: &deployed.reference.repository,
        digest: (deployed.reference.digest.as_ref())
            .or(found(&deployed.artifact).map(|artifact| &artifact.digest)),
        artifact: found(&deployed.artifact),
        is_pinned: false,
        cause: ladder::deployed(config, evidence, deployed),
    });
    let mut looked: Vec<Looked<'_>> = looked.collect();
    // Where digests are deployed, a tag that moved is worth knowing and no more.
    let all_pinned = evidence.deployed.iter().all(|it| it.reference.digest.is_some());
    if all_pinned && let moved @ Cause::TagMoved { .. } = ladder::recorded(evidence) {
        looked.push(by_record(moved, true));
    }
    looked
}

const fn found(artifact: &Lookup<Artifact>) -> Option<&Artifact> {
    match artifact {
        Lookup::Found(artifact) => Some(artifact),
        Lookup::Absent | Lookup::Failed(_) => None,
    }
}

#[cfg(test)]
mod tests;
