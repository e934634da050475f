//! Gate `probes`: every container that serves has probes that can tell when it does, and none that
//! harms.
//!
//! Defaults and limits of probes are those of the Kubernetes API (`core/v1`, `Probe`).

mod container;
mod serving;
mod timing;

#[cfg(test)]
mod tests;

use backout_core::document::FieldPath;
use backout_core::finding::{Finding, Level};
use backout_core::manifest::Manifest;
use backout_core::policy::gate::Probes;
use backout_core::units::Limit;
use serde_json::Value;

use super::{About, Explained};
use crate::Outcome;

/// What this gate is for.
pub const ABOUT: About = About {
    name: "probes",
    mode: "P1",
    what: "Every container that serves has probes that can tell when it does, and none that harms.",
    reads: "The rendered manifests: pod templates of Deployments, StatefulSets and DaemonSets, and \
            the Services that select their pods.",
    findings: &[
        NOT_READY,
        INVALID,
        SAME,
        DEPENDS,
        OVERLAP,
        TOO_SLOW,
        NO_LIVENESS,
        NO_STARTUP,
        ABRUPT,
    ],
};

const NOT_READY: Explained = Explained {
    code: "BO350",
    level: Level::Error,
    title: "no readiness probe",
    means: "A container that serves has no readiness probe. Its pod counts as ready as soon as its \
            process runs, and gets requests that it cannot answer yet. A rollout then looks healthy \
            while users see errors.",
    next: "add a readinessProbe that answers once the container can serve",
};

const INVALID: Explained = Explained {
    code: "BO351",
    level: Level::Error,
    title: "invalid probe",
    means: "Kubernetes refuses the probe, or can never reach what it asks: no or several ways to \
            ask, a port that the container does not name, a number out of its range.",
    next: "correct the probe",
};

const SAME: Explained = Explained {
    code: "BO352",
    level: Level::Warning,
    title: "liveness asks what readiness asks",
    means: "Liveness and readiness ask the same question with the same patience. What should only \
            take a pod out of traffic, such as a slow dependency, restarts every pod instead.",
    next: "let liveness ask only whether the process itself is stuck, or give it more patience",
};

const DEPENDS: Explained = Explained {
    code: "BO353",
    level: Level::Note,
    title: "liveness seems to ask dependencies",
    means: "The path of the liveness probe is one that applications commonly answer for their \
            dependencies. When a dependency is down, restarts make it worse.",
    next: "let liveness ask only whether the process itself is stuck",
};

const OVERLAP: Explained = Explained {
    code: "BO354",
    level: Level::Warning,
    title: "probe outlasts its period",
    means: "The probe may take longer than the time between two of them, so that failures are \
            found later than the numbers suggest.",
    next: "make timeoutSeconds smaller than periodSeconds",
};

const TOO_SLOW: Explained = Explained {
    code: "BO355",
    level: Level::Error,
    title: "ready too late",
    means: "Even a pod that starts at once is ready only after the time that the policy or the \
            Deployment gives it, or the probes allow a start that takes longer than that.",
    next: "shorten the probes' delays, or allow more time",
};

const NO_LIVENESS: Explained = Explained {
    code: "BO356",
    level: Level::Note,
    title: "no liveness probe",
    means: "Nothing restarts the container when its process is stuck. That may be on purpose: a \
            process that ends when it cannot go on needs none.",
    next: "add a livenessProbe, or name the container in the gate's `except`",
};

const NO_STARTUP: Explained = Explained {
    code: "BO357",
    level: Level::Note,
    title: "slow start without a startup probe",
    means: "A long initialDelaySeconds stands in for a startup probe: every start waits as long, \
            and one that takes a little longer is killed.",
    next: "use a startupProbe, and drop initialDelaySeconds of the liveness probe",
};

const ABRUPT: Explained = Explained {
    code: "BO358",
    level: Level::Note,
    title: "pods end abruptly",
    means: "Pods get requests for a moment after they are told to stop. Without a preStop hook or \
            with too short a grace period, those requests fail at every rollout.",
    next: "add a preStop hook that sleeps some seconds, and a longer grace period than that",
};

/// Kinds whose pods serve for as long as they live. Jobs end by themselves and need no probes.
const KINDS: &[&str] =
    &["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController"];

/// What the gate judges by.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// All manifests of the environment, or why there are none.
    pub manifests: Result<&'a [Manifest], &'a str>,
    /// How long the policy waits for pods to be ready.
    pub readiness: Limit,
}

/// Judges the probes of all manifests of an environment.
#[must_use]
pub fn judge(config: &Probes, evidence: &Evidence<'_>) -> Outcome {
    let manifests = match evidence.manifests {
        Ok(manifests) => manifests,
        Err(reason) => return Outcome::not_evaluated(format!("no manifests: {reason}")),
    };
    let mut findings = Vec::new();
    let (mut workloads, mut containers) = (0_usize, 0_usize);
    for manifest in manifests.iter().filter(|manifest| KINDS.contains(&manifest.kind())) {
        workloads += 1;
        let Some(pod) = Pod::of(manifest) else {
            let path = FieldPath::root().key("spec").key("template");
            findings.push(INVALID.found(
                super::found::at(manifest, &path),
                format!("{manifest} has no pod template with containers"),
            ));
            continue;
        };
        containers += pod.judge(config, manifests, evidence.readiness, &mut findings);
    }
    if workloads == 0 {
        return Outcome::not_evaluated(
            "no workload in the manifests: they hold no Deployment, StatefulSet or DaemonSet",
        );
    }
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    Outcome::of(
        findings,
        format!(
            "probes of {containers} container{} in {workloads} workload{} are sensible",
            plural(containers),
            plural(workloads)
        ),
    )
}

/// A workload's pods.
struct Pod<'a> {
    manifest: &'a Manifest,
    template: &'a Value,
    path: FieldPath,
}

impl<'a> Pod<'a> {
    fn of(manifest: &'a Manifest) -> Option<Self> {
        let template = manifest.pod_template()?;
        template["spec"]["containers"].as_array().filter(|containers| !containers.is_empty())?;
        Some(Self { manifest, template, path: manifest.pod_template_path()? })
    }

    /// Every container, with its place and whether it is an init container.
    fn containers(&self) -> impl Iterator<Item = (FieldPath, &'a Value, bool)> {
        [("containers", false), ("initContainers", true)].into_iter().flat_map(|(key, init)| {
            let path = self.path.clone().key("spec").key(key);
            let list = self.template["spec"][key].as_array().into_iter().flatten();
            list.enumerate()
                .map(move |(index, container)| (path.clone().index(index), container, init))
        })
    }

    /// Judges all containers, and returns how many there were.
    fn judge(
        &self,
        config: &Probes,
        manifests: &[Manifest],
        readiness: Limit,
        findings: &mut Vec<Finding>,
    ) -> usize {
        let serving = serving::of(self, manifests);
        let mut seen = 0;
        let mut serves = false;
        for (path, value, init) in self.containers() {
            let name = value["name"].as_str().unwrap_or_default();
            let is_sidecar = init && value["restartPolicy"].as_str() == Some("Always");
            if config.except.iter().any(|except| except == name) {
                continue;
            }
            let container = container::Container {
                manifest: self.manifest,
                value,
                path,
                name,
                serves: serving.contains(name) && (!init || is_sidecar),
                may_be_probed: !init || is_sidecar,
            };
            container.judge(findings);
            timing::judge(self, &container, readiness, findings);
            serves |= container.serves && !init;
            seen += 1;
        }
        if serves {
            timing::judge_end(self, config, findings);
        }
        seen
    }
}
