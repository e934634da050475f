//! Which containers serve.

use std::collections::BTreeSet;

use backout_core::manifest::Manifest;
use serde_json::Value;

use super::Pod;

/// The names of the containers that serve: those behind the ports of a Service that selects the
/// pods, and where no Service is known, those that have ports.
pub(super) fn of(pod: &Pod<'_>, manifests: &[Manifest]) -> BTreeSet<String> {
    let services: Vec<&Manifest> = manifests
        .iter()
        .filter(|manifest| manifest.kind() == "Service" && manifest.group().is_empty())
        .filter(|service| selects(service, pod))
        .collect();
    let mut serving = BTreeSet::new();
    let containers: Vec<(&str, &Value, bool)> = pod
        .containers()
        .map(|(_, value, init)| (value["name"].as_str().unwrap_or_default(), value, init))
        .collect();
    let main: Vec<&str> =
        containers.iter().filter(|(_, _, init)| !init).map(|(name, _, _)| *name).collect();
    for service in &services {
        for port in service.value["spec"]["ports"].as_array().into_iter().flatten() {
            let target =
                if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
            let owner = containers.iter().find(|(_, value, _)| has_port(value, target));
            match (owner, main.as_slice()) {
                (Some((name, _, _)), _) => drop(serving.insert((*name).to_owned())),
                // A port that nobody declares is still served; by the only one who can.
                (None, [only]) => drop(serving.insert((*only).to_owned())),
                (None, _) => {}
            }
        }
    }
    if services.is_empty() {
        let with_ports = containers.iter().filter(|(_, value, _)| has_ports(value));
        serving.extend(with_ports.map(|(name, _, _)| (*name).to_owned()));
    }
    serving
}

fn has_ports(container: &Value) -> bool {
    container["ports"].as_array().is_some_and(|ports| !ports.is_empty())
}

fn has_port(container: &Value, target: &Value) -> bool {
    let ports = container["ports"].as_array().into_iter().flatten();
    ports.into_iter().any(|port| match target {
        Value::String(name) => port["name"].as_str() == Some(name),
        number => port["containerPort"] == *number,
    })
}

/// Whether a Service selects the pods. One without a selector selects nothing.
fn selects(service: &Manifest, pod: &Pod<'_>) -> bool {
    let labels = &pod.template["metadata"]["labels"];
    let same_namespace = match (service.namespace(), pod.manifest.namespace()) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    let selector = service.value["spec"]["selector"].as_object();
    same_namespace
        && selector.is_some_and(|selector| {
            !selector.is_empty() && selector.iter().all(|(key, value)| labels[key] == *value)
        })
}
