//! What the user of the shop has, before Backout is there.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::super::demo::{self, NAMESPACE};
use super::{HOST, REPLICAS, WORKLOAD};
use crate::cluster::registry::APP;

/// The version that serves at first.
pub(super) const FIRST: &str = "1.41.0";

/// The user's objects that must outlive everything, as plural and name.
pub(super) fn users() -> Vec<(&'static str, String)> {
    ["deployments", "services", "configmaps", "httproutes"]
        .map(|resource| (resource, WORKLOAD.to_owned()))
        .into_iter()
        .chain([("gateways", "public".to_owned())])
        .collect()
}

/// The Deployment, by its tag, as most people write it.
pub(super) fn deployment() -> Value {
    let mut deployment = demo::deployment(WORKLOAD, REPLICAS, "");
    deployment["metadata"]["labels"] = json!({"app.kubernetes.io/version": FIRST});
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!(format!("{APP}:{FIRST}"));
    deployment
}

/// The settings that pods read.
pub(super) fn config(greeting: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": WORKLOAD, "namespace": NAMESPACE},
        "data": {"config": format!("greeting: {greeting}\n")},
    })
}

/// Gateway and route from the outside.
pub(super) fn gateway() -> [Value; 2] {
    let group = "gateway.networking.k8s.io/v1";
    [
        json!({
            "apiVersion": group, "kind": "Gateway",
            "metadata": {"name": "public", "namespace": NAMESPACE},
            "spec": {
                "gatewayClassName": "envoy",
                "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}],
            },
        }),
        json!({
            "apiVersion": group, "kind": "HTTPRoute",
            "metadata": {"name": WORKLOAD, "namespace": NAMESPACE},
            "spec": {
                "parentRefs": [{"name": "public"}],
                "hostnames": [HOST],
                "rules": [{"backendRefs": [{"name": WORKLOAD, "port": 80}]}],
            },
        }),
    ]
}

/// A chart beside the policy, as small as a chart can be.
pub(super) fn write_chart(folder: &Path) -> Result<()> {
    let chart = folder.join("chart");
    std::fs::create_dir_all(chart.join("templates")).context("cannot make the chart's folder")?;
    let about = "apiVersion: v2\nname: checkout\nversion: 1.0.0\nappVersion: 1.41.0\n";
    for (name, text) in [("Chart.yaml", about), ("values.yaml", "{}\n")] {
        std::fs::write(chart.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}
