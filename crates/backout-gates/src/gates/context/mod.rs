//! Gate `context`: the workload says what it is, and it agrees with the record, the registry and
//! Git.

mod agree;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use backout_core::document::FieldPath;
use backout_core::finding::{Finding, Level, Subject};
use backout_core::manifest::Manifest;
use backout_core::policy::gate::Context;
use serde_json::Value;

use super::found::{at, helped, labelled};
use super::{About, Explained};
use crate::names::{kubernetes, oci};
use crate::stamp::{Fact, facts};
use crate::{Outcome, Recorded};

/// What this gate is for.
pub const ABOUT: About = About {
    name: "context",
    mode: "G5",
    what: "The workload says which commit, build, digest, flags and migrations it is, and that is true.",
    reads: "Labels and annotations of the workload and of its pod template, the release's record, \
            labels and annotations of the images, and Git.",
    findings: &[MISSING, DIFFERS, IMAGE_DIFFERS, IMAGE_UNSURE, NO_COMMIT, UNSEEN, SILENT],
};

const MISSING: Explained = Explained {
    code: "BO370",
    level: Level::Error,
    title: "context missing",
    means: "The workload does not say where it comes from. In an incident nobody can tell from the \
            object which commit, build or migrations they look at.",
    next: "write it into the manifests with `backout record --stamp MANIFESTS`",
};

const DIFFERS: Explained = Explained {
    code: "BO371",
    level: Level::Error,
    title: "context differs from the record",
    means: "The workload says something else than the release's record: manifests of one release \
            were put together with the record of another.",
    next: "render or stamp the manifests again for this release",
};

const IMAGE_DIFFERS: Explained = Explained {
    code: "BO372",
    level: Level::Error,
    title: "image says something else",
    means: "The image's own labels or annotations name another commit, version or repository than \
            the record. Labels are also inherited from base images when a build sets none.",
    next: "check which commit was built, and let the build set the label",
};

const IMAGE_UNSURE: Explained = Explained {
    code: "BO373",
    level: Level::Warning,
    title: "image contradicts itself",
    means: "An annotation of the image's manifest and the label of the same name in its \
            configuration differ. Tools read one or the other.",
    next: "let the build set both to the same value",
};

const NO_COMMIT: Explained = Explained {
    code: "BO374",
    level: Level::Error,
    title: "commit unknown to Git",
    means: "Git does not know the commit that the record names, or it is not on the branch or tag \
            that the record names.",
    next: "check the record, or fetch the branch that was built",
};

const UNSEEN: Explained = Explained {
    code: "BO375",
    level: Level::Note,
    title: "not compared",
    means: "The registry or Git could not be asked, so that the record was not held against them.",
    next: "see why it could not be read",
};

const SILENT: Explained = Explained {
    code: "BO376",
    level: Level::Note,
    title: "image says no commit",
    means: "The image carries no label or annotation with the commit that it was built from.",
    next: "let the build set org.opencontainers.image.revision",
};

/// What the gate judges by.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// All manifests of the environment, or why there are none.
    pub manifests: Result<&'a [Manifest], &'a str>,
    /// The kind of the policy's workload, such as `Deployment`.
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The release's record.
    pub record: &'a Recorded,
    /// What the registry said of the images; empty when it was not asked.
    pub images: &'a [ImageContext],
    /// What Git said; nothing when it was not asked.
    pub git: Option<&'a GitContext>,
}

/// What an image says of itself. Each part is known, or there is a reason why not.
#[derive(Clone, Debug)]
pub struct ImageContext {
    /// The container's name.
    pub name: String,
    /// Labels of its configuration.
    pub labels: Result<BTreeMap<String, String>, String>,
    /// Annotations of its manifest.
    pub annotations: Result<BTreeMap<String, String>, String>,
}

/// What Git says of the recorded commit.
#[derive(Clone, Debug)]
pub struct GitContext {
    /// Whether the commit exists.
    pub commit_exists: Result<bool, String>,
    /// Whether it is on the branch or tag that the record names.
    pub commit_on_ref: Result<bool, String>,
    /// The repository's address, without credentials.
    pub remote: Result<String, String>,
}

/// Judges what a workload says of itself.
#[must_use]
pub fn judge(config: &Context, evidence: &Evidence<'_>) -> Outcome {
    let manifests = match evidence.manifests {
        Ok(manifests) => manifests,
        Err(reason) => return Outcome::not_evaluated(format!("no manifests: {reason}")),
    };
    let mut workloads = manifests
        .iter()
        .filter(|manifest| manifest.kind() == evidence.kind && manifest.name() == evidence.name)
        .peekable();
    if workloads.peek().is_none() {
        return Outcome::not_evaluated(format!(
            "the manifests hold no {} {}",
            evidence.kind, evidence.name
        ));
    }
    let facts = facts(&evidence.record.release);
    let mut findings = Vec::new();
    for manifest in workloads {
        judge_workload(config, evidence, &facts, manifest, &mut findings);
    }
    for image in evidence.images {
        judge_image(evidence.record, image, &facts, &mut findings);
    }
    judge_git(evidence, &mut findings);
    Outcome::of(
        findings,
        format!("{} {} says where it comes from, as recorded", evidence.kind, evidence.name),
    )
}

fn judge_workload(
    config: &Context,
    evidence: &Evidence<'_>,
    facts: &[Fact],
    manifest: &Manifest,
    findings: &mut Vec<Finding>,
) {
    let object = Marked::of(manifest, FieldPath::root(), &manifest.value, manifest.to_string());
    let mut required: Vec<&str> = vec![kubernetes::NAME];
    required.extend(config.require.iter().map(String::as_str));
    object.judge(evidence.record, facts.iter(), &required, findings);
    let path = manifest.pod_template_path().unwrap_or_default();
    if let Some(template) = manifest.pod_template().filter(|_| !path.is_root()) {
        let pods = Marked::of(manifest, path, template, format!("the pod template of {manifest}"));
        pods.judge(evidence.record, facts.iter().filter(|fact| fact.on_pods), &[], findings);
    }
}

/// Something with labels and annotations.
struct Marked<'a> {
    manifest: &'a Manifest,
    path: FieldPath,
    metadata: &'a Value,
    title: String,
}

impl<'a> Marked<'a> {
    fn of(manifest: &'a Manifest, path: FieldPath, value: &'a Value, title: String) -> Self {
        Self { manifest, path: path.key("metadata"), metadata: &value["metadata"], title }
    }

    /// Every place where a name stands, with what stands there.
    fn all(&self, name: &str) -> Vec<(FieldPath, &'a str)> {
        let found = ["labels", "annotations"].into_iter().filter_map(|kind| {
            let text = self.metadata[kind][name].as_str().filter(|text| !text.is_empty())?;
            Some((self.path.clone().key(kind).key(name), text))
        });
        found.collect()
    }

    fn judge<'f>(
        &self,
        record: &Recorded,
        facts: impl Iterator<Item = &'f Fact>,
        required: &[&str],
        findings: &mut Vec<Finding>,
    ) {
        let mut missing = Vec::new();
        for fact in facts {
            let mut is_said = false;
            for (name, expected) in &fact.ways {
                for (path, said) in self.all(name) {
                    is_said = true;
                    if !agree::agree(name, expected, said, &record.release) {
                        let message = format!("{} says {} {said}", self.title, fact.title);
                        let finding = DIFFERS.found(at(self.manifest, &path), message);
                        findings.push(labelled(
                            finding,
                            format!("`{name}`, and the record says {expected}"),
                        ));
                    }
                }
            }
            if let (true, false, Some((name, _))) = (fact.is_required, is_said, fact.ways.first()) {
                missing.push(format!("{} (`{name}`)", fact.title));
            }
        }
        for name in required.iter().filter(|name| self.all(name).is_empty()) {
            missing.push(format!("`{name}`"));
        }
        if !missing.is_empty() {
            let message = format!("{} lacks {}", self.title, missing.join(", "));
            findings.push(MISSING.found(at(self.manifest, &self.path), message));
        }
    }
}

fn judge_image(
    record: &Recorded,
    image: &ImageContext,
    facts: &[Fact],
    findings: &mut Vec<Finding>,
) {
    let subject = || record.subject("spec.images");
    let mut says_commit = false;
    for (kind, said) in [("label", &image.labels), ("annotation", &image.annotations)] {
        let said = match said {
            Ok(said) => said,
            Err(reason) => {
                let message =
                    format!("{kind}s of image {} could not be read: {reason}", image.name);
                findings.push(UNSEEN.found(subject(), message));
                // What was not read may well say the commit.
                says_commit = true;
                continue;
            }
        };
        for fact in facts {
            for (name, expected) in &fact.ways {
                let Some(text) = said.get(*name).filter(|text| !text.is_empty()) else { continue };
                says_commit |= *name == oci::REVISION;
                if !agree::agree(name, expected, text, &record.release) {
                    findings.push(differing(record, fact, (kind, name, text), image));
                }
            }
        }
    }
    if !says_commit {
        findings.push(SILENT.found(subject(), format!("image {} says no commit", image.name)));
    }
    let (Ok(labels), Ok(annotations)) = (&image.labels, &image.annotations) else { return };
    for name in [oci::REVISION, oci::VERSION, oci::SOURCE] {
        if let (Some(label), Some(annotation)) = (labels.get(name), annotations.get(name))
            && label != annotation
        {
            let message = format!("image {} says two things of `{name}`", image.name);
            let finding = IMAGE_UNSURE.found(subject(), message);
            findings.push(labelled(finding, format!("label {label}, annotation {annotation}")));
        }
    }
}

/// Only another commit means another image for certain: base images leave their version and their
/// source behind.
fn differing(
    record: &Recorded,
    fact: &Fact,
    (kind, name, text): (&str, &str, &str),
    image: &ImageContext,
) -> Finding {
    let message = format!("image {} says {} {text}", image.name, fact.title);
    let mut finding = labelled(
        IMAGE_DIFFERS.found(record.subject(fact.field), message),
        format!("{kind} `{name}` of the image"),
    );
    if name != oci::REVISION {
        finding.level = Level::Warning;
    }
    finding
}

fn judge_git(evidence: &Evidence<'_>, findings: &mut Vec<Finding>) {
    let Some(git) = evidence.git else { return };
    let record = evidence.record;
    let context = &record.release.spec.context;
    let subject = || -> Subject { record.subject("spec.context.gitSha") };
    match (&git.commit_exists, &git.commit_on_ref) {
        (Ok(false), _) => {
            let message = format!("Git knows no commit {}", context.git_sha);
            findings.push(NO_COMMIT.found(subject(), message));
        }
        (Ok(true), Ok(false)) => {
            let message = format!("commit {} is not on {}", context.git_sha, context.git_ref);
            let mut finding = NO_COMMIT.found(subject(), message);
            finding.level = Level::Warning;
            findings.push(helped(finding, "check which branch or tag was built"));
        }
        (Ok(true), Ok(true)) => {}
        (Err(reason), _) | (Ok(true), Err(reason)) => {
            let message = format!("the commit was not looked up in Git: {reason}");
            findings.push(UNSEEN.found(subject(), message));
        }
    }
    if let Ok(remote) = &git.remote
        && !agree::same_repository(remote, &context.repository)
    {
        let subject = record.subject("spec.context.repository");
        let message = format!("the checkout comes from {remote}");
        let mut finding = labelled(
            NO_COMMIT.found(subject, message),
            format!("the record says {}", context.repository),
        );
        finding.level = Level::Note;
        findings
            .push(helped(finding, "check that this is the repository that was built, or a mirror"));
    }
}
