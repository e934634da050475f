//! What the Gateway says about a route in its status.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use super::routes::Route;
use super::{CONTROLLER_NAME, route_api};

/// Writes a route's status if it says something else. `applied` is the generation that Envoy
/// works with. A write that fails is tried again with the next change.
pub(super) async fn write(client: &Client, route: &Route, unresolved: bool, applied: Option<i64>) {
    let object = &route.object;
    let before = object.data.pointer("/status/parents").cloned().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let resolved = if unresolved {
        ("ResolvedRefs", "False", "BackendNotFound", generation)
    } else {
        ("ResolvedRefs", "True", "ResolvedRefs", generation)
    };
    let mut facts = vec![("Accepted", "True", "Accepted", generation), resolved];
    if let Some(applied) = applied {
        facts.push(("Programmed", "True", "Programmed", applied));
    }
    let parents: Vec<Value> = route
        .spec
        .parent_refs
        .iter()
        .enumerate()
        .map(|(index, parent)| {
            let old = before.pointer(&format!("/{index}/conditions"));
            let conditions: Vec<Value> = facts.iter().map(|fact| condition(*fact, old)).collect();
            json!({
                "parentRef": parent,
                "controllerName": CONTROLLER_NAME,
                "conditions": conditions,
            })
        })
        .collect();
    let parents = Value::from(parents);
    if parents == before {
        return;
    }
    let api = route_api(client, route.kind, &object.namespace().unwrap_or_default());
    let patch = Patch::Merge(json!({ "status": { "parents": parents } }));
    let name = object.name_any();
    if let Err(error) = api.patch_status(&name, &PatchParams::default(), &patch).await {
        tracing::debug!(kind = route.kind.name(), name, %error, "status of route not written");
    }
}

fn condition(
    (kind, status, reason, generation): (&str, &str, &str, i64),
    old: Option<&Value>,
) -> Value {
    let same = old
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|old| old["type"] == kind && old["status"] == status);
    let since = same.map_or_else(
        || Value::from(Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        |old| old["lastTransitionTime"].clone(),
    );
    json!({
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "observedGeneration": generation,
        "lastTransitionTime": since,
    })
}
