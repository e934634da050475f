//! The demo application as objects of a cluster.

use anyhow::{Context, Result};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::cluster::registry::APP;

/// The namespace of the demo.
pub const NAMESPACE: &str = "shop";

/// Applies a namespaced object of any kind, or a Namespace.
///
/// # Errors
/// The API server refuses it.
pub async fn apply(client: &Client, object: &Value) -> Result<()> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (kind, name) =
        (text("/kind").context("no kind")?, text("/metadata/name").context("no name")?);
    let version = text("/apiVersion").context("no apiVersion")?;
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = match text("/metadata/namespace") {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let ours = PatchParams::apply("scenario").force();
    api.patch(name, &ours, &Patch::Apply(object))
        .await
        .with_context(|| format!("cannot apply {kind} {name}"))?;
    Ok(())
}

/// Namespace, ConfigMap and Service of the demo.
///
/// # Errors
/// The API server refuses one of them.
pub async fn surroundings(client: &Client) -> Result<()> {
    let meta = |name: &str| json!({"name": name, "namespace": NAMESPACE});
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("checkout"),
        "data": {"config": "greeting: hello\n"},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": meta("checkout"),
        "spec": {
            "selector": {"app": "checkout"},
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    });
    for object in [namespace, config, service] {
        apply(client, &object).await?;
    }
    Ok(())
}

/// A Deployment of the demo that runs this digest.
#[must_use]
pub fn deployment(name: &str, replicas: u32, digest: &str) -> Value {
    let probe = json!({"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "containers": [{
                        "name": "checkout",
                        "image": format!("{APP}@{digest}"),
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "readinessProbe": probe,
                        "volumeMounts": [{"name": "config", "mountPath": "/etc/app"}],
                    }],
                    "volumes": [{"name": "config", "configMap": {"name": "checkout"}}],
                },
            },
        },
    })
}
