//! Signals by name: the queries for metrics that meshes, gateways and libraries expose.
//!
//! A preset is an ordinary signal whose queries are written here, so that everything that is true
//! of written queries, in the simulator and live, is true of presets. What matters in each is how
//! it tells the releases apart; `docs/metrics.md` says what has to be configured for that, and
//! where the names come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BucketUnit, Quantiled, Query, Ratio};
use crate::units::Quantile;

/// A signal whose queries are known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preset {
    /// Whose metrics are asked.
    pub source: Source,
    /// What is measured. The signal's `max` is a percentage for `errors` and a latency for
    /// `latency`.
    pub measures: Measures,
    /// Which quantile of the latency, between 0 and 1. Only for `latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<Quantile>,
}

/// Who exposes the metrics of a preset.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A gateway on Envoy whose clusters are named after the Service behind them, with its
    /// namespace before it: `shop/checkout-1a2b3c4d/80` or `shop_checkout-1a2b3c4d_80`.
    Envoy,
    /// Istio, by the sidecar of the workload or a waypoint before it.
    Istio,
    /// Linkerd, by the proxy of the workload.
    Linkerd,
    /// HTTP servers that follow OpenTelemetry's stable conventions.
    OpenTelemetry,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 4] = [Self::Envoy, Self::Istio, Self::Linkerd, Self::OpenTelemetry];

    /// The metrics of this source.
    const fn metrics(self) -> &'static Metrics {
        match self {
            Self::Envoy => &ENVOY,
            Self::Istio => &ISTIO,
            Self::Linkerd => &LINKERD,
            Self::OpenTelemetry => &OPEN_TELEMETRY,
        }
    }
}

/// What a preset measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Measures {
    /// The share of requests that failed on the server's side.
    Errors,
    /// A quantile of the time that requests took.
    Latency,
}

/// The metrics of one source.
struct Metrics {
    /// A counter of requests.
    requests: &'static str,
    /// The buckets of a histogram of what requests took.
    buckets: &'static str,
    /// Unit of the buckets' edges.
    unit: BucketUnit,
    /// What selects the requests of a release.
    release: &'static str,
    /// What selects the failed ones among them.
    failed: &'static str,
}

/// Envoy's statistics of its clusters. Its own pod and namespace are labels of every series, so
/// that the cluster's name alone says whose requests these are. The name is matched as a whole:
/// what is before the namespace and after the Service is set apart by a character that names
/// in Kubernetes do not have. All requests are the sum over the classes of answers, because
/// `envoy_cluster_upstream_rq_total` leaves out those for which there was no connection.
const ENVOY: Metrics = Metrics {
    requests: "envoy_cluster_upstream_rq_xx",
    buckets: "envoy_cluster_upstream_rq_time_bucket",
    unit: BucketUnit::Milliseconds,
    release: r#"envoy_cluster_name=~"(.*[^a-z0-9-])?$namespace[^a-z0-9-]$release([^a-z0-9-].*)?""#,
    failed: r#"envoy_response_code_class="5""#,
};

/// Istio's standard metrics. Both ends of a request report it, and only the server's end is asked,
/// or every request would count twice. `destination_workload` is the Deployment, which is the set.
const ISTIO: Metrics = Metrics {
    requests: "istio_requests_total",
    buckets: "istio_request_duration_milliseconds_bucket",
    unit: BucketUnit::Milliseconds,
    release: concat!(
        r#"reporter=~"destination|waypoint", destination_workload_namespace="$namespace", "#,
        r#"destination_workload="$release""#
    ),
    failed: r#"response_code=~"5..""#,
};

/// Metrics of Linkerd's proxy, with the labels of its own Prometheus configuration, where
/// `deployment` is the Deployment of the proxy's pod, which is the set. What the pod itself asks
/// of others is counted under another direction.
const LINKERD: Metrics = Metrics {
    requests: "response_total",
    buckets: "response_latency_ms_bucket",
    unit: BucketUnit::Milliseconds,
    release: r#"direction="inbound", namespace="$namespace", deployment="$release""#,
    failed: r#"classification="failure""#,
};

/// `http.server.request.duration` with the names that Prometheus gives it. The Deployment, which is
/// the set, is an attribute of the resource: the version that a service reports may be the same in
/// both releases, when only configuration changed.
const OPEN_TELEMETRY: Metrics = Metrics {
    requests: "http_server_request_duration_seconds_count",
    buckets: "http_server_request_duration_seconds_bucket",
    unit: BucketUnit::Seconds,
    release: r#"k8s_namespace_name="$namespace", k8s_deployment_name="$release""#,
    failed: r#"http_response_status_code=~"5..""#,
};

/// What a preset stands for.
pub(super) enum Written {
    /// Failed requests over all.
    Errors(Ratio),
    /// A quantile of the latency.
    Latency(Quantiled),
}

impl Preset {
    /// The queries that the preset stands for, or what its fields get wrong.
    pub(super) fn written(self) -> Result<Written, String> {
        let metrics = self.source.metrics();
        match (self.measures, self.q) {
            (Measures::Errors, None) => Ok(Written::Errors(metrics.errors())),
            (Measures::Latency, Some(q)) => Ok(Written::Latency(metrics.latency(q))),
            (Measures::Errors, Some(_)) => {
                Err("a preset that measures errors has no quantile: remove `q`".to_owned())
            }
            (Measures::Latency, None) => {
                Err("a preset that measures latency needs a quantile: write `q: 0.99`".to_owned())
            }
        }
    }
}

impl Metrics {
    fn errors(&self) -> Ratio {
        let Self { requests, release, failed, .. } = self;
        Ratio {
            bad: Query::new(format!("sum(increase({requests}{{{release}, {failed}}}[$window]))")),
            total: Query::new(format!("sum(increase({requests}{{{release}}}[$window]))")),
        }
    }

    fn latency(&self, q: Quantile) -> Quantiled {
        let Self { buckets, release, .. } = self;
        Quantiled {
            histogram: Query::new(format!(
                "sum by (le) (increase({buckets}{{{release}}}[$window]))"
            )),
            q,
            unit: self.unit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_names_release_namespace_and_window() {
        for source in Source::ALL {
            let metrics = source.metrics();
            let Ratio { bad, total } = metrics.errors();
            let q = Quantile::from_ppm(990_000).expect("it is between 0 and 1");
            for query in [bad, total, metrics.latency(q).histogram] {
                for variable in ["$release", "$namespace", "$window"] {
                    assert!(query.as_str().contains(variable), "{query:?}: {variable}");
                }
            }
        }
    }

    #[test]
    fn a_quantile_is_given_for_latency_and_for_nothing_else() {
        let q = Quantile::from_ppm(990_000);
        for (measures, q, fits) in [
            (Measures::Errors, None, true),
            (Measures::Errors, q, false),
            (Measures::Latency, None, false),
            (Measures::Latency, q, true),
        ] {
            let preset = Preset { source: Source::Istio, measures, q };
            assert_eq!(preset.written().is_ok(), fits, "{preset:?}");
        }
    }
}
