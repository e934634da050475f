//! What keeps a set's pods from running, in words.

use serde_json::Value;

use crate::kubernetes::objects::name;

/// What keeps a set's pods from running. Pods are made by a controller: what an admission webhook
/// says about them, or a quota, nobody hears who only creates a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SetCondition {
    /// Who refused the pods, and why: trying again gives the same answer.
    pub(super) refused: Option<String>,
    /// What the pods wait for; may pass.
    pub(super) waiting: Option<String>,
}

impl SetCondition {
    /// What the Deployment, its ReplicaSet and its pods say.
    #[must_use]
    pub(super) fn of(deployment: &Value, replica_set: Option<&Value>, pods: &[&Value]) -> Self {
        let mut condition = Self::default();
        for object in [Some(deployment), replica_set].into_iter().flatten() {
            let Some(message) = told(object, "ReplicaFailure", "True") else { continue };
            // A quota or a missing service account may come right without a new release; what a
            // webhook or a security standard says about this template stays.
            let stays = message.contains("denied the request")
                || message.contains("violates PodSecurity")
                || message.contains("is invalid");
            let place = if stays { &mut condition.refused } else { &mut condition.waiting };
            place.get_or_insert_with(|| format!("pods cannot be created: {message}"));
        }
        if condition.waiting.is_none() {
            condition.waiting = pods.iter().find_map(|pod| waits_for(pod));
        }
        if condition.waiting.is_none()
            && let Some(message) = told(deployment, "Progressing", "False")
        {
            condition.waiting = Some(message.to_owned());
        }
        condition
    }
}

/// The message of a condition that has this status.
fn told<'a>(object: &'a Value, kind: &str, status: &str) -> Option<&'a str> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| {
        condition["type"].as_str() == Some(kind) && condition["status"].as_str() == Some(status)
    })?;
    found["message"].as_str().or_else(|| found["reason"].as_str())
}

fn waits_for(pod: &Value) -> Option<String> {
    let pod_name = name(pod);
    if let Some(message) = told(pod, "PodScheduled", "False") {
        return Some(format!("pod {pod_name} has no node: {message}"));
    }
    let containers = ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .filter_map(|list| pod["status"][list].as_array())
        .flatten();
    containers.filter_map(|container| stuck(pod_name, container)).next()
}

fn stuck(pod: &str, status: &Value) -> Option<String> {
    let waiting = status["state"]["waiting"].as_object()?;
    let reason = waiting.get("reason").and_then(Value::as_str)?;
    let container = format!("container {} of pod {pod}", status["name"].as_str().unwrap_or("?"));
    let words = match reason {
        "ContainerCreating" | "PodInitializing" => return None,
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
            "cannot pull its image".to_owned()
        }
        "CrashLoopBackOff" => {
            let last = &status["lastState"]["terminated"];
            match (last["exitCode"].as_i64(), last["reason"].as_str()) {
                (_, Some("OOMKilled")) => "keeps running out of memory".to_owned(),
                (Some(code), _) => format!("keeps crashing, last with exit code {code}"),
                _ => "keeps crashing".to_owned(),
            }
        }
        "CreateContainerConfigError" => "has settings that cannot be found".to_owned(),
        _ => "does not start".to_owned(),
    };
    let message = waiting.get("message").and_then(Value::as_str).unwrap_or_default();
    let message: String = message.chars().take(300).collect();
    let separator = if message.is_empty() { "" } else { ": " };
    Some(format!("{container} {words} ({reason}){separator}{message}"))
}
