//! Environments against each other.

use std::collections::{BTreeMap, BTreeSet};

use backout_core::document::FieldPath;
use backout_core::finding::{Level, Subject};
use backout_core::manifest::Manifest;
use backout_core::policy::gate::ConfigDrift;
use serde_json::Value;

use super::super::found::{helped, labelled};
use super::{Evidence, Known, NOT_SAME, SKEW, Sheet, UNSEEN, normal, path_of};
use crate::chart::values::lookup;

/// How many keys below one are told.
const MOST_KEYS: usize = 5;

pub(super) fn judge(
    config: &ConfigDrift,
    target: &Known<'_>,
    evidence: &Evidence<'_>,
    sheet: &mut Sheet,
) {
    let ours = target.chart.merged(target.values);
    let mut seen: BTreeSet<&String> =
        config.same.iter().filter(|key| value_at(&ours, key).is_some()).collect();
    for environment in evidence.environments.iter().filter(|one| one.name != target.name) {
        let other = match Known::of(environment) {
            Ok(other) => other,
            Err(reason) if config.same.is_empty() => {
                let subject = Subject::Object(format!("environment {}", environment.name));
                sheet.findings.push(UNSEEN.found(subject, reason));
                continue;
            }
            Err(reason) => {
                sheet.unknown.push(format!("environments cannot be compared: {reason}"));
                continue;
            }
        };
        let theirs = other.chart.merged(other.values);
        for key in &config.same {
            if value_at(&theirs, key).is_some() {
                seen.insert(key);
            }
            judge_same(key, (target, &ours), (&other, &theirs), sheet);
        }
        judge_skew(target, &other, sheet);
    }
    for key in config.same.iter().filter(|key| !seen.contains(key)) {
        let message = format!("no environment has `{key}`, which must be the same in all");
        let subject = Subject::Object("gate config-drift".to_owned());
        let mut finding = UNSEEN.found(subject, message);
        finding.level = Level::Warning;
        sheet.findings.push(helped(finding, "correct the key in the gate's `same`"));
    }
}

fn value_at<'v>(values: &'v Value, key: &str) -> Option<&'v Value> {
    lookup(values, &key.split('.').collect::<Vec<_>>())
}

fn judge_same(
    key: &str,
    (target, ours): (&Known<'_>, &Value),
    (other, theirs): (&Known<'_>, &Value),
    sheet: &mut Sheet,
) {
    let nothing = Value::Null;
    let ours = value_at(ours, key).unwrap_or(&nothing);
    let theirs = value_at(theirs, key).unwrap_or(&nothing);
    let prefix = path_of(key.split('.'));
    let differing = normal::differences(ours, theirs);
    for inner in differing.iter().take(MOST_KEYS) {
        let path: FieldPath = prefix.segments().iter().chain(inner.segments()).cloned().collect();
        let message = format!("`{path}` is not the same in {} and {}", target.name, other.name);
        let finding = NOT_SAME.found(target.subject(&path), message);
        sheet
            .findings
            .push(labelled(finding, format!("in {}: {}", other.name, other.place(&path))));
    }
}

fn judge_skew(target: &Known<'_>, other: &Known<'_>, sheet: &mut Sheet) {
    let (ours, theirs) = (target.chart, other.chart);
    if (&ours.name, &ours.version) != (&theirs.name, &theirs.version) {
        let message = format!(
            "{} uses {}, and {} uses {}",
            target.name,
            target.chart_title(),
            other.name,
            other.chart_title()
        );
        let finding = SKEW.found(Subject::File(ours.place("version")), message);
        sheet.findings.push(labelled(finding, format!("see {}", theirs.place("version"))));
    }
    let rendered =
        (target.environment.rendered.manifests(), other.environment.rendered.manifests());
    let (Ok(here), Ok(there)) = rendered else {
        let reason = rendered.0.err().or(rendered.1.err()).unwrap_or_default();
        let subject = Subject::Object(format!("environment {}", other.name));
        let message =
            format!("images of {} and {} were not compared: {reason}", target.name, other.name);
        sheet.findings.push(UNSEEN.found(subject, message));
        return;
    };
    let there = images(there);
    for (container, (manifest, path, image)) in images(here) {
        let Some((_, _, other_image)) = there.get(&container) else { continue };
        if pin(image) != pin(other_image) {
            let message = format!(
                "container {container} of {} runs another image than in {}",
                target.name, other.name
            );
            let mut finding = SKEW.found(super::super::found::at(manifest, &path), message);
            finding.level = Level::Note;
            sheet.findings.push(labelled(finding, format!("{} runs {other_image}", other.name)));
        }
    }
}

/// What tells images apart, wherever they are pulled from: the digest, otherwise the tag.
fn pin(image: &str) -> &str {
    if let Some((_, digest)) = image.split_once('@') {
        return digest;
    }
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map_or("latest", |(_, tag)| tag)
}

type Images<'a> = BTreeMap<String, (&'a Manifest, FieldPath, &'a str)>;

/// The image of each container, by the workload's kind and the container's name: names of
/// workloads often differ between environments.
fn images(manifests: &[Manifest]) -> Images<'_> {
    let mut images = BTreeMap::new();
    for manifest in manifests {
        let (Some(template), Some(path)) = (manifest.pod_template(), manifest.pod_template_path())
        else {
            continue;
        };
        let containers = template["spec"]["containers"].as_array().into_iter().flatten();
        for (index, container) in containers.enumerate() {
            let (Some(name), Some(image)) =
                (container["name"].as_str(), container["image"].as_str())
            else {
                continue;
            };
            let path = path.clone().key("spec").key("containers").index(index).key("image");
            let key = format!("{name} of the {}", manifest.kind());
            images.entry(key).or_insert((manifest, path, image));
        }
    }
    images
}

#[cfg(test)]
mod tests {
    use super::pin;

    #[test]
    fn an_image_is_pinned_by_its_digest_or_tag() {
        assert_eq!(pin("r:5000/a/b:1@sha256:ab"), "sha256:ab");
        assert_eq!(pin("r:5000/a/b:1"), "1");
        assert_eq!(pin("r:5000/a/b"), "latest");
    }
}
