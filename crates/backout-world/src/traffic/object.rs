//! One object that moves traffic: read and changed with a time limit and under its version, so that
//! nobody's write is lost.

use std::time::Duration;

use backout_core::units::Weight;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::Status;
use serde_json::{Map, Value, json};

use super::{Arms, Fence};
use crate::failure::{Failure, Kind};
use crate::kubernetes::{answer, names};

/// How long a request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How often a change is begun anew when someone else wrote in between.
const TRIES: u32 = 4;

/// One object of a cluster.
pub(crate) struct Object {
    api: Api<DynamicObject>,
    name: String,
    told: String,
}

impl Object {
    pub(crate) fn new(
        client: kube::Client,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
    ) -> Self {
        Self {
            api: Api::namespaced_with(client, namespace, resource),
            name: name.to_owned(),
            told: format!("{} {namespace}/{name}", resource.kind),
        }
    }

    /// A failure that names the object.
    pub(crate) fn failure(&self, kind: Kind, message: impl std::fmt::Display) -> Failure {
        Failure::new(kind, format!("{}: {message}", self.told))
    }

    pub(crate) async fn get(&self) -> Result<DynamicObject, Failure> {
        match tokio::time::timeout(LIMIT, self.api.get(&self.name)).await {
            Ok(answer) => answer.map_err(|error| answer::failure(&self.told, &error)),
            Err(_) => Err(self.failure(Kind::Failed, "no answer within 10s")),
        }
    }

    /// Reads the object, asks what to change, and writes that under the version that was read. When
    /// someone else wrote meanwhile it reads and asks again, so that the question always sees what
    /// it changes. A merge patch that carries the version is used rather than a JSON patch with a
    /// test: the server answers a version that has moved on with a conflict, and not with the same
    /// code as an invalid object.
    pub(crate) async fn change(
        &self,
        mut wanted: impl FnMut(&DynamicObject) -> Result<Option<Value>, Failure>,
    ) -> Result<(), Failure> {
        let parameters = PatchParams {
            field_manager: Some(names::MANAGER.to_owned()),
            ..PatchParams::default()
        };
        for _ in 0..TRIES {
            let object = self.get().await?;
            let Some(mut patch) = wanted(&object)? else { return Ok(()) };
            patch["metadata"]["resourceVersion"] = json!(object.metadata.resource_version);
            let patch = Patch::Merge(&patch);
            let request = self.api.patch(&self.name, &parameters, &patch);
            match tokio::time::timeout(LIMIT, request).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(kube::Error::Api(status))) if conflict(&status) => {}
                Ok(Err(error)) => return Err(answer::failure(&self.told, &error)),
                Err(_) => return Err(self.failure(Kind::Ambiguous, "no answer within 10s")),
            }
        }
        Err(self
            .failure(Kind::Failed, format!("someone else wrote it at each of {TRIES} tries"))
            .with_help("find out who writes it all the time"))
    }
}

fn conflict(status: &Status) -> bool {
    status.code == 409 && status.reason == "Conflict"
}

/// A note on an object.
pub(crate) fn note<'o>(object: &'o DynamicObject, name: &str) -> Option<&'o str> {
    object.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// Who wrote the field below `spec` last: the manager of the newest entry that owns it.
pub(crate) fn written_by(object: &DynamicObject, field: &str) -> String {
    let field = format!("f:{field}");
    let entries = object.metadata.managed_fields.iter().flatten().filter(|entry| {
        let owned = entry.fields_v1.as_ref().map(|fields| &fields.0);
        owned.is_some_and(|owned| owned["f:spec"].get(&field).is_some())
    });
    let newest = entries.max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    newest.and_then(|entry| entry.manager.clone()).unwrap_or_else(|| "unknown".to_owned())
}

/// Refuses the write of a generation that was overtaken.
pub(crate) fn fenced(at: &Object, object: &DynamicObject, fence: &Fence) -> Result<(), Failure> {
    let Some(noted) = note(object, names::GENERATION) else { return Ok(()) };
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
    pub(crate) fn patch(&self, object: &DynamicObject) -> Map<String, Value> {
        let mut annotations = Map::new();
        let mut set = |name: &str, wanted: Option<String>| {
            if note(object, name) != wanted.as_deref() {
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
        let labels = object.metadata.labels.as_ref();
        let label = labels.and_then(|labels| labels.get(names::IN_PROGRESS)).map(String::as_str);
        let moving = self.arms.candidate.is_some() || self.weight > Weight::ZERO;
        let wanted = moving.then_some("true");
        if label != wanted {
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
