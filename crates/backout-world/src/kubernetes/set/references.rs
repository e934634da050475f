//! Which ConfigMaps and Secrets a pod mounts or reads, and where it says so.

use std::collections::BTreeMap;

use serde_json::Value;

/// Kinds of object that a pod takes its settings from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// The objects that a pod mounts or reads, with one place that does, if a pod cannot start
/// without the object.
pub type References = BTreeMap<(Source, String), Option<String>>;

/// What the pods of this template mount or read. Secrets that only the kubelet needs, to pull
/// images, are not settings of a release and are left out.
#[must_use]
pub fn of(pod_spec: &Value) -> References {
    let mut found = References::new();
    // Walking is one function for reading and for renaming, so that neither knows a place that
    // the other does not. Renaming a copy to what it is called already changes nothing.
    let mut spec = pod_spec.clone();
    walk(&mut spec, &mut |source, name, place, optional| {
        let needed = found.entry((source, name.clone())).or_default();
        if !optional && needed.is_none() {
            *needed = Some(place.to_owned());
        }
    });
    found
}

/// Renames references for which there is a copy.
pub fn rename(pod_spec: &mut Value, copies: &BTreeMap<(Source, String), String>) {
    walk(pod_spec, &mut |source, name, _, _| {
        if let Some(copy) = copies.get(&(source, name.clone())) {
            name.clone_from(copy);
        }
    });
}

type Visit<'a> = dyn FnMut(Source, &mut String, &str, bool) + 'a;

fn walk(pod_spec: &mut Value, visit: &mut Visit<'_>) {
    for volume in items(pod_spec, "volumes") {
        let place = format!("volume {}", volume["name"].as_str().unwrap_or_default());
        see(volume.get_mut("configMap"), "name", Source::ConfigMap, &place, visit);
        see(volume.get_mut("secret"), "secretName", Source::Secret, &place, visit);
        let Some(projected) = volume.get_mut("projected") else { continue };
        for source in items(projected, "sources") {
            see(source.get_mut("configMap"), "name", Source::ConfigMap, &place, visit);
            see(source.get_mut("secret"), "name", Source::Secret, &place, visit);
        }
    }
    for list in ["initContainers", "containers"] {
        for container in items(pod_spec, list) {
            let place = format!("container {}", container["name"].as_str().unwrap_or_default());
            for variable in items(container, "env") {
                let Some(from) = variable.get_mut("valueFrom") else { continue };
                see(from.get_mut("configMapKeyRef"), "name", Source::ConfigMap, &place, visit);
                see(from.get_mut("secretKeyRef"), "name", Source::Secret, &place, visit);
            }
            for from in items(container, "envFrom") {
                see(from.get_mut("configMapRef"), "name", Source::ConfigMap, &place, visit);
                see(from.get_mut("secretRef"), "name", Source::Secret, &place, visit);
            }
        }
    }
}

fn items<'a>(value: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    value.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

fn see(
    reference: Option<&mut Value>,
    key: &str,
    source: Source,
    place: &str,
    visit: &mut Visit<'_>,
) {
    let Some(reference) = reference else { return };
    let optional = reference["optional"].as_bool().unwrap_or(false);
    if let Some(Value::String(name)) = reference.get_mut(key)
        && !name.is_empty()
    {
        visit(source, name, place, optional);
    }
}
