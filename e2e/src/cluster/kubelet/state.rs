//! What is known about the containers of a pod, and the pod's status that follows from it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Phase {
    /// It does not run, for this reason.
    Waiting { reason: &'static str, message: String },
    /// It runs.
    Running { since: Timestamp },
    /// It ended for good.
    Terminated(End),
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) reason: &'static str,
    pub(super) started: Timestamp,
    pub(super) finished: Timestamp,
}

/// One container.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    /// `<repository>@<digest>`; empty until the image is there.
    pub(super) image_id: String,
    pub(super) digest: String,
    pub(super) phase: Phase,
    pub(super) last: Option<End>,
    pub(super) restarts: u32,
    /// The startup probe has succeeded, or there is none.
    pub(super) started: bool,
    /// The readiness probe succeeds, or there is none.
    pub(super) ready: bool,
    /// A fault keeps it from being reported ready.
    pub(super) held_back: bool,
}

impl Container {
    pub(super) fn new(name: &str, image: &str) -> Self {
        let phase = Phase::Waiting { reason: "ContainerCreating", message: String::new() };
        Self {
            name: name.to_owned(),
            image: image.to_owned(),
            image_id: String::new(),
            digest: String::new(),
            phase,
            last: None,
            restarts: 0,
            started: false,
            ready: false,
            held_back: false,
        }
    }

    fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Running { .. }) && self.started && self.ready && !self.held_back
    }

    fn status(&self) -> Value {
        let state = match &self.phase {
            Phase::Waiting { reason, message } => {
                json!({"waiting": {"reason": reason, "message": message}})
            }
            Phase::Running { since } => json!({"running": {"startedAt": time(*since)}}),
            Phase::Terminated(end) => json!({"terminated": terminated(end)}),
        };
        let last = match &self.last {
            Some(end) => json!({"terminated": terminated(end)}),
            None => json!({}),
        };
        json!({
            "name": self.name,
            "image": self.image,
            "imageID": self.image_id,
            "ready": self.is_ready(),
            "started": self.started,
            "restartCount": self.restarts,
            "state": state,
            "lastState": last,
        })
    }
}

fn terminated(end: &End) -> Value {
    json!({
        "exitCode": end.code,
        "reason": end.reason,
        "startedAt": time(end.started),
        "finishedAt": time(end.finished),
    })
}

/// A time as the API wants it, in whole seconds.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Makes statuses of one pod, and remembers since when each condition holds.
#[derive(Debug)]
pub(super) struct Reporter {
    pub(super) ip: String,
    pub(super) host_ip: String,
    pub(super) started: Timestamp,
    pub(super) restarts_always: bool,
    conditions: BTreeMap<&'static str, (bool, Timestamp)>,
}

impl Reporter {
    pub(super) fn new(ip: String, host_ip: String, restarts_always: bool) -> Self {
        let started = Timestamp::now();
        Self { ip, host_ip, started, restarts_always, conditions: BTreeMap::new() }
    }

    /// The status to report.
    pub(super) fn status(&mut self, containers: &[Container]) -> Value {
        let ready = containers.iter().all(Container::is_ready);
        let phase = self.phase(containers);
        let done = phase == "Succeeded";
        let because = if done { "PodCompleted" } else { "ContainersNotReady" };
        let conditions = vec![
            self.condition("PodReadyToStartContainers", true, ""),
            self.condition("Initialized", true, ""),
            self.condition("ContainersReady", ready, because),
            self.condition("Ready", ready, because),
        ];
        let statuses: Vec<Value> = containers.iter().map(Container::status).collect();
        json!({
            "phase": phase,
            "startTime": time(self.started),
            "hostIP": self.host_ip,
            "hostIPs": [{"ip": self.host_ip}],
            "podIP": self.ip,
            "podIPs": [{"ip": self.ip}],
            "conditions": conditions,
            "containerStatuses": statuses,
        })
    }

    fn phase(&self, containers: &[Container]) -> &'static str {
        let ended = |container: &Container| match &container.phase {
            Phase::Terminated(end) => Some(end.code),
            _ => None,
        };
        let codes: Vec<Option<i32>> = containers.iter().map(ended).collect();
        if !self.restarts_always && codes.iter().all(Option::is_some) {
            let good = codes.iter().all(|code| *code == Some(0));
            return if good { "Succeeded" } else { "Failed" };
        }
        let begun = |container: &Container| {
            container.last.is_some() || !matches!(container.phase, Phase::Waiting { .. })
        };
        if containers.iter().all(begun) { "Running" } else { "Pending" }
    }

    fn condition(&mut self, kind: &'static str, holds: bool, because: &str) -> Value {
        let now = Timestamp::now();
        let entry = self.conditions.entry(kind).or_insert((holds, now));
        if entry.0 != holds {
            *entry = (holds, now);
        }
        let mut condition = json!({
            "type": kind,
            "status": if holds { "True" } else { "False" },
            "lastProbeTime": null,
            "lastTransitionTime": time(entry.1),
        });
        // Explicit nulls, so that a merge forgets the reason of the time before.
        let because = if holds { Value::Null } else { json!(because) };
        condition["reason"] = because;
        condition["message"] = Value::Null;
        condition
    }
}
