//! Definitions of the Gateway API's resources: the fields that the tests need, and no others
//! refused.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::time::timeout;

const GROUP: &str = "gateway.networking.k8s.io";

/// HTTPRoute, GRPCRoute and Gateway in `v1`, with status as a subresource.
#[must_use]
pub fn gateway_api_crds() -> Vec<CustomResourceDefinition> {
    let everything = json!([{ "path": { "type": "PathPrefix", "value": "/" } }]);
    let definitions = [
        definition("HTTPRoute", "httproutes", &route_spec(Some(everything))),
        definition("GRPCRoute", "grpcroutes", &route_spec(None)),
        definition("Gateway", "gateways", &open_object()),
    ];
    definitions.into_iter().filter_map(|value| serde_json::from_value(value).ok()).collect()
}

/// Applies the definitions and waits until the API server serves them.
///
/// # Errors
/// When the API server refuses one, or does not serve it within 20 s.
pub async fn apply_gateway_api(client: &Client) -> Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let parameters = PatchParams::apply("backout-e2e").force();
    for definition in gateway_api_crds() {
        let name = definition.name_any();
        api.patch(&name, &parameters, &Patch::Apply(&definition))
            .await
            .with_context(|| format!("CustomResourceDefinition {name} not applied"))?;
        let established = await_condition(api.clone(), &name, is_crd_established());
        timeout(Duration::from_secs(20), established)
            .await
            .with_context(|| format!("CustomResourceDefinition {name} not served within 20 s"))?
            .with_context(|| format!("CustomResourceDefinition {name} not watched"))?;
    }
    Ok(())
}

fn definition(kind: &str, plural: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{GROUP}"),
            // The API server asks for it in groups of Kubernetes itself.
            "annotations": { "api-approved.kubernetes.io": "unapproved, for tests" },
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind, "plural": plural, "singular": kind.to_lowercase(),
                "listKind": format!("{kind}List"), "categories": ["gateway-api"],
            },
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "required": ["spec"],
                    "properties": { "spec": spec, "status": open_object() },
                } },
            }],
        },
    })
}

fn open_object() -> Value {
    json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// The defaults are those of the Gateway API, as they change what a client reads back.
fn route_spec(default_matches: Option<Value>) -> Value {
    let reference = |kind: &str, group: &str| {
        json!({
            "type": "object",
            "required": ["name"],
            "x-kubernetes-preserve-unknown-fields": true,
            "properties": {
                "group": { "type": "string", "default": group },
                "kind": { "type": "string", "default": kind },
                "name": { "type": "string", "minLength": 1 },
                "namespace": { "type": "string" },
                "port": { "type": "integer", "format": "int32", "minimum": 1, "maximum": 65_535 },
            },
        })
    };
    let mut backend = reference("Service", "");
    backend["properties"]["weight"] = json!({
        "type": "integer", "format": "int32", "default": 1, "minimum": 0, "maximum": 1_000_000,
    });
    let mut matches = json!({ "type": "array", "items": open_object() });
    if let Some(default) = default_matches {
        matches["default"] = default;
    }
    json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {
            "hostnames": { "type": "array", "items": { "type": "string" } },
            "parentRefs": { "type": "array", "items": reference("Gateway", GROUP) },
            "rules": { "type": "array", "maxItems": 16, "items": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true,
                "properties": {
                    "matches": matches,
                    "backendRefs": { "type": "array", "maxItems": 16, "items": backend },
                },
            } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_definitions_are_readable() {
        assert_eq!(gateway_api_crds().len(), 3);
    }
}
