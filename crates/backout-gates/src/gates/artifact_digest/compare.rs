//! How two images of one platform differ: rows 5 to 7 of the ladder, and those after them.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::evidence::{Evidence, PlatformArtifact};
use super::ladder::Cause;
use super::revision;
use crate::oci::{ImageConfig, Lookup};

/// Fields of a configuration that say how it came about, and not how it runs.
const ORIGIN: [&str; 9] = [
    "author",
    "comment",
    "config.Labels",
    "container",
    "container_config",
    "created",
    "docker_version",
    "history",
    "id",
];

/// Why two images of one platform, with different digests, differ.
pub(super) fn cause(
    evidence: &Evidence,
    built: &PlatformArtifact,
    actual: &PlatformArtifact,
) -> Cause {
    if built.manifest.config.digest == actual.manifest.config.digest {
        let layers = |image: &PlatformArtifact| {
            let layers = image.manifest.layers.iter().map(|layer| layer.digest.clone());
            layers.collect::<Vec<_>>()
        };
        return if built.media_type != actual.media_type {
            let (from, to) = (built.media_type.clone(), actual.media_type.clone());
            Cause::FormatConversion { from, to }
        } else if layers(built) != layers(actual) {
            Cause::Recompressed
        } else {
            Cause::AnnotationsOnly
        };
    }
    let (old, new) = match (read(built), read(actual)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(why), _) | (_, Err(why)) => return Cause::Unreadable { why },
    };
    match (old.diff_ids(), new.diff_ids()) {
        (Some(old_layers), Some(new_layers)) if old_layers == new_layers => {
            let changed = changed_fields(old, new);
            if changed.is_empty() {
                // Tools that convert an image write its configuration anew, such as without fields
                // that are empty.
                let (from, to) = (built.media_type.clone(), actual.media_type.clone());
                return Cause::FormatConversion { from, to };
            }
            let (origin, behaviour) = changed.into_iter().partition(|it| is_origin(it));
            Cause::MetadataRebuild { origin, behaviour }
        }
        (Some(_), Some(_)) => revision::cause(evidence, built, actual),
        _ => {
            let why = "a configuration has no `rootfs`, so that it is not known what is in the \
                       image";
            Cause::Unreadable { why: why.to_owned() }
        }
    }
}

fn read(image: &PlatformArtifact) -> Result<&ImageConfig, String> {
    let digest = &image.manifest.config.digest;
    match &image.config {
        Lookup::Found(config) => Ok(config),
        Lookup::Absent => Err(format!("the configuration {digest} is missing from the registry")),
        Lookup::Failed(why) => Err(why.clone()),
    }
}

fn is_origin(field: &str) -> bool {
    let is_label = field.starts_with("config.Labels.");
    is_label || ORIGIN.contains(&field)
}

/// The fields that differ, with their path; labels one by one.
fn changed_fields(old: &ImageConfig, new: &ImageConfig) -> Vec<String> {
    let value = |config: &ImageConfig| match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        // A configuration is read from JSON, so that it can be written as an object again.
        _ => Map::new(),
    };
    let (old, new) = (value(old), value(new));
    let mut changed = Vec::new();
    compare("", &old, &new, &mut changed);
    changed
}

fn compare(path: &str, old: &Map<String, Value>, new: &Map<String, Value>, to: &mut Vec<String>) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let (old, new) = (old.get(name), new.get(name));
        if old == new {
            continue;
        }
        let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match (old, new) {
            (Some(Value::Object(old)), Some(Value::Object(new)))
                if matches!(field.as_str(), "config" | "config.Labels") =>
            {
                compare(&field, old, new, to);
            }
            _ => to.push(field),
        }
    }
}
