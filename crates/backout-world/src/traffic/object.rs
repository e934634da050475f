//! One object that moves traffic, and what we note on it.

use backout_core::units::Weight;
use serde_json::{Map, Value, json};

use super::{Arms, Fence};
use crate::failure::{Failure, Kind};
use crate::kubernetes::names;
use crate::kubernetes::objects::{Objects, Sort, annotation, label};

/// One object of a cluster.
pub(crate) struct Object {
    objects: Objects,
    sort: Sort,
    name: String,
}

impl Object {
    pub(crate) fn new(client: &kube::Client, sort: Sort, namespace: &str, name: &str) -> Self {
        let objects = Objects::new(client.clone(), namespace);
        Self { objects, sort, name: name.to_owned() }
    }

    /// A failure that names the object.
    pub(crate) fn failure(&self, kind: Kind, message: impl std::fmt::Display) -> Failure {
        let told = self.objects.in_words(self.sort, &self.name);
        Failure::new(kind, format!("{told}: {message}"))
    }

    pub(crate) async fn get(&self) -> Result<Value, Failure> {
        self.objects.need(self.sort, &self.name).await.map_err(named)
    }

    /// Reads the object, asks what to change, and writes that, so that nobody's write is lost.
    pub(crate) async fn change(
        &self,
        wanted: impl FnMut(&Value) -> Result<Option<Value>, Failure>,
    ) -> Result<(), Failure> {
        self.objects.change(self.sort, &self.name, wanted).await.map_err(named)
    }
}

/// An object that does not exist may have been named wrongly.
fn named(failure: Failure) -> Failure {
    if failure.kind == Kind::Missing && failure.help.is_none() {
        failure.with_help("create it, or correct `spec.traffic.route` or what that route sends to")
    } else {
        failure
    }
}

/// Who wrote the field below `spec` last: the manager of the newest entry that owns it.
pub(crate) fn written_by(object: &Value, field: &str) -> String {
    let field = format!("f:{field}");
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let owners = entries.filter(|entry| entry["fieldsV1"]["f:spec"].get(&field).is_some());
    // Times are all written in the same way, to the second and in UTC.
    let newest = owners.max_by_key(|entry| entry["time"].as_str().unwrap_or_default());
    newest.and_then(|entry| entry["manager"].as_str()).unwrap_or("unknown").to_owned()
}

/// Rises with every change of the spec, and not with the status that gateways write.
pub(crate) fn generation(object: &Value) -> u64 {
    object["metadata"]["generation"].as_u64().unwrap_or_default()
}

/// Refuses the write of a generation that was overtaken.
pub(crate) fn fenced(at: &Object, object: &Value, fence: &Fence) -> Result<(), Failure> {
    let Some(noted) = annotation(object, names::GENERATION) else { return Ok(()) };
    let Some((run, generation)) = noted.rsplit_once('/') else { return Ok(()) };
    match generation.parse::<u32>() {
        Ok(newer) if run == fence.run && newer > fence.generation => Err(at.failure(
            Kind::Refused,
            format!(
                "generation {newer} of run {run} wrote it already, generation {} may not",
                fence.generation
            ),
        )),
        _ => Ok(()),
    }
}

/// What is noted on an object that is adopted.
pub(crate) struct Notes<'a> {
    pub(crate) original: Option<String>,
    pub(crate) arms: &'a Arms,
    pub(crate) weight: Weight,
    pub(crate) fence: Option<&'a Fence>,
}

impl Notes<'_> {
    /// The metadata to write, of the notes that differ.
    pub(crate) fn patch(&self, object: &Value) -> Map<String, Value> {
        let mut annotations = Map::new();
        let mut set = |name: &str, wanted: Option<String>| {
            if annotation(object, name) != wanted.as_deref() {
                annotations.insert(name.to_owned(), json!(wanted));
            }
        };
        if let Some(original) = &self.original {
            set(names::ORIGINAL, Some(original.clone()));
        }
        set(names::STABLE, Some(self.arms.stable.clone()));
        set(names::CANDIDATE, self.arms.candidate.clone());
        set(names::WEIGHT, Some(self.weight.as_percent().to_string()));
        if let Some(fence) = self.fence {
            set(names::GENERATION, Some(format!("{}/{}", fence.run, fence.generation)));
        }
        let mut metadata = Map::new();
        if !annotations.is_empty() {
            metadata.insert("annotations".to_owned(), Value::Object(annotations));
        }
        let moving = self.arms.candidate.is_some() || self.weight > Weight::ZERO;
        let wanted = moving.then_some("true");
        if label(object, names::IN_PROGRESS) != wanted {
            metadata.insert("labels".to_owned(), json!({ names::IN_PROGRESS: wanted }));
        }
        metadata
    }
}

/// The metadata that takes every note away.
pub(crate) fn without_notes() -> Map<String, Value> {
    let notes =
        [names::ORIGINAL, names::STABLE, names::CANDIDATE, names::WEIGHT, names::GENERATION];
    let annotations: Map<String, Value> =
        notes.into_iter().map(|name| (name.to_owned(), Value::Null)).collect();
    let mut metadata = Map::new();
    metadata.insert("annotations".to_owned(), Value::Object(annotations));
    metadata.insert("labels".to_owned(), json!({ names::IN_PROGRESS: null }));
    metadata
}

/// A merge patch of the metadata and, where it changes, the spec; `None` if nothing changes.
pub(crate) fn patch(metadata: &Map<String, Value>, spec: Option<Value>) -> Option<Value> {
    if metadata.is_empty() && spec.is_none() {
        return None;
    }
    let mut patch = json!({ "metadata": metadata });
    if let Some(spec) = spec {
        patch["spec"] = spec;
    }
    Some(patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::objects::SERVICE;

    /// An object of a cluster that is never asked.
    fn object() -> Object {
        let nowhere = kube::Config::new("http://127.0.0.1:1".parse().expect("an address"));
        let client = kube::Client::try_from(nowhere).expect("a client");
        Object::new(&client, SERVICE, "shop", "checkout")
    }

    fn arms() -> Arms {
        Arms {
            namespace: "shop".to_owned(),
            route: "checkout".to_owned(),
            service: None,
            workload: "checkout".to_owned(),
            stable: "checkout-aaaaaaaa".to_owned(),
            candidate: Some("checkout-bbbbbbbb".to_owned()),
        }
    }

    fn noted(generation: &str) -> Value {
        json!({ "metadata": { "annotations": { names::GENERATION: generation } } })
    }

    #[tokio::test]
    async fn a_generation_that_was_overtaken_may_not_write() {
        let fence = Fence { run: "a/run".to_owned(), generation: 7 };
        let at = object();
        for free in ["a/run/6", "a/run/7", "another/8", "a/run/none", "", "8"] {
            assert_eq!(fenced(&at, &noted(free), &fence), Ok(()), "{free}");
        }
        assert_eq!(fenced(&at, &json!({}), &fence), Ok(()));
        let told = fenced(&at, &noted("a/run/8"), &fence).expect_err("8 is newer than 7");
        assert_eq!(told.kind, Kind::Refused);
        assert!(told.message.starts_with("Service shop/checkout: generation 8"), "{told}");
    }

    #[test]
    fn only_notes_that_differ_are_written_and_all_are_taken_away() {
        let arms = arms();
        let fence = Fence { run: "run".to_owned(), generation: 1 };
        let weight = Weight::FULL;
        let notes =
            Notes { original: Some("{}".to_owned()), arms: &arms, weight, fence: Some(&fence) };
        let metadata = notes.patch(&json!({}));
        let written = json!({ "metadata": metadata });
        assert_eq!(written["metadata"]["labels"][names::IN_PROGRESS], "true");
        assert_eq!(written["metadata"]["annotations"][names::WEIGHT], "100");
        assert!(notes.patch(&written).is_empty(), "nothing differs");
        let gone = without_notes();
        for (part, keys) in &metadata {
            for key in keys.as_object().expect("a mapping").keys() {
                assert_eq!(gone[part].get(key), Some(&Value::Null), "{key}");
            }
        }
    }

    #[test]
    fn the_newest_manager_of_the_field_wrote_it() {
        let entry = |manager: &str, time: &str, field: &str| json!({ "manager": manager, "time": time, "fieldsV1": { "f:spec": { field: {} } } });
        let object = json!({ "metadata": { "managedFields": [
            entry("backout", "2026-01-02T00:00:00Z", "f:rules"),
            entry("helm", "2026-01-01T00:00:00Z", "f:rules"),
            entry("someone", "2026-01-03T00:00:00Z", "f:hostnames"),
        ] } });
        assert_eq!(written_by(&object, "rules"), "backout");
        assert_eq!(written_by(&json!({}), "rules"), "unknown");
    }
}
