//! The controller itself.

use serde_json::{Value, json};

use super::{Manifest, Options, labels};

/// Port of probes and metrics.
const PORT: u16 = 8080;

/// The Deployment and its disruption budget.
pub(super) fn manifests(options: &Options) -> Vec<Manifest> {
    let selector =
        json!({ "app.kubernetes.io/name": "backout", "app.kubernetes.io/component": "controller" });
    let metadata =
        json!({ "name": "backout-controller", "namespace": options.namespace, "labels": labels() });
    vec![
        Manifest {
            why: "Two replicas: one leads, and the other takes over.".to_owned(),
            object: json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": metadata,
                "spec": {
                    "replicas": 2,
                    "selector": { "matchLabels": selector },
                    "template": {
                        "metadata": { "labels": {
                            "app.kubernetes.io/name": "backout",
                            "app.kubernetes.io/part-of": "backout",
                            "app.kubernetes.io/component": "controller",
                        } },
                        "spec": pod(options),
                    },
                },
            }),
        },
        Manifest {
            why: "A node that is drained never takes both replicas at once.".to_owned(),
            object: json!({
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": metadata,
                "spec": { "minAvailable": 1, "selector": { "matchLabels": selector } },
            }),
        },
    ]
}

fn pod(options: &Options) -> Value {
    let mut args = vec!["controller".to_owned(), format!("--address=0.0.0.0:{PORT}")];
    if options.cluster_wide {
        args.push("--cluster-wide".to_owned());
    }
    args.extend(options.watched().into_iter().map(|watched| format!("--watch={watched}")));
    let probe =
        |path: &str| json!({ "httpGet": { "path": path, "port": "http" }, "timeoutSeconds": 2 });
    json!({
        "serviceAccountName": "backout",
        "terminationGracePeriodSeconds": 30,
        "securityContext": { "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } },
        "containers": [{
            "name": "controller",
            "image": options.image,
            "args": args,
            "env": [{ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                    { "name": "POD_NAMESPACE", "valueFrom": { "fieldRef": { "fieldPath": "metadata.namespace" } } }],
            "ports": [{ "name": "http", "containerPort": PORT }],
            "livenessProbe": probe("/healthz"),
            "readinessProbe": probe("/readyz"),
            "resources": { "requests": { "cpu": "50m", "memory": "64Mi" }, "limits": { "memory": "256Mi" } },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": { "drop": ["ALL"] },
            },
        }],
    })
}
