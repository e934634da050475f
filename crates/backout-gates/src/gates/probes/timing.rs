//! Whether pods can be ready in time, and end without losing requests.

use backout_core::finding::{Finding, Level};
use backout_core::policy::gate::Probes;
use backout_core::units::{Limit, Span};
use serde_json::Value;

use super::super::found::{at, helped, labelled};
use super::container::{Container, number};
use super::{ABRUPT, Pod, TOO_SLOW};

/// What Kubernetes gives a Deployment to make progress.
const PROGRESS_S: i64 = 600;
/// What Kubernetes gives a pod to end.
const GRACE_S: i64 = 30;

/// Judges when a container can be ready at the earliest, and how long its start may take.
pub(super) fn judge(
    pod: &Pod<'_>,
    container: &Container<'_>,
    readiness: Limit,
    findings: &mut Vec<Finding>,
) {
    let Some(limit) = limit(pod, readiness) else { return };
    let Some(probe) = container.probe("readinessProbe") else { return };
    let startup = container.probe("startupProbe");
    let earliest = number(probe, "initialDelaySeconds")
        .saturating_add(startup.map_or(0, |startup| number(startup, "initialDelaySeconds")))
        .saturating_add(
            number(probe, "periodSeconds")
                .saturating_mul(number(probe, "successThreshold").saturating_sub(1)),
        );
    let place =
        |key: &str, field: &str| at(pod.manifest, &container.path.clone().key(key).key(field));
    if earliest >= limit.seconds {
        let message = format!(
            "{} is ready after {earliest} s at the earliest, and {} is {} s",
            container.title(),
            limit.name,
            limit.seconds
        );
        findings.push(TOO_SLOW.found(place("readinessProbe", "initialDelaySeconds"), message));
    } else if let Some(startup) = startup {
        let allowed = number(startup, "initialDelaySeconds").saturating_add(
            number(startup, "periodSeconds").saturating_mul(number(startup, "failureThreshold")),
        );
        if allowed > limit.seconds {
            let message = format!(
                "{} may take {allowed} s to start, and {} is {} s",
                container.title(),
                limit.name,
                limit.seconds
            );
            let mut finding = labelled(
                TOO_SLOW.found(place("startupProbe", "failureThreshold"), message),
                "a start that takes all of it is given up before it is over",
            );
            finding.level = Level::Warning;
            findings.push(finding);
        }
    }
}

/// The shortest wait for pods to be ready.
struct Wait {
    seconds: i64,
    name: &'static str,
}

fn limit(pod: &Pod<'_>, readiness: Limit) -> Option<Wait> {
    let policy = readiness.span().map(|span: Span| Wait {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        name: "deadlines.readiness of the policy",
    });
    let progress = (pod.manifest.kind() == "Deployment").then(|| Wait {
        seconds: pod.manifest.value["spec"]["progressDeadlineSeconds"]
            .as_i64()
            .unwrap_or(PROGRESS_S),
        name: "progressDeadlineSeconds of the Deployment",
    });
    [policy, progress].into_iter().flatten().min_by_key(|wait| wait.seconds)
}

/// Judges whether a pod that ends loses requests.
pub(super) fn judge_end(pod: &Pod<'_>, config: &Probes, findings: &mut Vec<Finding>) {
    let spec = &pod.template["spec"];
    let grace = spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(GRACE_S);
    let path = pod.path.clone().key("spec").key("terminationGracePeriodSeconds");
    if grace == 0 {
        let message = format!("pods of {} are killed without any time to end", pod.manifest);
        let mut finding = ABRUPT.found(at(pod.manifest, &path), message);
        finding.level = Level::Warning;
        findings.push(finding);
        return;
    }
    let mut has_hook = false;
    for (place, container, init) in pod.containers() {
        let name = container["name"].as_str().unwrap_or_default();
        if init || config.except.iter().any(|except| except == name) {
            continue;
        }
        let hook = &container["lifecycle"]["preStop"];
        has_hook |= !hook.is_null();
        if let Some(seconds) = pause(hook)
            && seconds >= grace
        {
            let place = place.key("lifecycle").key("preStop");
            let message = format!("container {name} of {} is killed before it ends", pod.manifest);
            let mut finding = labelled(
                ABRUPT.found(at(pod.manifest, &place), message),
                format!("takes {seconds} s of a grace period of {grace} s"),
            );
            finding.level = Level::Warning;
            findings.push(helped(finding, "make terminationGracePeriodSeconds longer than that"));
        }
    }
    if !has_hook {
        let message = format!("pods of {} have no preStop hook", pod.manifest);
        findings.push(ABRUPT.found(at(pod.manifest, &pod.path.clone().key("spec")), message));
    }
}

/// How long a hook sleeps, in seconds: the `sleep` action, or the command `sleep N` by itself.
fn pause(hook: &Value) -> Option<i64> {
    if let Some(seconds) = hook["sleep"]["seconds"].as_i64() {
        return Some(seconds);
    }
    let command: Vec<&str> =
        hook["exec"]["command"].as_array()?.iter().filter_map(Value::as_str).collect();
    let script = match command.as_slice() {
        [shell, "-c", script] if shell.ends_with("sh") => script.to_string(),
        words => words.join(" "),
    };
    let rest = script
        .trim()
        .strip_prefix("sleep ")
        .or_else(|| script.trim().strip_prefix("/bin/sleep "))?;
    rest.trim().trim_end_matches('s').parse().ok()
}
