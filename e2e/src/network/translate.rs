//! From Services and EndpointSlices to what Envoy reads: pure, so that it can be tested alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use serde_json::{Value, json};

/// The file of all clusters.
pub(super) const CLUSTERS: &str = "cds.json";
/// The file of all listeners.
pub(super) const LISTENERS: &str = "lds.json";
/// The file of the Gateway's routes.
pub(super) const GATEWAY_ROUTES: &str = "rds-gateway.json";
/// The name of the Gateway's listener, of its routes and of its statistics.
pub(super) const GATEWAY: &str = "gateway";

const TYPE: &str = "type.googleapis.com/envoy";
/// The label that ties a slice to its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// How a Service's port is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    /// HTTP/2 without TLS, as gRPC uses it.
    Http2,
    /// Bytes: TLS of a webhook, or a protocol that is not HTTP.
    Tcp,
}

/// One port of one Service, with the ready endpoints behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) namespace: String,
    pub(super) service: String,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    /// None for a Service without an address of its own.
    pub(super) cluster_ip: Option<String>,
    pub(super) endpoints: BTreeSet<(String, u16)>,
}

impl Backend {
    pub(super) fn cluster(&self) -> String {
        cluster_name(&self.namespace, &self.service, self.port)
    }
}

/// The name of the cluster of a Service's port; it appears in Envoy's statistics.
pub(super) fn cluster_name(namespace: &str, service: &str, port: u16) -> String {
    format!("{namespace}/{service}/{port}")
}

/// The file of a cluster's endpoints. A file per cluster, as Envoy expects one resource in it.
pub(super) fn endpoints_file(cluster: &str) -> String {
    format!("eds-{}.json", cluster.replace('/', "_"))
}

/// Every port of every Service, by the name of its cluster.
pub(super) fn backends(
    services: &[Arc<Service>],
    slices: &[Arc<EndpointSlice>],
) -> BTreeMap<String, Backend> {
    let mut found = BTreeMap::new();
    for service in services {
        let namespace = service.namespace().unwrap_or_default();
        let name = service.name_any();
        let spec = service.spec.as_ref();
        let own: Vec<&EndpointSlice> = slices
            .iter()
            .map(AsRef::as_ref)
            .filter(|slice| slice.namespace().as_deref() == Some(&namespace))
            .filter(|slice| slice.labels().get(SERVICE_NAME) == Some(&name))
            .collect();
        let cluster_ip = spec
            .and_then(|spec| spec.cluster_ip.clone())
            .filter(|address| !address.is_empty() && address != "None");
        for port in spec.and_then(|spec| spec.ports.as_ref()).into_iter().flatten() {
            let Ok(number) = u16::try_from(port.port) else { continue };
            if port.protocol.as_deref().unwrap_or("TCP") != "TCP" {
                continue;
            }
            let backend = Backend {
                namespace: namespace.clone(),
                service: name.clone(),
                port: number,
                protocol: protocol(port),
                cluster_ip: cluster_ip.clone(),
                endpoints: endpoints(&own, port.name.as_deref().unwrap_or_default()),
            };
            found.insert(backend.cluster(), backend);
        }
    }
    found
}

fn protocol(port: &ServicePort) -> Protocol {
    let word = port.app_protocol.as_deref().or(port.name.as_deref()).unwrap_or_default();
    let starts = |words: &[&str]| words.iter().any(|start| word.starts_with(start));
    if starts(&["grpc", "h2c", "http2", "kubernetes.io/h2c"]) {
        Protocol::Http2
    } else if starts(&["https", "tls", "tcp"]) || (port.port == 443 && !starts(&["http"])) {
        Protocol::Tcp
    } else {
        Protocol::Http
    }
}

fn endpoints(slices: &[&EndpointSlice], port_name: &str) -> BTreeSet<(String, u16)> {
    let mut found = BTreeSet::new();
    for slice in slices {
        let port = slice
            .ports
            .iter()
            .flatten()
            .find(|port| port.name.as_deref().unwrap_or_default() == port_name)
            .and_then(|port| u16::try_from(port.port?).ok());
        let Some(port) = port else { continue };
        for endpoint in slice.endpoints.iter().flatten() {
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            // Absent means true for both, says the API.
            if conditions.ready.unwrap_or(true) && conditions.serving.unwrap_or(true) {
                found.extend(endpoint.addresses.iter().map(|address| (address.clone(), port)));
            }
        }
    }
    found
}

/// The resource with the endpoints of one cluster.
pub(super) fn endpoints_resource(backend: &Backend) -> Value {
    let endpoints: Vec<Value> = backend
        .endpoints
        .iter()
        .map(|(address, port)| json!({ "endpoint": { "address": socket(address, *port) } }))
        .collect();
    json!({
        "@type": format!("{TYPE}.config.endpoint.v3.ClusterLoadAssignment"),
        "cluster_name": backend.cluster(),
        "endpoints": [{ "lb_endpoints": endpoints }],
    })
}

/// The resource of one cluster. `directory` is where its endpoints are read from.
pub(super) fn cluster_resource(backend: &Backend, http2: bool, directory: &str) -> Value {
    let name = backend.cluster();
    let path = format!("{directory}/{}", endpoints_file(&name));
    let protocol = if http2 || backend.protocol == Protocol::Http2 {
        json!({ "http2_protocol_options": {} })
    } else {
        json!({ "http_protocol_options": {} })
    };
    json!({
        "@type": format!("{TYPE}.config.cluster.v3.Cluster"),
        "name": name,
        "type": "EDS",
        "eds_cluster_config": { "eds_config": {
            "resource_api_version": "V3",
            "path_config_source": { "path": path },
        } },
        "connect_timeout": "0.5s",
        "lb_policy": "ROUND_ROBIN",
        // Envoy allows three retries at once by default, too few when a pod goes under load.
        "circuit_breakers": { "thresholds": [{
            "max_connections": 65_535, "max_pending_requests": 65_535,
            "max_requests": 65_535, "max_retries": 4_096,
        }] },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": format!("{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": protocol,
                // Shorter than the keep-alive of the servers, so that the two never close and
                // use a connection at the same moment.
                "common_http_protocol_options": { "idle_timeout": "2s" },
            },
        },
    })
}

/// The listener of a Service's address, or nothing if it has none.
pub(super) fn service_listener(backend: &Backend) -> Option<Value> {
    let address = backend.cluster_ip.as_ref()?;
    let cluster = backend.cluster();
    let filter = match backend.protocol {
        Protocol::Tcp => json!({
            "name": "envoy.filters.network.tcp_proxy",
            "typed_config": {
                "@type": format!("{TYPE}.extensions.filters.network.tcp_proxy.v3.TcpProxy"),
                "stat_prefix": "service",
                "cluster": cluster,
                "max_connect_attempts": 3,
            },
        }),
        Protocol::Http | Protocol::Http2 => http_filter(
            "service",
            (
                "route_config",
                &json!({ "virtual_hosts": [{
                "name": "service",
                "domains": ["*"],
                "routes": [{
                    "match": { "prefix": "/" },
                    "route": { "cluster": cluster, "timeout": "0s", "retry_policy": retry_policy() },
                }],
            }] }),
            ),
        ),
    };
    Some(listener(&format!("service/{cluster}"), address, backend.port, &filter))
}

/// The listener of the Gateway, whose routes are a file of their own.
pub(super) fn gateway_listener(address: &str, port: u16, directory: &str) -> Value {
    let routes = json!({
        "route_config_name": GATEWAY,
        "config_source": {
            "resource_api_version": "V3",
            "path_config_source": { "path": format!("{directory}/{GATEWAY_ROUTES}") },
        },
    });
    listener(GATEWAY, address, port, &http_filter(GATEWAY, ("rds", &routes)))
}

/// What is tried again, and where: requests that no endpoint can have seen, at another endpoint.
/// Requests that were cut are not, as the proxy cannot know whether they were carried out.
pub(super) fn retry_policy() -> Value {
    json!({
        "retry_on": "connect-failure,refused-stream,reset-before-request",
        "num_retries": 4,
        "retry_back_off": { "base_interval": "0.005s", "max_interval": "0.1s" },
        "host_selection_retry_max_attempts": "5",
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": { "@type": format!(
                "{TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
            ) },
        }],
    })
}

fn http_filter(statistics: &str, (key, routes): (&str, &Value)) -> Value {
    let mut config = json!({
        "@type": format!(
            "{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        ),
        "stat_prefix": statistics,
        "codec_type": "AUTO",
        "strip_any_host_port": true,
        "normalize_path": true,
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": format!("{TYPE}.extensions.filters.http.router.v3.Router") },
        }],
    });
    config[key] = routes.clone();
    json!({ "name": "envoy.filters.network.http_connection_manager", "typed_config": config })
}

fn listener(name: &str, address: &str, port: u16, filter: &Value) -> Value {
    json!({
        "@type": format!("{TYPE}.config.listener.v3.Listener"),
        "name": name,
        "address": socket(address, port),
        "filter_chains": [{ "filters": [filter] }],
    })
}

fn socket(address: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": address, "port_value": port } })
}
