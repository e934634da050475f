//! Records of releases of the shop.

use anyhow::{Context, Result};
use backout_core::release::Release;
use serde_json::json;

use super::super::demo::NAMESPACE;
use super::WORKLOAD;
use crate::cluster::registry::APP;

/// The record of a version, whose image has this digest (`sha256:` and 64 digits).
///
/// # Errors
/// Version or digest are not what a record takes.
pub fn record(version: &str, digest: &str) -> Result<Release> {
    let document = json!({
        "apiVersion": "backout.dev/v1alpha1",
        "kind": "Release",
        "metadata": {"name": format!("{WORKLOAD}-{version}"), "namespace": NAMESPACE},
        "spec": {
            "workload": WORKLOAD,
            "version": version,
            "images": [
                {"name": "checkout", "repository": APP, "tag": version, "digest": digest},
            ],
            "config": {"revision": "0".repeat(40), "chartVersion": "1.0.0"},
            "context": {
                "gitSha": "1".repeat(40), "gitRef": format!("refs/tags/v{version}"),
                "repository": "https://git.shop.example/shop/checkout",
                "buildNumber": 1, "builtAt": "2026-01-02T03:04:05Z",
            },
        },
    });
    serde_json::from_value(document).with_context(|| format!("the record of {version}"))
}
