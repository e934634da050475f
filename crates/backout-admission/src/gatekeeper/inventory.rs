//! `data.inventory`: the other objects, as Gatekeeper's cache holds them.

use backout_core::manifest::Manifest;
use serde_json::{Map, Value, json};

/// The objects by namespace, group and version, kind, and name. An object that names no namespace is
/// held for one of the cluster.
pub(super) fn of(objects: &[Manifest]) -> Value {
    let (mut cluster, mut namespaces) = (Map::new(), Map::new());
    for object in objects {
        let holder = match object.namespace() {
            None => Some(&mut cluster),
            Some(namespace) => below(&mut namespaces, namespace),
        };
        let versions = holder.and_then(|holder| below(holder, object.api_version()));
        if let Some(kinds) = versions.and_then(|versions| below(versions, object.kind())) {
            kinds.insert(object.name().to_owned(), object.value.clone());
        }
    }
    json!({"inventory": {"cluster": cluster, "namespace": namespaces}})
}

/// The map below a key, made if it is not there.
fn below<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    map.entry(key).or_insert_with(|| json!({})).as_object_mut()
}
