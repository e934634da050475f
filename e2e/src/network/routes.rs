//! From HTTPRoutes and GRPCRoutes to the Gateway's virtual hosts: pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::{Value, json};

use super::translate::{Backend, GATEWAY, cluster_name, retry_policy};

/// The two kinds of routes that the Gateway knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// `HTTPRoute`.
    Http,
    /// `GRPCRoute`, whose backends speak HTTP/2.
    Grpc,
}

impl RouteKind {
    /// The name of the kind in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTPRoute",
            Self::Grpc => "GRPCRoute",
        }
    }

    /// The name of the resource in paths of the API.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Http => "httproutes",
            Self::Grpc => "grpcroutes",
        }
    }
}

/// What the Gateway reads of a route; it ignores what it does not know.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    hostnames: Vec<String>,
    pub(super) parent_refs: Vec<Value>,
    rules: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rule {
    matches: Vec<Match>,
    backend_refs: Vec<BackendRef>,
    timeouts: Timeouts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Timeouts {
    request: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Match {
    path: Option<Named>,
    headers: Vec<Named>,
    query_params: Vec<Named>,
    /// A word for HTTP, an object for gRPC.
    method: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: String,
    value: String,
}

#[derive(Debug, Deserialize)]
struct BackendRef {
    name: String,
    namespace: Option<String>,
    port: Option<u16>,
    kind: Option<String>,
    weight: Option<u32>,
}

impl BackendRef {
    fn cluster(&self, route_namespace: &str) -> Option<String> {
        let known = self.kind.as_deref().unwrap_or("Service") == "Service";
        // Another namespace would need a ReferenceGrant, which this Gateway does not read.
        let own = self.namespace.as_deref().unwrap_or(route_namespace) == route_namespace;
        (known && own).then(|| cluster_name(route_namespace, &self.name, self.port.unwrap_or(80)))
    }
}

/// A route with its spec read.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) kind: RouteKind,
    pub(super) object: Arc<DynamicObject>,
    pub(super) spec: Spec,
}

impl Route {
    /// Reads a route. One that cannot be read is left out, as a Gateway that rejects it would do.
    pub(super) fn read(kind: RouteKind, object: &Arc<DynamicObject>) -> Option<Self> {
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        match serde_json::from_value(spec) {
            Ok(spec) => Some(Self { kind, object: Arc::clone(object), spec }),
            Err(error) => {
                let name = object.name_any();
                tracing::warn!(kind = kind.name(), name, %error, "route cannot be read; left out");
                None
            }
        }
    }

    /// Whether a Gateway is among its parents; a route of a mesh has a Service there.
    pub(super) fn is_attached(&self) -> bool {
        let mut parents = self.spec.parent_refs.iter();
        parents.any(|parent| parent["kind"].as_str().unwrap_or("Gateway") == "Gateway")
    }

    fn namespace(&self) -> String {
        self.object.namespace().unwrap_or_default()
    }

    fn clusters(&self) -> impl Iterator<Item = Option<String>> + '_ {
        let refs = self.spec.rules.iter().flat_map(|rule| &rule.backend_refs);
        refs.map(|backend| backend.cluster(&self.namespace()))
    }

    /// The backends that are not there.
    pub(super) fn unresolved(&self, backends: &BTreeMap<String, Backend>) -> bool {
        self.clusters().any(|name| name.is_none_or(|name| !backends.contains_key(&name)))
    }
}

/// The clusters that gRPC routes lead to: they are spoken to by HTTP/2.
pub(super) fn http2_clusters(routes: &[Route]) -> BTreeSet<String> {
    let grpc = routes.iter().filter(|route| route.kind == RouteKind::Grpc);
    grpc.flat_map(Route::clusters).flatten().collect()
}

/// All routes as one route configuration.
pub(super) fn configuration(routes: &[Route], backends: &BTreeMap<String, Backend>) -> Value {
    let mut order: Vec<&Route> = routes.iter().collect();
    // The API's order where two routes match alike: the oldest, then by name.
    order.sort_by_key(|route| {
        let created = route.object.creation_timestamp().map(|time| time.0);
        (created, route.namespace(), route.object.name_any())
    });
    let mut hosts: BTreeMap<String, Vec<(Precedence, Value)>> = BTreeMap::new();
    for route in order {
        let all = ["*".to_owned()];
        let names = if route.spec.hostnames.is_empty() { &all[..] } else { &route.spec.hostnames };
        for name in names {
            let entries = hosts.entry(name.to_ascii_lowercase()).or_default();
            for rule in &route.spec.rules {
                entries.extend(entries_of(route, rule, backends));
            }
        }
    }
    let virtual_hosts: Vec<Value> = hosts
        .into_iter()
        .map(|(host, mut entries)| {
            // A stable sort: what matches alike stays in the order of above.
            entries.sort_by_key(|(precedence, _)| Reverse(*precedence));
            let entries: Vec<Value> = entries.into_iter().map(|(_, entry)| entry).collect();
            json!({ "name": host, "domains": [host], "routes": entries })
        })
        .collect();
    json!({
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": GATEWAY,
        "virtual_hosts": virtual_hosts,
    })
}

/// The API's order of matches: exact paths, longest prefix, method, headers, parameters.
type Precedence = (bool, usize, bool, usize, usize);

fn entries_of(
    route: &Route,
    rule: &Rule,
    backends: &BTreeMap<String, Backend>,
) -> Vec<(Precedence, Value)> {
    let action = action(route, rule, backends);
    let everything = [Match::default()];
    let matches = if rule.matches.is_empty() { &everything[..] } else { &rule.matches };
    matches
        .iter()
        .map(|one| {
            let (precedence, matched) = match route.kind {
                RouteKind::Http => http_match(one),
                RouteKind::Grpc => grpc_match(one),
            };
            let mut entry = action.clone();
            entry["match"] = matched;
            (precedence, entry)
        })
        .collect()
}

fn http_match(one: &Match) -> (Precedence, Value) {
    let kind = one.path.as_ref().and_then(|path| path.kind.as_deref()).unwrap_or("PathPrefix");
    let value = one.path.as_ref().map_or("/", |path| path.value.as_str());
    let trimmed = value.trim_end_matches('/');
    let mut matched = match kind {
        "Exact" => json!({ "path": value }),
        "RegularExpression" => json!({ "safe_regex": { "regex": value } }),
        _ if trimmed.is_empty() => json!({ "prefix": "/" }),
        _ => json!({ "path_separated_prefix": trimmed }),
    };
    let mut headers = strings(&one.headers);
    let method = one.method.as_ref().and_then(Value::as_str);
    if let Some(method) = method {
        headers.push(json!({ "name": ":method", "string_match": { "exact": method } }));
    }
    matched["headers"] = Value::from(headers);
    matched["query_parameters"] = Value::from(strings(&one.query_params));
    let precedence = (
        kind == "Exact",
        trimmed.len(),
        method.is_some(),
        one.headers.len(),
        one.query_params.len(),
    );
    (precedence, matched)
}

fn grpc_match(one: &Match) -> (Precedence, Value) {
    let part = |key: &str| {
        let method = one.method.as_ref();
        method.and_then(|method| method.get(key)).and_then(Value::as_str)
    };
    let (service, method) = (part("service"), part("method"));
    let regular = part("type") == Some("RegularExpression");
    let mut matched = match (service, method) {
        (None, None) => json!({ "prefix": "/" }),
        (Some(service), Some(method)) if !regular => {
            json!({ "path": format!("/{service}/{method}") })
        }
        (Some(service), None) if !regular => json!({ "prefix": format!("/{service}/") }),
        (service, method) => {
            let regex = format!("/{}/{}", service.unwrap_or("[^/]+"), method.unwrap_or("[^/]+"));
            json!({ "safe_regex": { "regex": regex } })
        }
    };
    matched["headers"] = Value::from(strings(&one.headers));
    let length = service.map_or(0, str::len) + method.map_or(0, str::len);
    ((service.is_some() && method.is_some(), length, false, one.headers.len(), 0), matched)
}

fn strings(named: &[Named]) -> Vec<Value> {
    named
        .iter()
        .map(|one| {
            let text = if one.kind.as_deref() == Some("RegularExpression") {
                json!({ "safe_regex": { "regex": one.value } })
            } else {
                json!({ "exact": one.value })
            };
            json!({ "name": one.name, "string_match": text })
        })
        .collect()
}

/// Where a rule's requests go. The share of a backend that does not exist gets 500, that of one
/// without endpoints 503, and a rule with no weight at all 500: so says the Gateway API.
fn action(route: &Route, rule: &Rule, backends: &BTreeMap<String, Backend>) -> Value {
    let mut clusters = Vec::new();
    for (index, backend) in rule.backend_refs.iter().enumerate() {
        let weight = backend.weight.unwrap_or(1);
        if weight == 0 {
            continue;
        }
        let name = backend
            .cluster(&route.namespace())
            .filter(|name| backends.contains_key(name))
            .unwrap_or_else(|| format!("missing/{}/{index}", backend.name));
        clusters.push(json!({ "name": name, "weight": weight }));
    }
    if clusters.is_empty() {
        return json!({ "direct_response": { "status": 500 } });
    }
    let usual = if route.kind == RouteKind::Grpc { "0s" } else { "15s" };
    let timeout = rule.timeouts.request.as_deref().and_then(seconds);
    json!({ "route": {
        "weighted_clusters": { "clusters": clusters },
        "cluster_not_found_response_code": "INTERNAL_SERVER_ERROR",
        "timeout": timeout.unwrap_or_else(|| usual.to_owned()),
        "retry_policy": retry_policy(),
    } })
}

/// A duration of the Gateway API (`1h30m`, `500ms`) in Envoy's notation.
fn seconds(text: &str) -> Option<String> {
    let mut milliseconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits =
            rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let (unit, factor) = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
            .into_iter()
            .find(|(unit, _)| rest.starts_with(unit))?;
        rest = &rest[unit.len()..];
        milliseconds = milliseconds.checked_add(number.checked_mul(factor)?)?;
    }
    Some(format!("{}.{:03}s", milliseconds / 1_000, milliseconds % 1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(spec: &Value) -> Route {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "shop", "namespace": "shop" }, "spec": spec,
        }))
        .expect("a route");
        Route::read(RouteKind::Http, &Arc::new(object)).expect("readable")
    }

    #[test]
    fn no_weight_at_all_is_a_500() {
        let route = route(
            &json!({ "rules": [{ "backendRefs": [{ "name": "a", "port": 80, "weight": 0 }] }] }),
        );
        let all = configuration(&[route], &BTreeMap::new());
        assert_eq!(all["virtual_hosts"][0]["routes"][0]["direct_response"]["status"], 500);
    }

    #[test]
    fn an_exact_path_comes_before_a_longer_prefix() {
        let route = route(&json!({ "rules": [{ "matches": [
            { "path": { "type": "PathPrefix", "value": "/long/prefix" } },
            { "path": { "type": "Exact", "value": "/a" } },
        ] }] }));
        let all = configuration(&[route], &BTreeMap::new());
        assert_eq!(all["virtual_hosts"][0]["routes"][0]["match"]["path"], "/a");
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(seconds("1m500ms").as_deref(), Some("60.500s"));
        assert_eq!(seconds("5"), None);
        assert_eq!(seconds("fast"), None);
    }
}
