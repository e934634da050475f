//! The CustomResourceDefinitions.

use backout_core::policy::PolicySpec;
use backout_core::release::ReleaseSpec;
use serde_json::{Value, json};

use super::quarantine::QuarantineSpec;
use super::status::{PolicyStatus, ReleaseStatus};
use super::structural::schema_of;
use super::{GROUP, Resource, VERSION, rules};

/// Every definition, in the order of [`Resource::ALL`].
#[must_use]
pub fn definitions() -> Vec<Value> {
    Resource::ALL.into_iter().map(definition).collect()
}

/// The definition of one kind.
#[must_use]
pub fn definition(resource: Resource) -> Value {
    let (plural, kind) = (resource.plural(), resource.kind());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{GROUP}"),
            "labels": { "app.kubernetes.io/name": "backout", "app.kubernetes.io/part-of": "backout" },
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": format!("{kind}List"),
                "plural": plural,
                "singular": kind.to_lowercase(),
                "shortNames": [short(resource)],
                "categories": ["all", "backout"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "additionalPrinterColumns": columns(resource),
                "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": schema(resource) },
            }],
        },
    })
}

const fn short(resource: Resource) -> &'static str {
    match resource {
        Resource::ReleasePolicy => "rp",
        Resource::Release => "rel",
        Resource::Quarantine => "quar",
    }
}

fn schema(resource: Resource) -> Value {
    let (description, spec, status) = match resource {
        Resource::ReleasePolicy => {
            let mut spec = schema_of::<PolicySpec>();
            rules::policy(&mut spec);
            (
                "How one workload is released and backed out.",
                spec,
                status_of(schema_of::<PolicyStatus>()),
            )
        }
        Resource::Release => {
            let mut spec = schema_of::<ReleaseSpec>();
            rules::release(&mut spec);
            (
                "An immutable record of what is shipped.",
                spec,
                status_of(schema_of::<ReleaseStatus>()),
            )
        }
        Resource::Quarantine => {
            let mut spec = schema_of::<QuarantineSpec>();
            rules::quarantine(&mut spec);
            let status = json!({
                "type": "object",
                "description": "Nothing yet: a quarantine holds from the moment that it exists.",
            });
            ("A digest that must not be deployed again.", spec, status)
        }
    };
    json!({
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": { "type": "string", "description": "Always `backout.dev/v1alpha1`." },
            "kind": { "type": "string", "description": format!("Always `{}`.", resource.kind()) },
            "metadata": { "type": "object" },
            "spec": spec,
            "status": status,
        },
    })
}

/// A status: no defaults, since only the controller writes it, and conditions by their type.
fn status_of(mut schema: Value) -> Value {
    without_defaults(&mut schema);
    let conditions = &mut schema["properties"]["conditions"];
    conditions["x-kubernetes-list-type"] = json!("map");
    conditions["x-kubernetes-list-map-keys"] = json!(["type"]);
    schema
}

fn without_defaults(schema: &mut Value) {
    if let Some(fields) = schema.as_object_mut() {
        fields.remove("default");
    }
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(without_defaults);
    }
    if let Some(items) = schema.get_mut("items") {
        without_defaults(items);
    }
}

fn columns(resource: Resource) -> Vec<Value> {
    let column = |name: &str, kind: &str, path: &str, priority: u8| json!({ "name": name, "type": kind, "jsonPath": path, "priority": priority });
    let ready = |field: &str| format!(".status.conditions[?(@.type==\"Ready\")].{field}");
    let mut columns = match resource {
        Resource::ReleasePolicy => vec![
            column("Workload", "string", ".spec.workload.name", 0),
            column("Known-Good", "string", ".status.knownGood", 0),
            column("Active", "string", ".status.activeRelease", 0),
            column("Ready", "string", &ready("status"), 0),
        ],
        Resource::Release => vec![
            column("Phase", "string", ".status.phase", 0),
            column("Step", "string", ".status.step", 0),
            column("Weight", "integer", ".status.weight", 0),
            column("Verdict", "string", ".status.verdict", 0),
            column("Target", "string", ".spec.workload", 0),
        ],
        Resource::Quarantine => vec![
            column("Digest", "string", ".spec.digest", 0),
            column("Reason", "string", ".spec.reason", 0),
            column("Release", "string", ".spec.release", 0),
        ],
    };
    columns.push(column("Age", "date", ".metadata.creationTimestamp", 0));
    if resource == Resource::Release {
        columns.push(column("Reason", "string", &ready("reason"), 1));
        columns.push(column("Message", "string", ".status.message", 1));
    }
    columns
}
