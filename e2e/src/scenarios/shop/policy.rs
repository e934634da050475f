//! The policy of the shop: as in production, with times that a test can wait for.

use serde_json::{Value, json};

use super::super::demo::NAMESPACE;
use super::{HOST, WORKLOAD};
use crate::network::{GATEWAY_ADDRESS, GATEWAY_PORT};

/// How traffic moves to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// 5%, 25%, 50%, 100%.
    Canary,
    /// All at once.
    BlueGreen,
}

/// What moves the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// The weights of an HTTPRoute.
    HttpRoute,
    /// The selector of the user's Service. Blue/green only.
    Selector,
    /// The user's Service, by the numbers of replicas.
    Replicas,
}

/// What differs between scenarios.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How traffic moves.
    pub strategy: Strategy,
    /// What moves it.
    pub route: Route,
    /// How long a release is watched at full weight, in seconds.
    pub bake_s: u32,
    /// The label that queries ask for by the name of the release; another one than `release`
    /// matches no series.
    pub release_label: &'static str,
    /// How long the controller's Lease lasts, in seconds.
    pub lease_s: u32,
    /// How long after a window measurements may still come in.
    pub metrics_delay: &'static str,
    /// Whether a shift of a route is verified by requests through it; otherwise the releases'
    /// request counters tell the share.
    pub probes: bool,
}

impl Setup {
    /// A strategy and a route, with queries that match.
    #[must_use]
    pub const fn new(strategy: Strategy, route: Route) -> Self {
        Self {
            strategy,
            route,
            bake_s: 10,
            release_label: "release",
            metrics_delay: "2s",
            probes: true,
            lease_s: 15,
        }
    }

    /// The policy document.
    #[must_use]
    pub fn policy(&self, prometheus: &str) -> Value {
        json!({
            "apiVersion": "backout.dev/v1alpha1",
            "kind": "ReleasePolicy",
            "metadata": {"name": WORKLOAD, "namespace": NAMESPACE},
            "spec": {
                "workload": {"kind": "Deployment", "name": WORKLOAD},
                "environments": [{"name": "production", "config": {"chart": "chart"}}],
                "external": ["config", "migrations", "flags", "infrastructure"],
                "metrics": {"prometheus": {"address": prometheus, "timeout": "5s"}},
                "traffic": {"route": self.route(), "verify": self.verify()},
                "strategy": self.steps(),
                "signals": self.signals(),
                // Five scrapes in a window; a window of the canary's first step has 25 requests.
                "triggers": {
                    "window": "5s", "consecutive": 2, "minRequests": 10,
                    "metricsDelay": self.metrics_delay,
                    "noData": {"after": "30s", "then": "rollback"},
                    "sharedCause": {"hold": "30s", "then": "hold"},
                },
                "gates": [],
                "rollback": {
                    "within": "20s", "harmBudget": 2000, "settle": "5s",
                    "keepPrevious": "10m", "keepFailed": "10m",
                },
                "deadlines": {"readiness": "45s", "step": "2m", "rollout": "10m"},
            },
        })
    }

    fn route(&self) -> Value {
        match self.route {
            Route::HttpRoute => json!({"kind": "HTTPRoute", "name": WORKLOAD}),
            Route::Selector => json!({"kind": "Service", "name": WORKLOAD, "by": "selector"}),
            Route::Replicas => json!({"kind": "Service", "name": WORKLOAD, "by": "replicas"}),
        }
    }

    fn verify(&self) -> Value {
        // Counters show a new share when no time of the one before is in their window.
        let mut verify = json!({"within": "40s"});
        if self.probes && self.route == Route::HttpRoute {
            let url = format!("http://{GATEWAY_ADDRESS}:{GATEWAY_PORT}/");
            verify["probe"] = json!({"url": url, "host": HOST, "header": "x-release"});
        }
        verify
    }

    /// The policy's strategy alone.
    #[must_use]
    pub fn steps(&self) -> Value {
        let bake = format!("{}s", self.bake_s);
        match self.strategy {
            Strategy::Canary => {
                let steps = [5, 25, 50]
                    .map(|weight| [json!({"setWeight": weight}), json!({"analyse": "10s"})]);
                let last = json!({"setWeight": 100});
                let steps: Vec<Value> = steps.into_iter().flatten().chain([last]).collect();
                json!({"canary": {"steps": steps}, "bake": bake})
            }
            Strategy::BlueGreen => json!({"blueGreen": {"analyse": "10s"}, "bake": bake}),
        }
    }

    fn signals(&self) -> Value {
        let label = self.release_label;
        let of_release = format!("namespace=\"$namespace\", {label}=\"$release\"");
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
            {
                "name": "saturation", "max": "85%",
                "gauge": format!("max(app_utilization{{{of_release}}})"),
            },
        ])
    }
}

#[cfg(test)]
mod tests {
    use backout_core::policy::ReleasePolicy;
    use backout_core::policy::validate::validate;

    use super::{Route, Setup, Strategy};

    #[test]
    fn every_policy_of_the_shop_keeps_the_rules() {
        for (strategy, route) in [
            (Strategy::Canary, Route::HttpRoute),
            (Strategy::Canary, Route::Replicas),
            (Strategy::BlueGreen, Route::HttpRoute),
            (Strategy::BlueGreen, Route::Selector),
        ] {
            for probes in [false, true] {
                let setup = Setup { probes, ..Setup::new(strategy, route) };
                let document = setup.policy("http://127.0.0.1:9090");
                let policy: ReleasePolicy = serde_json::from_value(document).unwrap();
                assert_eq!(validate(&policy), [], "{setup:?}");
            }
        }
    }
}
