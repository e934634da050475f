//! GRPCRoute.

use serde_json::{Value, json};

use super::bench::{Case, THIRD};
use super::{contract, share_of_rules};

fn case() -> Case {
    Case {
        route: json!({ "kind": "GRPCRoute", "name": "shop" }),
        plural: "grpcroutes",
        object: json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute",
            "metadata": { "name": "shop", "labels": { "team": "shop" } },
            "spec": { "hostnames": ["shop.example"], "rules": [
                { "backendRefs": [
                    { "name": "shop", "port": 80, "weight": 3, "filters": [] },
                    { "name": "legacy", "port": 81, "weight": 1 },
                ] },
                { "matches": [{ "method": { "service": "shop.Cart" } }], "backendRefs": [{ "name": "shop", "port": 80 }] },
                { "matches": [{ "method": { "service": "shop.Old" } }], "backendRefs": [{ "name": "legacy", "port": 81 }] },
            ] },
        }),
        weights: &[5, 33, 100, 0],
        shows: share_of_rules,
        third,
    }
}

/// One more backend in the first rule.
fn third(spec: &Value) -> Value {
    let mut rules = spec["rules"].clone();
    let backends = rules[0]["backendRefs"].as_array_mut().expect("backends");
    backends.push(json!({ "name": THIRD, "port": 80, "weight": 0 }));
    json!({ "rules": rules })
}

#[tokio::test]
async fn keeps_the_contract() {
    contract::holds("grpc-route", case()).await;
}
