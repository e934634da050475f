//! The policy that refuses images in quarantine.
//!
//! A way back must never be blocked by it unless it leads to a quarantined image. So it looks only
//! at what is new: creating a pod or a workload, and changing the images of one. Scaling, labels
//! and deletion of what runs already are let through. Pods that a running workload of before the
//! quarantine replaces are refused, though: that is what a quarantine is for.

use serde_json::{Value, json};

use super::{Manifest, Options, labels};

const ADMISSION: &str = "admissionregistration.k8s.io/v1";

/// The policy and its binding.
pub(super) fn manifests(options: &Options) -> Vec<Manifest> {
    vec![
        Manifest {
            why: "Refuses images whose digest is in quarantine in the same namespace. It fails open: while\nit cannot be evaluated, pods are let through, since a cluster in which no pod can be made cannot\ngo back either. The controller checks the digest itself before it creates a set."
                .to_owned(),
            object: policy(),
        },
        Manifest { why: "Where it holds: wherever releases are watched.".to_owned(), object: binding(options) },
    ]
}

/// The pod of a pod, or of a workload's template, or of a job's template.
fn pod(object: &str) -> String {
    format!(
        "has({object}.spec.jobTemplate) ? {object}.spec.jobTemplate.spec.template.spec : has({object}.spec.template) ? {object}.spec.template.spec : {object}.spec"
    )
}

/// The images of a pod, as a list.
fn images(pod: &str) -> String {
    let list = |field: &str| {
        format!("(has({pod}.{field}) ? {pod}.{field}.filter(c, has(c.image)).map(c, c.image) : [])")
    };
    ["containers", "initContainers", "ephemeralContainers"].map(list).join(" + ")
}

fn policy() -> Value {
    json!({
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": "backout-quarantine", "labels": labels() },
        "spec": {
            "failurePolicy": "Ignore",
            "paramKind": { "apiVersion": "backout.dev/v1alpha1", "kind": "Quarantine" },
            "matchConstraints": { "resourceRules": [
                { "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                  "resources": ["pods", "pods/ephemeralcontainers", "replicationcontrollers"] },
                { "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                  "resources": ["deployments", "replicasets", "statefulsets", "daemonsets"] },
                { "apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                  "resources": ["jobs", "cronjobs"] },
            ] },
            "variables": [
                { "name": "pod", "expression": pod("object") },
                { "name": "images", "expression": images("variables.pod") },
                { "name": "before", "expression": "oldObject == null ? object : oldObject" },
                { "name": "podBefore", "expression": pod("variables.before") },
                { "name": "imagesBefore", "expression": format!("oldObject == null ? [] : {}", images("variables.podBefore")) },
                { "name": "added", "expression": "variables.images.filter(image, !(image in variables.imagesBefore))" },
            ],
            "validations": [{
                "expression": "!variables.added.exists(image, image.endsWith('@' + params.spec.digest))",
                "messageExpression": "'the image ' + params.spec.digest + ' is in quarantine: ' + params.spec.reason + '; deploy another one, or lift it: kubectl delete quarantine -n ' + params.metadata.namespace + ' ' + params.metadata.name",
                "reason": "Forbidden",
            }],
        },
    })
}

fn binding(options: &Options) -> Value {
    let mut binding = json!({
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": "backout-quarantine", "labels": labels() },
        "spec": {
            "policyName": "backout-quarantine",
            "paramRef": { "selector": {}, "parameterNotFoundAction": "Allow" },
            "validationActions": ["Deny"],
        },
    });
    if !options.cluster_wide {
        binding["spec"]["matchResources"] = json!({ "namespaceSelector": { "matchExpressions": [{
            "key": "kubernetes.io/metadata.name", "operator": "In", "values": options.watched(),
        }] } });
    }
    binding
}
