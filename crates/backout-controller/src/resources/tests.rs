//! Tests of reading objects; what an API server makes of the definitions is in `cluster`.

mod cluster;

use kube::core::DynamicObject;
use serde_json::{Value, json};

use super::{Resource, definition, parse_policy, parse_quarantine, parse_release};

const DIGEST: &str = "sha256:300530181695c9885f702902bc7fed7f2cc510a936d4a73bd8014daedf200f3b";

/// A document of the example.
fn example(file: &str) -> Value {
    let path = format!("{}/../../examples/checkout/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the example is there");
    serde_saphyr::from_str(&text).expect("the example is YAML")
}

fn object(resource: Resource, document: &Value) -> DynamicObject {
    let mut object = DynamicObject::new("", &resource.api());
    object.metadata = serde_json::from_value(document["metadata"].clone()).expect("metadata");
    object.data = json!({ "spec": document["spec"] });
    object
}

#[test]
fn the_example_is_read_as_from_files() {
    let policy = object(Resource::ReleasePolicy, &example("backout.yaml"));
    assert_eq!(parse_policy(&policy).expect("valid").metadata.namespace.as_str(), "shop");
    let release = object(Resource::Release, &example("releases/1.41.0.yaml"));
    assert_eq!(parse_release(&release).expect("valid").spec.version, "1.41.0");
}

#[test]
fn what_is_wrong_is_said_with_its_field() {
    let mut document = example("backout.yaml");
    document["spec"]["triggers"]["window"] = json!("soon");
    let invalid = parse_policy(&object(Resource::ReleasePolicy, &document)).unwrap_err();
    assert_eq!(invalid.object, "ReleasePolicy shop/checkout");
    assert!(invalid.problems[0].starts_with("spec.triggers.window: "), "{invalid}");
    let mut document = example("backout.yaml");
    document["spec"]["triggers"]["consecutive"] = json!(0);
    document["spec"]["signals"] = json!([]);
    let invalid = parse_policy(&object(Resource::ReleasePolicy, &document)).unwrap_err();
    assert_eq!(invalid.problems.len(), 2, "{invalid}");
}

#[test]
fn an_object_without_a_body_is_no_panic() {
    let empty = DynamicObject::new("a", &Resource::Release.api());
    assert!(!parse_release(&empty).unwrap_err().problems.is_empty());
    assert!(!parse_quarantine(&empty).unwrap_err().problems.is_empty());
    let document =
        json!({ "metadata": { "name": "a" }, "spec": { "digest": DIGEST, "reason": "bad" } });
    assert_eq!(parse_quarantine(&object(Resource::Quarantine, &document)).unwrap().reason, "bad");
}

#[test]
fn a_quarantine_is_read_as_the_engine_writes_it() {
    let document = json!({
        "metadata": { "name": "sha256-3005301816", "namespace": "shop" },
        "spec": {
            "digest": DIGEST, "reason": "error-rate 12%", "release": "checkout-1-42-0",
            "since": "2026-02-03T09:30:00Z",
        },
    });
    let read = parse_quarantine(&object(Resource::Quarantine, &document)).expect("valid");
    assert_eq!(read.since.as_deref(), Some("2026-02-03T09:30:00Z"));
}

#[test]
fn every_rule_is_on_a_field_that_exists() {
    fn check(schema: &Value, path: &str) {
        let typed = schema.get("type").is_some();
        assert!(
            typed || schema["x-kubernetes-preserve-unknown-fields"] == true,
            "{path}: {schema}"
        );
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            check(property, &format!("{path}.{name}"));
        }
        if let Some(items) = schema.get("items") {
            check(items, &format!("{path}[]"));
        }
    }
    for resource in Resource::ALL {
        let definition = definition(resource);
        check(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], resource.kind());
    }
}
