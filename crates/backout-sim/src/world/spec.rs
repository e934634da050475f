//! What the virtual world is like, apart from the policy and the releases.

use backout_core::policy::{ApiVersion, Metadata, ReleasePolicy, SignalKind};
use backout_core::units::{Latency, Share, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Family;

/// The kind of a world document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorldKind {
    /// The only value.
    #[default]
    World,
}

/// A world document: `world.yaml` beside the policy. Everything has a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldDocument {
    /// Always `backout.dev/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `World`.
    pub kind: WorldKind,
    /// Name and namespace.
    pub metadata: Metadata,
    /// The world.
    #[serde(default)]
    pub spec: WorldSpec,
}

/// What the virtual world is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct WorldSpec {
    /// User requests per second, over both releases. Default: 120.
    pub requests_per_second: u32,
    /// Share of requests that fail on a healthy release. Default: a tenth of the policy's limit,
    /// at most 0.02%.
    pub errors: Option<Share>,
    /// Time within which a healthy release answers all requests. Default: half of the policy's
    /// latency limit.
    pub slowest: Option<Latency>,
    /// Replicas of the stable release. Default: 4.
    pub replicas: u32,
    /// Requests per second that one pod can serve. Default: 60.
    pub pod_capacity: u32,
    /// Time until a new pod is ready. Default: 20s.
    pub pod_startup: Span,
    /// Time until a route change reaches the data plane. Default: 2s.
    pub route_propagation: Span,
    /// Time between two scrapes. Default: 15s.
    pub scrape_interval: Span,
    /// Upper edges of the latency histogram. Default: the usual ones of Prometheus clients.
    pub buckets: Vec<Latency>,
    /// Metric families besides the conventional ones.
    pub families: Vec<Family>,
    /// Time until the GitOps agent has brought a commit into the environment. Default: 10s.
    pub gitops_sync: Span,
    /// Time until a person answers a question; nobody answers when it is absent. Default: 10m.
    pub people_answer_after: Option<Span>,
    /// Age of the newest backup whose restore was tried; there is none when it is absent.
    /// Default: 6h.
    pub backup_age: Option<Span>,
    /// How long the tried restore took. Default: 25m.
    pub restore_takes: Span,
}

impl Default for WorldSpec {
    fn default() -> Self {
        Self {
            requests_per_second: 120,
            errors: None,
            slowest: None,
            replicas: 4,
            pod_capacity: 60,
            pod_startup: Span::from_secs(20),
            route_propagation: Span::from_secs(2),
            scrape_interval: Span::from_secs(15),
            buckets: [5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000]
                .into_iter()
                .map(Latency::from_millis)
                .collect(),
            families: Vec::new(),
            gitops_sync: Span::from_secs(10),
            people_answer_after: Some(Span::from_mins(10)),
            backup_age: Some(Span::from_hours(6)),
            restore_takes: Span::from_mins(25),
        }
    }
}

/// Numbers of a healthy release, with the policy's limits taken into account: a service is healthy
/// when it stays well within its own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Share of requests that fail.
    pub errors: Share,
    /// Time within which all requests are answered.
    pub slowest: Latency,
    /// Time that a request of a slow release takes.
    pub slow: Latency,
}

impl WorldSpec {
    /// What healthy means under a policy.
    #[must_use]
    pub fn health(&self, policy: &ReleasePolicy) -> Health {
        let mut errors = 200;
        let mut limit = Latency::from_millis(500);
        for signal in &policy.spec.signals {
            match signal.kind() {
                Ok(SignalKind::Ratio(_, max)) => errors = errors.min(max.as_ppm() / 10),
                Ok(SignalKind::Quantile(_, max)) => limit = limit.min(max),
                Ok(SignalKind::Gauge(..)) | Err(_) => {}
            }
        }
        let slowest = Latency::from_micros((limit.as_micros() / 2).max(1));
        let longest_limit = policy
            .spec
            .signals
            .iter()
            .filter_map(|signal| match signal.kind() {
                Ok(SignalKind::Quantile(_, max)) => Some(max),
                _ => None,
            })
            .max()
            .unwrap_or(limit);
        Health {
            errors: self.errors.unwrap_or(Share::from_ppm(errors)),
            slowest: self.slowest.unwrap_or(slowest),
            slow: Latency::from_micros(longest_limit.as_micros().saturating_mul(3)),
        }
    }
}
