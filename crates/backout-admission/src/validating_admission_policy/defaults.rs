//! What the API server fills in before admission sees an object: the defaults of workloads and
//! services that policies ask for. Without them an expression about a field that is left out would
//! end in an error here and not in a cluster.
//!
//! The values are those that an API server of Kubernetes 1.36 returns. Fields whose default depends
//! on the cluster, such as the addresses of a service, are not there.

use backout_core::document::Segment;
use backout_core::manifest::Manifest;
use serde_json::{Map, Value, json};

/// Fills in the defaults of an object.
pub(super) fn fill(object: &mut Value, manifest: &Manifest) {
    let kind = (manifest.group(), manifest.version(), manifest.kind());
    if !is_built_in(kind) {
        return;
    }
    if let Some(path) = manifest.pod_template_path()
        && let Some(template) = descend(object, path.segments())
    {
        if let Some(template) = template.as_object_mut() {
            set(template, "metadata", &json!({}));
        }
        if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
            pod(spec, manifest.kind() == "Pod");
        }
    }
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    match kind.2 {
        "Deployment" => deployment(spec),
        "StatefulSet" => stateful_set(spec),
        "DaemonSet" => {
            set(spec, "revisionHistoryLimit", &json!(10));
            let rolling = json!({"maxSurge": 0, "maxUnavailable": 1});
            update(spec, "updateStrategy", &rolling);
        }
        "ReplicaSet" | "ReplicationController" => set(spec, "replicas", &json!(1)),
        "Job" => job(spec),
        "CronJob" => {
            cron_job(spec);
            if let Some(job) = spec.get_mut("jobTemplate").and_then(Value::as_object_mut) {
                set(job, "metadata", &json!({}));
            }
        }
        "Service" => service(spec),
        _ => {}
    }
}

fn is_built_in(kind: (&str, &str, &str)) -> bool {
    matches!(
        kind,
        ("", "v1", "Pod" | "ReplicationController" | "Service")
            | ("apps", "v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("batch", "v1", "Job" | "CronJob")
    )
}

fn descend<'a>(value: &'a mut Value, path: &[Segment]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(key),
        Segment::Index(index) => value.get_mut(*index),
    })
}

/// Sets a field that is left out or null.
fn set(fields: &mut Map<String, Value>, key: &str, value: &Value) {
    let is_missing = fields.get(key).is_none_or(Value::is_null);
    if is_missing {
        fields.insert(key.to_owned(), value.clone());
    }
}

fn set_all(fields: &mut Map<String, Value>, defaults: &[(&str, Value)]) {
    for (key, value) in defaults {
        set(fields, key, value);
    }
}

fn items<'a>(
    fields: &'a mut Map<String, Value>,
    list: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    let list = fields.get_mut(list).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// A strategy of updates, which rolls unless it says otherwise.
fn update(spec: &mut Map<String, Value>, field: &str, rolling: &Value) {
    set(spec, field, &json!({}));
    let Some(strategy) = spec.get_mut(field).and_then(Value::as_object_mut) else { return };
    set(strategy, "type", &json!("RollingUpdate"));
    if strategy.get("type") == Some(&json!("RollingUpdate")) {
        set(strategy, "rollingUpdate", &json!({}));
        let given = strategy.get_mut("rollingUpdate").and_then(Value::as_object_mut);
        if let (Some(given), Some(rolling)) = (given, rolling.as_object()) {
            rolling.iter().for_each(|(key, value)| set(given, key, value));
        }
    }
}

fn deployment(spec: &mut Map<String, Value>) {
    set_all(
        spec,
        &[
            ("replicas", json!(1)),
            ("revisionHistoryLimit", json!(10)),
            ("progressDeadlineSeconds", json!(600)),
        ],
    );
    update(spec, "strategy", &json!({"maxSurge": "25%", "maxUnavailable": "25%"}));
}

fn stateful_set(spec: &mut Map<String, Value>) {
    set_all(
        spec,
        &[
            ("replicas", json!(1)),
            ("revisionHistoryLimit", json!(10)),
            ("podManagementPolicy", json!("OrderedReady")),
            ("serviceName", json!("")),
            (
                "persistentVolumeClaimRetentionPolicy",
                json!({"whenDeleted": "Retain", "whenScaled": "Retain"}),
            ),
        ],
    );
    update(spec, "updateStrategy", &json!({"partition": 0}));
}

fn job(spec: &mut Map<String, Value>) {
    let indexed = spec.get("completionMode") == Some(&json!("Indexed"));
    if !indexed && spec.get("parallelism").is_none() {
        set(spec, "completions", &json!(1));
    }
    set_all(
        spec,
        &[
            ("parallelism", json!(1)),
            ("completionMode", json!("NonIndexed")),
            ("manualSelector", json!(false)),
            ("suspend", json!(false)),
            ("podReplacementPolicy", json!("TerminatingOrFailed")),
        ],
    );
    if !spec.contains_key("backoffLimitPerIndex") {
        set(spec, "backoffLimit", &json!(6));
    }
}

fn cron_job(spec: &mut Map<String, Value>) {
    set_all(
        spec,
        &[
            ("concurrencyPolicy", json!("Allow")),
            ("suspend", json!(false)),
            ("successfulJobsHistoryLimit", json!(3)),
            ("failedJobsHistoryLimit", json!(1)),
        ],
    );
}

fn service(spec: &mut Map<String, Value>) {
    set_all(spec, &[("type", json!("ClusterIP")), ("sessionAffinity", json!("None"))]);
    if spec.get("type") != Some(&json!("ExternalName")) {
        set(spec, "internalTrafficPolicy", &json!("Cluster"));
    }
    for port in items(spec, "ports") {
        set(port, "protocol", &json!("TCP"));
        if let Some(number) = port.get("port").cloned() {
            set(port, "targetPort", &number);
        }
    }
}

fn pod(spec: &mut Map<String, Value>, is_itself: bool) {
    set_all(
        spec,
        &[
            ("restartPolicy", json!("Always")),
            ("dnsPolicy", json!("ClusterFirst")),
            ("schedulerName", json!("default-scheduler")),
            ("securityContext", json!({})),
            ("terminationGracePeriodSeconds", json!(30)),
        ],
    );
    for list in ["containers", "initContainers"] {
        for one in items(spec, list) {
            container(one);
            if is_itself {
                requests(one);
            }
        }
    }
    for volume in items(spec, "volumes") {
        for source in ["configMap", "secret", "downwardAPI", "projected"] {
            if let Some(source) = volume.get_mut(source).and_then(Value::as_object_mut) {
                set(source, "defaultMode", &json!(420));
            }
        }
        if let Some(path) = volume.get_mut("hostPath").and_then(Value::as_object_mut) {
            set(path, "type", &json!(""));
        }
    }
}

fn container(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    let is_latest =
        !image.contains('@') && name.split_once(':').is_none_or(|(_, tag)| tag == "latest");
    let pull = if is_latest { "Always" } else { "IfNotPresent" };
    set_all(
        container,
        &[
            ("imagePullPolicy", json!(pull)),
            ("terminationMessagePath", json!("/dev/termination-log")),
            ("terminationMessagePolicy", json!("File")),
            ("resources", json!({})),
        ],
    );
    for port in items(container, "ports") {
        set(port, "protocol", &json!("TCP"));
    }
    for variable in items(container, "env") {
        let from = variable.get_mut("valueFrom").and_then(|from| from.get_mut("fieldRef"));
        if let Some(field) = from.and_then(Value::as_object_mut) {
            set(field, "apiVersion", &json!("v1"));
        }
    }
    for field in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(field).and_then(Value::as_object_mut) {
            set_all(
                probe,
                &[
                    ("timeoutSeconds", json!(1)),
                    ("periodSeconds", json!(10)),
                    ("successThreshold", json!(1)),
                    ("failureThreshold", json!(3)),
                ],
            );
            if let Some(get) = probe.get_mut("httpGet").and_then(Value::as_object_mut) {
                set_all(get, &[("path", json!("/")), ("scheme", json!("HTTP"))]);
            }
        }
    }
}

/// What is limited and not requested is requested as well; the API server does not do this to
/// templates.
fn requests(container: &mut Map<String, Value>) {
    let resources = container.get_mut("resources").and_then(Value::as_object_mut);
    if let Some(resources) = resources
        && let Some(Value::Object(limits)) = resources.get("limits").cloned()
    {
        set(resources, "requests", &json!({}));
        if let Some(requests) = resources.get_mut("requests").and_then(Value::as_object_mut) {
            limits.iter().for_each(|(name, limit)| set(requests, name, limit));
        }
    }
}

#[cfg(test)]
mod tests {
    use backout_core::manifest::{limits, read};

    use super::*;

    /// What an API server of Kubernetes 1.36 made of the manifests in `given.yaml`, without the
    /// fields that it makes up.
    const RETURNED: &str = include_str!("defaults/returned.json");
    const GIVEN: &str = include_str!("defaults/given.yaml");

    #[test]
    fn objects_become_what_an_api_server_returned() {
        let returned: Vec<Value> = serde_json::from_str(RETURNED).unwrap();
        let given = read("given.yaml", GIVEN.as_bytes(), &limits()).unwrap();
        assert_eq!(given.len(), returned.len());
        for (manifest, returned) in given.iter().zip(returned) {
            let world = super::super::World::of(&[]);
            let subject = super::super::matching::Subject::new(manifest, &world);
            assert_eq!(super::super::object(&subject)["spec"], returned["spec"], "{manifest}");
        }
    }

    #[test]
    fn what_is_given_stays_and_other_kinds_are_left_alone() {
        let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "spec": {"replicas": 0, "strategy": {"type": "Recreate"}}});
        let manifest = Manifest::of_value("m", object.clone());
        fill(&mut object, &manifest);
        assert_eq!(object["spec"]["replicas"], 0);
        assert_eq!(object["spec"]["strategy"], json!({"type": "Recreate"}));
        let mut odd = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "spec": {"strategy": 1, "template": {"spec": {"containers": [1, {"ports": 2}]}}}});
        let manifest = Manifest::of_value("m", odd.clone());
        fill(&mut odd, &manifest);
        assert_eq!(odd["spec"]["strategy"], 1);
        let mut other = json!({"apiVersion": "example.com/v1", "kind": "Deployment", "spec": {}});
        let manifest = Manifest::of_value("m", other.clone());
        fill(&mut other, &manifest);
        assert_eq!(other["spec"], json!({}));
    }
}
