//! A Service whose selector is switched.

use serde_json::{Value, json};

use super::bench::{CANDIDATE, Case, STABLE, THIRD};
use super::contract;

pub(super) fn case() -> Case {
    Case {
        route: json!({ "kind": "Service", "name": "shop" }),
        plural: "services",
        object: json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": "shop", "labels": { "team": "shop" } },
            "spec": { "selector": { "app": "shop", "tier": "web" }, "ports": [{ "port": 80 }] },
        }),
        weights: &[100, 0],
        shows,
        third: |_| json!({ "selector": { "backout.dev/release": THIRD } }),
    }
}

pub(super) fn shows(spec: &Value) -> Option<u8> {
    let of_set = |set: &str| spec["selector"] == json!({ "backout.dev/release": set });
    match (of_set(STABLE), of_set(CANDIDATE)) {
        (true, _) => Some(0),
        (_, true) => Some(100),
        _ => None,
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    contract::holds("selector", case()).await;
}
