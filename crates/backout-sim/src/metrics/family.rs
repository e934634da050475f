//! Metric families that the virtual world exposes.

use std::collections::BTreeMap;

use backout_core::units::Latency;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a family measures.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// A counter of requests, by response code.
    Requests,
    /// A cumulative histogram of request durations (`_bucket` series).
    DurationBuckets,
    /// A counter of requests that belongs to a histogram (`_count` series).
    DurationCount,
    /// Share of a pod's capacity that is in use, 0 to 1.
    Level,
}

/// Unit of a duration's `le` label.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Seconds, the Prometheus convention.
    #[default]
    Seconds,
    /// Milliseconds, as Istio and Linkerd use.
    Milliseconds,
}

impl Unit {
    /// The `le` label of a bucket, as Prometheus clients write it; `None` is the last bucket.
    #[must_use]
    pub fn le(self, edge: Option<Latency>) -> String {
        let Some(edge) = edge else {
            return "+Inf".to_owned();
        };
        let (per_unit, decimals) = match self {
            Self::Seconds => (1_000_000, 6),
            Self::Milliseconds => (1_000, 3),
        };
        let (whole, part) = (edge.as_micros() / per_unit, edge.as_micros() % per_unit);
        let text = format!("{whole}.{part:0decimals$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// Where a label's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Label {
    /// The namespace.
    Namespace,
    /// The workload's name.
    Workload,
    /// The release's set: what `$release` stands for.
    Set,
    /// A pod's name: the set's name, a dash and five characters.
    Pod,
    /// The release's version.
    Version,
    /// The response code.
    Code,
    /// The bucket's upper edge.
    Le,
    /// Always this value.
    Fixed(String),
    /// A text in which `$release`, `$namespace`, `$workload` and `$version` are filled in.
    Template(String),
    /// A value that follows from the response code, such as Linkerd's `classification`.
    ByCode {
        /// For code 200.
        ok: String,
        /// For code 404.
        missing: String,
        /// For code 500.
        error: String,
    },
}

/// A metric family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Family {
    /// The metric's name, `_bucket` or `_count` included.
    pub name: String,
    /// What it measures.
    pub measure: Measure,
    /// Unit of the `le` label.
    #[serde(default)]
    pub unit: Unit,
    /// Its labels.
    pub labels: BTreeMap<String, Label>,
}

/// A label and where its value comes from.
type Row = (&'static str, Label);

/// The metric families that people conventionally have.
///
/// A label that people may or may not have is there, in each of its usual spellings, so that a
/// correct query finds its series. A label that people commonly expect although it is not there
/// is left out on purpose: `version` of `http_requests_total`, `release` of the kubelet's metrics.
#[must_use]
pub fn conventional() -> Vec<Family> {
    let mut families = instrumented();
    families.extend(opentelemetry());
    families.extend(istio());
    families.extend(linkerd());
    families.extend(proxies());
    families.extend(levels());
    families
}

/// What client libraries of Prometheus, Micrometer and gRPC expose.
fn instrumented() -> Vec<Family> {
    let codes = [("code", Label::Code), ("status", Label::Code), ("status_code", Label::Code)];
    let request = [("method", fixed("GET")), ("handler", fixed("/")), ("path", fixed("/"))];
    let web = [&pod()[..], &app(), &codes, &request].concat();
    let outcome = by_code("SUCCESS", "CLIENT_ERROR", "SERVER_ERROR");
    let spring = [("status", Label::Code), ("outcome", outcome), ("uri", fixed("/"))];
    let spring = [&pod()[..], &app(), &spring, &request[..1]].concat();
    let grpc = [
        ("grpc_code", by_code("OK", "NotFound", "Internal")),
        ("grpc_method", fixed("Get")),
        ("grpc_service", Label::Workload),
        ("grpc_type", fixed("unary")),
    ];
    let grpc = [&pod()[..], &app(), &grpc].concat();
    let mut families = vec![
        family("http_requests_total", Measure::Requests, &web),
        family("grpc_server_handled_total", Measure::Requests, &grpc),
    ];
    families.extend(histogram("http_request_duration_seconds", Unit::Seconds, &web));
    families.extend(histogram("http_server_requests_seconds", Unit::Seconds, &spring));
    families.extend(histogram("grpc_server_handling_seconds", Unit::Seconds, &grpc));
    families
}

/// OpenTelemetry's server metrics: the stable convention, and the one before it.
fn opentelemetry() -> Vec<Family> {
    let resource = [
        ("k8s_namespace_name", Label::Namespace),
        ("k8s_deployment_name", Label::Set),
        ("k8s_pod_name", Label::Pod),
        ("service_name", Label::Workload),
        ("service_namespace", Label::Namespace),
        ("service_version", Label::Version),
    ];
    let stable = [
        ("http_request_method", fixed("GET")),
        ("http_response_status_code", Label::Code),
        ("http_route", fixed("/")),
        ("url_scheme", fixed("http")),
    ];
    let former = [
        ("http_method", fixed("GET")),
        ("http_status_code", Label::Code),
        ("http_route", fixed("/")),
        ("http_scheme", fixed("http")),
    ];
    let stable = [&pod()[..], &app(), &resource, &stable].concat();
    let former = [&pod()[..], &app(), &resource, &former].concat();
    let mut families = Vec::new();
    families.extend(histogram("http_server_request_duration_seconds", Unit::Seconds, &stable));
    families.extend(histogram("http_server_duration_milliseconds", Unit::Milliseconds, &former));
    families
}

/// Istio's metrics, which both ends of a request report.
fn istio() -> Vec<Family> {
    let traffic = [
        ("source_workload", fixed("istio-ingressgateway")),
        ("source_workload_namespace", fixed("istio-system")),
        ("destination_app", Label::Workload),
        ("destination_canonical_revision", Label::Version),
        ("destination_canonical_service", Label::Workload),
        ("destination_service", template("$release.$namespace.svc.cluster.local")),
        ("destination_service_name", Label::Set),
        ("destination_service_namespace", Label::Namespace),
        ("destination_version", Label::Version),
        ("destination_workload", Label::Set),
        ("destination_workload_namespace", Label::Namespace),
        ("request_protocol", fixed("http")),
        ("response_code", Label::Code),
        ("response_flags", fixed("-")),
    ];
    let gateway = [
        ("reporter", fixed("source")),
        ("namespace", fixed("istio-system")),
        ("pod", fixed("istio-ingressgateway-5d7c9-x2x4k")),
    ];
    let sidecar = [&pod()[..], &app(), &[("reporter", fixed("destination"))]].concat();
    let mut families = Vec::new();
    for reporter in [&gateway[..], &sidecar] {
        let labels = [&traffic, reporter].concat();
        families.push(family("istio_requests_total", Measure::Requests, &labels));
        let stem = "istio_request_duration_milliseconds";
        families.extend(histogram(stem, Unit::Milliseconds, &labels));
    }
    families
}

/// Linkerd's metrics, as the proxy beside the workload reports them.
fn linkerd() -> Vec<Family> {
    let proxy = [
        ("deployment", Label::Set),
        ("direction", fixed("inbound")),
        ("job", fixed("linkerd-proxy")),
        ("tls", fixed("true")),
    ];
    let response = [
        ("classification", by_code("success", "success", "failure")),
        ("status_code", Label::Code),
    ];
    let requests = [&pod()[..], &proxy].concat();
    let responses = [&requests[..], &response].concat();
    let mut families = vec![
        family("request_total", Measure::Requests, &requests),
        family("response_total", Measure::Requests, &responses),
    ];
    families.extend(histogram("response_latency_ms", Unit::Milliseconds, &responses));
    families
}

/// What gateways and ingress controllers say of the services behind them: Envoy, NGINX, Traefik.
fn proxies() -> Vec<Family> {
    let envoy = [
        ("envoy_cluster_name", template("$namespace_$release_80")),
        ("namespace", fixed("envoy-gateway-system")),
        ("pod", fixed("envoy-6f9b7-k8wqz")),
    ];
    let code = [&envoy[..], &[("envoy_response_code", Label::Code)]].concat();
    let class = [("envoy_response_code_class", by_code("2", "4", "5"))];
    let class = [&envoy[..], &class].concat();
    let nginx = [
        ("exported_namespace", Label::Namespace),
        ("exported_service", Label::Set),
        ("ingress", Label::Workload),
        ("method", fixed("GET")),
        ("namespace", Label::Namespace),
        ("path", fixed("/")),
        ("service", Label::Set),
        ("status", Label::Code),
    ];
    let traefik = [
        ("code", Label::Code),
        ("method", fixed("GET")),
        ("protocol", fixed("http")),
        ("service", template("$namespace-$release-80@kubernetes")),
    ];
    let mut families = vec![
        family("envoy_cluster_upstream_rq", Measure::Requests, &code),
        family("envoy_cluster_upstream_rq_xx", Measure::Requests, &class),
        family("envoy_cluster_upstream_rq_total", Measure::Requests, &envoy),
        family("nginx_ingress_controller_requests", Measure::Requests, &nginx),
        family("traefik_service_requests_total", Measure::Requests, &traefik),
    ];
    let nginx_stem = "nginx_ingress_controller_request_duration_seconds";
    families.extend(histogram("envoy_cluster_upstream_rq_time", Unit::Milliseconds, &envoy));
    families.extend(histogram(nginx_stem, Unit::Seconds, &nginx));
    families.extend(histogram("traefik_service_request_duration_seconds", Unit::Seconds, &traefik));
    families
}

/// Use of CPU and memory.
///
/// The limits are levels too, so that a query that divides usage by its limit is about one level.
fn levels() -> Vec<Family> {
    let container =
        [("container", Label::Workload), ("namespace", Label::Namespace), ("pod", Label::Pod)];
    let kubelet = [("image", template("registry.example/$workload:$version")), node()];
    let kubelet = [&container[..], &kubelet].concat();
    let mut families =
        vec![family("container_cpu_utilization", Measure::Level, &[&pod()[..], &app()].concat())];
    for name in [
        "container_cpu_usage_seconds_total",
        "container_memory_usage_bytes",
        "container_memory_working_set_bytes",
    ] {
        families.push(family(name, Measure::Level, &kubelet));
    }
    for name in ["kube_pod_container_resource_limits", "kube_pod_container_resource_requests"] {
        for (resource, unit) in [("cpu", "core"), ("memory", "byte")] {
            let kind = [("resource", fixed(resource)), ("unit", fixed(unit)), node()];
            let labels = [&container[..], &kind].concat();
            families.push(family(name, Measure::Level, &labels));
        }
    }
    families
}

/// Labels that Prometheus adds when it scrapes a pod, in the spellings of its operator and of its
/// widespread example configuration.
fn pod() -> Vec<Row> {
    vec![
        ("container", Label::Workload),
        ("instance", fixed("10.0.0.1:8080")),
        ("job", fixed("kubernetes-pods")),
        ("kubernetes_namespace", Label::Namespace),
        ("kubernetes_pod_name", Label::Pod),
        ("namespace", Label::Namespace),
        ("pod", Label::Pod),
        node(),
    ]
}

/// Labels of the pod itself that people copy to its series.
fn app() -> Vec<Row> {
    vec![
        ("app", Label::Workload),
        ("app_kubernetes_io_instance", Label::Workload),
        ("app_kubernetes_io_name", Label::Workload),
        ("release", Label::Set),
        ("service", Label::Workload),
    ]
}

fn node() -> Row {
    ("node", fixed("node-1"))
}

fn fixed(value: &str) -> Label {
    Label::Fixed(value.to_owned())
}

fn template(text: &str) -> Label {
    Label::Template(text.to_owned())
}

fn by_code(ok: &str, missing: &str, error: &str) -> Label {
    Label::ByCode { ok: ok.to_owned(), missing: missing.to_owned(), error: error.to_owned() }
}

fn family(name: &str, measure: Measure, labels: &[Row]) -> Family {
    let labels = labels.iter().map(|(name, label)| ((*name).to_owned(), label.clone())).collect();
    Family { name: name.to_owned(), measure, unit: Unit::default(), labels }
}

/// The `_bucket` and `_count` families of one histogram.
fn histogram(stem: &str, unit: Unit, labels: &[Row]) -> [Family; 2] {
    let edges = [labels, &[("le", Label::Le)]].concat();
    let buckets = family(&format!("{stem}_bucket"), Measure::DurationBuckets, &edges);
    let count = family(&format!("{stem}_count"), Measure::DurationCount, labels);
    [Family { unit, ..buckets }, Family { unit, ..count }]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn conventional_families_are_distinct_and_coherent() {
        let families = conventional();
        let mut seen = BTreeSet::new();
        for family in &families {
            let labels: Vec<_> = family.labels.iter().collect();
            assert!(seen.insert((&family.name, labels)), "{} is there twice", family.name);
            let buckets = family.measure == Measure::DurationBuckets;
            assert_eq!(family.name.ends_with("_bucket"), buckets, "{}", family.name);
            assert_eq!(family.labels.get("le") == Some(&Label::Le), buckets, "{}", family.name);
            let count = family.measure == Measure::DurationCount;
            assert_eq!(family.name.ends_with("_count"), count, "{}", family.name);
        }
    }

    #[test]
    fn every_family_can_tell_the_releases_apart() {
        for family in conventional() {
            let tells = family.labels.values().any(|label| match label {
                Label::Set | Label::Pod => true,
                Label::Template(text) => text.contains("$release"),
                Label::Namespace
                | Label::Workload
                | Label::Version
                | Label::Code
                | Label::Le
                | Label::Fixed(_)
                | Label::ByCode { .. } => false,
            });
            assert!(tells, "{}", family.name);
        }
    }

    #[test]
    fn http_requests_have_no_version() {
        let families = conventional();
        let plain = families.iter().find(|family| family.name == "http_requests_total").unwrap();
        assert!(!plain.labels.contains_key("version"));
        assert_eq!(plain.labels["release"], Label::Set);
    }

    #[test]
    fn edges_are_written_as_clients_write_them() {
        for (micros, seconds, millis) in [
            (5_000, "0.005", "5"),
            (2_500_000, "2.5", "2500"),
            (10_000_000, "10", "10000"),
            (1_500, "0.0015", "1.5"),
            (0, "0", "0"),
        ] {
            let edge = Some(Latency::from_micros(micros));
            assert_eq!(Unit::Seconds.le(edge), seconds);
            assert_eq!(Unit::Milliseconds.le(edge), millis);
        }
        assert_eq!(Unit::Seconds.le(None), "+Inf");
    }

    #[test]
    fn a_family_of_a_world_document_is_read() {
        let text = r#"{"name": "x", "measure": "requests", "labels": {
            "a": "set",
            "b": {"byCode": {"ok": "1", "missing": "2", "error": "3"}},
            "c": {"template": "$release"}
        }}"#;
        let family: Family = serde_json::from_str(text).unwrap();
        assert_eq!(family.labels["b"], by_code("1", "2", "3"));
        assert_eq!(family.labels["c"], template("$release"));
    }
}
