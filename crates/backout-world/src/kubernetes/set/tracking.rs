//! Labels and annotations by which others recognise objects as theirs. A copy must not carry
//! them: a GitOps tool would take it for its own, and prune it, because Git does not know it.

use serde_json::{Map, Value, json};

/// Prefixes of keys that a copy does not carry.
const FOREIGN: [&str; 14] = [
    "argocd.argoproj.io/",
    "backout.dev/",
    "config.k8s.io/",
    "deployment.kubernetes.io/",
    "endpoints.kubernetes.io/",
    "external-dns.alpha.kubernetes.io/",
    "fluxcd.io/",
    "helm.sh/",
    "helm.toolkit.fluxcd.io/",
    "kubectl.kubernetes.io/last-applied-configuration",
    "kustomize.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "reconcile.fluxcd.io/",
    "autoscaling.alpha.kubernetes.io/",
];

fn is_foreign(key: &str) -> bool {
    FOREIGN.iter().any(|prefix| key.starts_with(prefix))
}

/// Whether Argo CD may recognise its objects by the label `app.kubernetes.io/instance`: it does
/// unless it is told to use its annotation.
#[must_use]
pub(super) fn argo_label(object: &Value) -> bool {
    let annotations = object["metadata"]["annotations"].as_object();
    let managers = object["metadata"]["managedFields"].as_array();
    annotations.into_iter().flatten().any(|(key, _)| key.starts_with("argocd.argoproj.io/"))
        || managers
            .into_iter()
            .flatten()
            .any(|entry| entry["manager"].as_str().is_some_and(|name| name.starts_with("argocd")))
}

/// The labels that a copy may carry.
#[must_use]
pub(super) fn labels(user: &Value, argo_label: bool) -> Map<String, Value> {
    let mut labels = kept(user);
    if argo_label {
        labels.remove("app.kubernetes.io/instance");
    }
    labels
}

/// The annotations that a copy may carry.
#[must_use]
pub(super) fn annotations(user: &Value) -> Map<String, Value> {
    kept(user)
}

fn kept(user: &Value) -> Map<String, Value> {
    let entries = user.as_object().into_iter().flatten();
    entries
        .filter(|(key, value)| !is_foreign(key) && value.is_string())
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect()
}
