//! What the benchmark puts into the cluster.

use anyhow::{Context as _, Result};
use backout_core::policy::ReleasePolicy;
use backout_core::release::Release;
use backout_core::units::Digest;
use serde_json::{Value, json};

/// Namespaces that the workloads are spread over.
const NAMESPACES: u32 = 20;
/// Pods of each workload that is released.
pub(super) const REPLICAS: u32 = 2;
/// Repository of every image.
const REPOSITORY: &str = "registry.example/app";

/// How traffic moves to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The weights of an HTTPRoute, without a check: nothing routes here.
    Canary,
    /// The selector of a Service, checked by its endpoints.
    BlueGreen,
}

/// One workload of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Workload(pub(super) u32);

impl Workload {
    pub(super) fn namespace(self) -> String {
        namespace(self.0 % NAMESPACES)
    }

    pub(super) fn name(self) -> String {
        format!("w{:04}", self.0)
    }

    pub(super) fn way(self) -> Way {
        if (self.0 / NAMESPACES).is_multiple_of(2) { Way::Canary } else { Way::BlueGreen }
    }

    /// Every fifth release fails a fifth of its requests.
    pub(super) fn is_bad(self) -> bool {
        self.0 % 5 == 3
    }

    /// The policy.
    pub(super) fn policy(self, prometheus: &str) -> Result<ReleasePolicy> {
        let (kind, verify, strategy) = match self.way() {
            Way::Canary => {
                let steps = [5, 25, 50]
                    .map(|weight| [json!({"setWeight": weight}), json!({"analyse": "20s"})]);
                let last = json!({"setWeight": 100});
                let steps: Vec<Value> = steps.into_iter().flatten().chain([last]).collect();
                let strategy = json!({"canary": {"steps": steps}, "bake": "20s"});
                (json!({"kind": "HTTPRoute", "name": self.name()}), json!("none"), strategy)
            }
            Way::BlueGreen => (
                json!({"kind": "Service", "name": self.name(), "by": "selector"}),
                json!({"within": "30s"}),
                json!({"blueGreen": {"analyse": "20s"}, "bake": "20s"}),
            ),
        };
        let document = json!({
            "apiVersion": "backout.dev/v1alpha1",
            "kind": "ReleasePolicy",
            "metadata": {"name": self.name(), "namespace": self.namespace()},
            "spec": {
                "workload": {"kind": "Deployment", "name": self.name()},
                "environments": [{"name": "production", "config": {"chart": "chart"}}],
                "external": ["config", "migrations", "flags", "infrastructure"],
                "metrics": {"prometheus": {"address": prometheus, "timeout": "5s"}},
                "traffic": {"route": kind, "verify": verify},
                "strategy": strategy,
                "signals": signals(),
                "triggers": {
                    "window": "10s", "consecutive": 2, "minRequests": 10, "metricsDelay": "2s",
                    "noData": {"after": "30s", "then": "rollback"},
                    "sharedCause": {"hold": "30s", "then": "hold"},
                },
                "gates": [],
                "rollback": {
                    "within": "20s", "harmBudget": 2000, "settle": "5s",
                    "keepPrevious": "1m", "keepFailed": "1m",
                },
                "deadlines": {"readiness": "2m", "step": "4m", "rollout": "15m"},
            },
        });
        serde_json::from_value(document).context("the policy")
    }

    /// The Deployment, and what leads to it.
    pub(super) fn objects(self, replicas: u32) -> Vec<Value> {
        let (name, namespace) = (self.name(), self.namespace());
        let meta = json!({"name": name, "namespace": namespace});
        let labels = json!({"app": name});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta,
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{
                        "name": "app",
                        "image": format!("{REPOSITORY}@{}", self.digest(1)),
                        "ports": [{"name": "http", "containerPort": 8080}],
                    }]},
                },
            },
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta,
            "spec": {
                "selector": labels,
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        });
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta,
            "spec": {
                "parentRefs": [{"name": "public"}],
                "hostnames": [format!("{name}.example")],
                "rules": [{"backendRefs": [{"name": name, "port": 80}]}],
            },
        });
        match (replicas, self.way()) {
            (0, _) => vec![deployment],
            (_, Way::BlueGreen) => vec![deployment, service],
            (_, Way::Canary) => vec![deployment, service, route],
        }
    }

    /// The record of a release: 1 is what runs at first, 2 what is rolled out.
    pub(super) fn release(self, number: u32) -> Result<Release> {
        let version = format!("{number}.0.0");
        let document = json!({
            "apiVersion": "backout.dev/v1alpha1",
            "kind": "Release",
            "metadata": {
                "name": format!("{}-{version}", self.name()), "namespace": self.namespace(),
            },
            "spec": {
                "workload": self.name(),
                "version": version,
                "images": [{
                    "name": "app", "repository": REPOSITORY, "tag": version,
                    "digest": self.digest(number),
                }],
                "config": {"revision": "0".repeat(40), "chartVersion": "1.0.0"},
                "context": {
                    "gitSha": number.to_string().repeat(40), "gitRef": format!("refs/tags/v{version}"),
                    "repository": "https://git.example/app",
                    "buildNumber": number, "builtAt": "2026-01-02T03:04:05Z",
                },
            },
        });
        serde_json::from_value(document).with_context(|| format!("the record of {version}"))
    }

    fn digest(self, number: u32) -> Digest {
        Digest::of_bytes(format!("{} {number}", self.0).as_bytes())
    }
}

/// The namespaces, as objects.
pub(super) fn namespaces() -> Vec<Value> {
    let object =
        |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    (0..NAMESPACES).map(|number| object(namespace(number))).collect()
}

fn namespace(number: u32) -> String {
    format!("team-{number:02}")
}

/// Three signals, as a policy in production has them.
fn signals() -> Value {
    let of_release = "namespace=\"$namespace\", release=\"$release\"";
    let requests =
        |and: &str| format!("sum(increase(http_requests_total{{{of_release}{and}}}[$window]))");
    let buckets = format!(
        "sum by (le) (increase(http_request_duration_seconds_bucket{{{of_release}}}[$window]))"
    );
    json!([
        {
            "name": "error-rate", "max": "5%",
            "ratio": {"bad": requests(", code=~\"5..\""), "total": requests("")},
        },
        {"name": "latency-p99", "max": "400ms", "quantile": {"histogram": buckets, "q": 0.99}},
        {"name": "saturation", "max": "85%", "gauge": format!("max(app_utilization{{{of_release}}})")},
    ])
}

#[cfg(test)]
mod tests {
    use backout_core::policy::validate::validate;

    use super::Workload;

    #[test]
    fn every_policy_keeps_the_rules() {
        for number in [0, 20] {
            let policy = Workload(number).policy("http://127.0.0.1:9090").unwrap();
            assert_eq!(validate(&policy), [], "{number}");
        }
    }
}
