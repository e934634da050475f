//! Rules of a policy that go beyond types. Every breach is reported, each with its field.

use std::collections::BTreeMap;

use super::{
    Canary, CanaryStep, FlipCheck, FlipRule, Probe, ReleasePolicy, Route, RouteKind, SignalKind,
    Strategy, Triggers,
};
use crate::document::FieldPath;
use crate::units::{Name, Share, Span, Weight};

/// A rule that a document breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The field.
    pub path: FieldPath,
    /// What is wrong, as a sentence fragment.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Breach {
    /// A breach at a field.
    #[must_use]
    pub fn new(path: FieldPath, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { path, message: message.into(), help: help.into() }
    }
}

fn spec() -> FieldPath {
    FieldPath::root().key("spec")
}

/// Checks a policy. An empty list means that it can be planned with.
#[must_use]
pub fn validate(policy: &ReleasePolicy) -> Vec<Breach> {
    let mut breaches = Vec::new();
    environments(policy, &mut breaches);
    route(&policy.spec.traffic.route, &mut breaches);
    if let FlipRule::Check(FlipCheck { probe: Some(probe), .. }) = &policy.spec.traffic.verify {
        self::probe(probe, &mut breaches);
    }
    strategy(policy, &mut breaches);
    signals(policy, &mut breaches);
    metrics(policy, &mut breaches);
    triggers(&policy.spec.triggers, &mut breaches);
    gates(policy, &mut breaches);
    breaches
}

fn environments(policy: &ReleasePolicy, breaches: &mut Vec<Breach>) {
    let path = spec().key("environments");
    let environments = &policy.spec.environments;
    if environments.is_empty() {
        breaches.push(Breach::new(
            path.clone(),
            "there is no environment",
            "name at least the environment that is released to, such as production",
        ));
    }
    let names = environments.iter().map(|environment| &environment.name);
    twins(names, &path, "environment", breaches);
}

/// Reports every name that occurs again.
pub(crate) fn twins<'a>(
    names: impl Iterator<Item = &'a Name>,
    path: &FieldPath,
    what: &str,
    breaches: &mut Vec<Breach>,
) {
    let mut seen: BTreeMap<&Name, usize> = BTreeMap::new();
    for (index, name) in names.enumerate() {
        if let Some(first) = seen.get(name) {
            breaches.push(Breach::new(
                path.clone().index(index),
                format!("{what} `{name}` is there twice, first at {path}[{first}]"),
                "give each one a name of its own, or remove one",
            ));
        } else {
            seen.insert(name, index);
        }
    }
}

fn route(route: &Route, breaches: &mut Vec<Breach>) {
    if route.by.is_some() && route.kind != RouteKind::Service {
        breaches.push(Breach::new(
            spec().key("traffic").key("route").key("by"),
            format!("a route of kind {} has weights of its own", route.kind),
            "remove `by`; only a route of kind Service has it",
        ));
    }
}

fn probe(probe: &Probe, breaches: &mut Vec<Breach>) {
    let path = spec().key("traffic").key("verify").key("probe");
    let mut breach = |field: &str, message: &str, help: &str| {
        breaches.push(Breach::new(path.clone().key(field), message, help));
    };
    match host_of(&probe.url) {
        None => breach(
            "url",
            "the address is not a URL with http:// or https://",
            "write it as http://checkout.shop/version",
        ),
        Some(host) if host.contains('@') => breach(
            "url",
            "the address contains a user or password, which the policy would show to everyone",
            "probe a path that needs none",
        ),
        Some(_) => {}
    }
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_graphic());
    if !plain(&probe.url) || probe.url.contains('#') {
        breach("url", "a URL that is sent has no spaces and no `#`", "write it percent-encoded");
    }
    let of_a_host = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if probe.host.as_ref().is_some_and(|host| host.is_empty() || !host.chars().all(of_a_host)) {
        breach("host", "this is not the name of a host", "write it as checkout.example.com");
    }
    let of_a_header = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if probe.header.is_empty() || !probe.header.chars().all(of_a_header) {
        breach("header", "this is not the name of a header", "write it as x-release");
    }
}

/// The host of a URL, with its port and whatever else stands there.
fn host_of(url: &str) -> Option<&str> {
    let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme))?;
    rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())
}

fn strategy(policy: &ReleasePolicy, breaches: &mut Vec<Breach>) {
    let path = spec().key("strategy");
    match &policy.spec.strategy {
        Strategy { canary: Some(_), blue_green: Some(_), .. } => breaches.push(Breach::new(
            path.key("blueGreen"),
            "a strategy is either `canary` or `blueGreen`, not both",
            "remove one of them",
        )),
        Strategy { canary: None, blue_green: None, .. } => breaches.push(Breach::new(
            path,
            "the strategy has neither `canary` nor `blueGreen`",
            "write `canary: { steps: [...] }` or `blueGreen: { analyse: 10m }`",
        )),
        Strategy { canary: Some(canary), .. } => {
            steps(policy, canary, &path.key("canary").key("steps"), breaches);
        }
        Strategy { blue_green: Some(_), .. } => {}
    }
}

fn steps(policy: &ReleasePolicy, canary: &Canary, path: &FieldPath, breaches: &mut Vec<Breach>) {
    let mut last: Option<Weight> = None;
    for (index, step) in canary.steps.iter().enumerate() {
        let here = path.clone().index(index);
        one_kind(step, &here, breaches);
        if let Some(weight) = step.set_weight {
            rising(weight, last, &here.key("setWeight"), breaches);
            last = Some(weight);
        } else if last.is_none() && step.analyse.is_some() {
            breaches.push(Breach::new(
                here.key("analyse"),
                "nothing can be analysed before the candidate has traffic",
                "put a `setWeight` before it",
            ));
        }
    }
    if last != Some(Weight::FULL) {
        breaches.push(Breach::new(
            path.clone(),
            match last {
                Some(last) => format!("the last weight is {last}, not 100%"),
                None => "no step sets a weight".to_owned(),
            },
            "end the steps with `setWeight: 100`",
        ));
    }
    let partial = canary.steps.iter().position(|step| {
        step.set_weight.is_some_and(|weight| weight > Weight::ZERO && weight < Weight::FULL)
    });
    let route = &policy.spec.traffic.route;
    if let (Some(index), false) = (partial, route.carries_weights()) {
        breaches.push(Breach::new(
            path.clone().index(index).key("setWeight"),
            format!(
                "a {} whose selector is switched cannot carry a part of the traffic",
                route.kind
            ),
            "use `blueGreen`, a route of kind HTTPRoute, or `by: replicas`",
        ));
    }
}

fn one_kind(step: &CanaryStep, here: &FieldPath, breaches: &mut Vec<Breach>) {
    let given = [step.set_weight.is_some(), step.analyse.is_some(), step.approve.is_some()];
    let given = given.iter().filter(|given| **given).count();
    if given != 1 {
        breaches.push(Breach::new(
            here.clone(),
            format!("a step does one thing, this one does {given}"),
            "write one of `setWeight`, `analyse` and `approve` per step",
        ));
    }
}

fn rising(weight: Weight, last: Option<Weight>, path: &FieldPath, breaches: &mut Vec<Breach>) {
    let message = match last {
        None if weight == Weight::ZERO => "a weight of 0% sends no traffic",
        Some(last) if weight == last => {
            "the weight is the same as the one before: the step is there twice"
        }
        Some(last) if weight < last => "weights must rise",
        _ => return,
    };
    let help = match last {
        Some(last) if weight < last => {
            format!("the weight before is {last}; going down is what a rollback does, not a step")
        }
        _ => "remove the step, or give it a higher weight".to_owned(),
    };
    breaches.push(Breach::new(path.clone(), message, help));
}

fn signals(policy: &ReleasePolicy, breaches: &mut Vec<Breach>) {
    let path = spec().key("signals");
    if policy.spec.signals.is_empty() {
        breaches.push(Breach::new(
            path.clone(),
            "there is no signal",
            "a rollout without a signal cannot be judged; start with the error rate",
        ));
    }
    twins(policy.spec.signals.iter().map(|signal| &signal.name), &path, "signal", breaches);
    for (index, signal) in policy.spec.signals.iter().enumerate() {
        let here = path.clone().index(index);
        match signal.kind() {
            Err(message) => breaches.push(Breach::new(
                here,
                message,
                "see `backout schema ReleasePolicy` for the shape of a signal",
            )),
            Ok(kind) => empty_queries(&kind, &here, breaches),
        }
    }
}

fn empty_queries(kind: &SignalKind<'_>, here: &FieldPath, breaches: &mut Vec<Breach>) {
    for (field, query) in kind.queries() {
        if query.as_str().trim().is_empty() {
            let path = match kind {
                SignalKind::Ratio(..) => here.clone().key("ratio").key(field),
                SignalKind::Quantile(..) => here.clone().key("quantile").key(field),
                SignalKind::Gauge(..) => here.clone().key(field),
            };
            breaches.push(Breach::new(path, "the query is empty", "write a PromQL query"));
        }
    }
}

fn metrics(policy: &ReleasePolicy, breaches: &mut Vec<Breach>) {
    let Some(metrics) = &policy.spec.metrics else { return };
    let server = &metrics.prometheus;
    let path = spec().key("metrics").key("prometheus");
    let host = host_of(&server.address).unwrap_or_default();
    if host.is_empty() {
        breaches.push(Breach::new(
            path.clone().key("address"),
            "the address is not a URL with http:// or https://",
            "write it as http://prometheus.monitoring:9090",
        ));
    } else if host.contains('@') {
        breaches.push(Breach::new(
            path.clone().key("address"),
            "the address contains a user or password",
            "put them into a Secret, and name it as `basicAuthSecret`",
        ));
    }
    if server.bearer_token_secret.is_some() && server.basic_auth_secret.is_some() {
        breaches.push(Breach::new(
            path.clone().key("basicAuthSecret"),
            "there are two ways to say who asks, and a request has room for one",
            "remove `bearerTokenSecret` or `basicAuthSecret`",
        ));
    }
    if server.insecure_skip_verify && server.ca_secret.is_some() {
        breaches.push(Breach::new(
            path.clone().key("insecureSkipVerify"),
            "the certificates of `caSecret` are not looked at if any is believed",
            "remove `insecureSkipVerify`",
        ));
    }
    if server.timeout.is_zero() {
        breaches.push(Breach::new(
            path.key("timeout"),
            "no query can be answered in no time",
            "use 10s",
        ));
    }
}

fn triggers(triggers: &Triggers, breaches: &mut Vec<Breach>) {
    let path = spec().key("triggers");
    if triggers.window < Span::from_secs(5) {
        breaches.push(Breach::new(
            path.clone().key("window"),
            format!("a window of {} is shorter than any scrape interval", triggers.window),
            "use at least 5s; four scrape intervals or more give steady rates",
        ));
    }
    if triggers.consecutive == 0 {
        breaches.push(Breach::new(
            path.clone().key("consecutive"),
            "zero windows decide nothing",
            "use 2, or 1 if a single window may decide",
        ));
    }
    if triggers.shared_cause.excess > Share::from_ppm(1_000_000) {
        breaches.push(Breach::new(
            path.key("sharedCause").key("excess"),
            "an excess over 100% hides a bad release behind any shared cause",
            "use 50% or less",
        ));
    }
}

fn gates(policy: &ReleasePolicy, breaches: &mut Vec<Breach>) {
    let path = spec().key("gates");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (index, gate) in policy.spec.gates.iter().enumerate() {
        let here = path.clone().index(index);
        if let super::Gate::SmokeTest(test) = gate
            && test.run.is_empty()
        {
            breaches.push(Breach::new(
                here.clone().key("smokeTest").key("run"),
                "the smoke test has no command",
                "write the program and its arguments as a list",
            ));
        }
        if let Some(first) = seen.insert(format!("{gate:?}"), index) {
            breaches.push(Breach::new(
                here,
                format!("gate `{}` is there twice, first at {path}[{first}]", gate.name()),
                "remove one",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::testing;
    use crate::policy::Split;

    fn breaches(kind: RouteKind, by: Option<Split>) -> Vec<Breach> {
        let mut policy = (*testing::brief().policy).clone();
        policy.spec.traffic.route.kind = kind;
        policy.spec.traffic.route.by = by;
        validate(&policy)
    }

    #[test]
    fn only_a_service_says_by_what_it_splits() {
        let told = breaches(RouteKind::HTTPRoute, Some(Split::Replicas));
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].path.to_string(), "spec.traffic.route.by");
        assert!(breaches(RouteKind::HTTPRoute, None).is_empty());
        assert!(breaches(RouteKind::Service, Some(Split::Replicas)).is_empty());
    }

    #[test]
    fn a_probe_can_be_sent() {
        let told = |url: &str, host: Option<&str>, header: &str| {
            let mut policy = (*testing::brief().policy).clone();
            policy.spec.traffic.verify = FlipRule::Check(FlipCheck {
                probe: Some(Probe {
                    url: url.to_owned(),
                    host: host.map(str::to_owned),
                    header: header.to_owned(),
                }),
                within: crate::units::Limit::Within(Span::from_secs(60)),
            });
            let told = validate(&policy);
            told.iter().map(|breach| breach.path.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told("http://shop/version", None, "x-release"), "");
        assert_eq!(told("https://10.0.0.1:8443/v?a=b", Some("shop.example:80"), "X-Release"), "");
        let field = |name: &str| format!("spec.traffic.verify.probe.{name}");
        for url in ["", "shop/version", "ftp://shop", "http:///version", "http://me:pw@shop/"] {
            assert_eq!(told(url, None, "x-release"), field("url"), "{url}");
        }
        for url in ["http://shop/a b", "http://shop/#top", "http://shop/\u{e9}"] {
            assert_eq!(told(url, None, "x-release"), field("url"), "{url}");
        }
        assert_eq!(told("http://shop", Some(""), "x-release"), field("host"));
        assert_eq!(told("http://shop", Some("a/b"), "x-release"), field("host"));
        assert_eq!(told("http://shop", None, ""), field("header"));
        assert_eq!(told("http://shop", None, "x-release:"), field("header"));
    }

    #[test]
    fn a_signal_is_a_preset_or_a_query() {
        let preset = r#""preset":{"source":"istio","measures":"errors"}"#;
        for (fields, max, told) in [
            (preset, "1%", None),
            (preset, "400ms", Some("is a percentage")),
            (
                r#""preset":{"source":"istio","measures":"errors","q":0.9}"#,
                "1%",
                Some("no quantile"),
            ),
            (r#""preset":{"source":"istio","measures":"latency"}"#, "1s", Some("`q: 0.99`")),
            (r#""preset":{"source":"istio","measures":"latency","q":0.9}"#, "1s", None),
            (
                r#""preset":{"source":"istio","measures":"latency","q":0.9}"#,
                "1%",
                Some("a latency"),
            ),
            (&format!(r#"{preset},"gauge":"up""#), "1%", Some("exactly one of")),
        ] {
            let mut policy = (*testing::brief().policy).clone();
            let signal = format!(r#"{{"name":"errors","max":"{max}",{fields}}}"#);
            policy.spec.signals = vec![serde_json::from_str(&signal).expect("its types are right")];
            let breaches = validate(&policy);
            assert_eq!(breaches.len(), usize::from(told.is_some()), "{signal}: {breaches:?}");
            for (breach, told) in breaches.iter().zip(told) {
                assert!(breach.message.contains(told), "{signal}: {}", breach.message);
            }
        }
    }

    #[test]
    fn a_selector_carries_no_part_of_the_traffic() {
        for by in [None, Some(Split::Selector)] {
            let told = breaches(RouteKind::Service, by);
            assert_eq!(told.len(), 1);
            assert!(told[0].help.contains("by: replicas"), "{}", told[0].help);
        }
    }
}
