//! Arithmetic of `backendRefs`: weights of a Gateway API route are relative, not percentages.
//!
//! In every rule the user's own weight of the workload is split between the stable set and the
//! candidate, and all weights of the rule are scaled alike, so that the share of every other backend
//! stays exactly what the user asked for. After reduction by their greatest common divisor the
//! user's weights are multiplied by 100: then every whole percentage is a whole number, and the
//! weights of other backends do not change during a rollout.

use std::collections::BTreeSet;

use backout_core::units::Weight;
use serde_json::{Value, json};

/// The highest weight that the Gateway API allows.
pub const HIGHEST: u64 = 1_000_000;

/// The backends of a rule as the user wrote them, per rule; `None` for a rule that has none.
pub type Backends = Vec<Option<Vec<Value>>>;

/// What may stand in a route beside the two sets.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// Namespace of the route, in which a backend without a namespace is.
    pub namespace: &'a str,
    /// The user's Service that was taken over.
    pub service: &'a str,
    /// The backends as the user had them.
    pub original: &'a Backends,
}

/// The name of a backend that is a Service of the route's own namespace.
#[must_use]
pub fn service<'v>(backend: &'v Value, namespace: &str) -> Option<&'v str> {
    let text = |field: &str| backend.get(field).and_then(Value::as_str);
    let own = text("namespace").is_none_or(|other| other == namespace);
    let kind = text("kind").is_none_or(|kind| kind == "Service");
    let group = text("group").is_none_or(str::is_empty);
    if own && kind && group { text("name") } else { None }
}

/// A backend in words, and its identity among others.
fn label(backend: &Value, namespace: &str) -> String {
    let text = |field: &str| backend.get(field).and_then(Value::as_str);
    match service(backend, namespace) {
        Some(name) => format!("Service {name}"),
        None => format!(
            "{} {}/{}",
            text("kind").unwrap_or("Service"),
            text("namespace").unwrap_or(namespace),
            text("name").unwrap_or("without a name")
        ),
    }
}

/// A backend's weight; 1 where none is written, as the Gateway API says.
fn weight(backend: &Value, namespace: &str) -> Result<u64, String> {
    match backend.get("weight") {
        None | Some(Value::Null) => Ok(1),
        Some(value) => value.as_u64().filter(|weight| *weight <= HIGHEST).ok_or_else(|| {
            format!("the weight {value} of {} is not in 0..={HIGHEST}", label(backend, namespace))
        }),
    }
}

/// The fields that a stable and a candidate entry of one backend share: port, filters, and whatever
/// else the user wrote.
fn rest(backend: &Value) -> Value {
    let mut rest = backend.clone();
    if let Some(fields) = rest.as_object_mut() {
        fields.remove("name");
        fields.remove("weight");
    }
    rest
}

fn entry(rest: &Value, name: &str, weight: u64) -> Value {
    let mut entry = rest.clone();
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("name".to_owned(), json!(name));
        fields.insert("weight".to_owned(), json!(weight));
    }
    entry
}

/// The backends of every rule.
#[must_use]
pub fn of_rules(rules: &[Value]) -> Backends {
    let backends = |rule: &Value| rule.get("backendRefs").and_then(Value::as_array).cloned();
    rules.iter().map(backends).collect()
}

/// The Services of the route's own namespace that its rules send to.
#[must_use]
pub fn services(backends: &Backends, namespace: &str) -> BTreeSet<String> {
    let all = backends.iter().flatten().flatten();
    all.filter_map(|backend| service(backend, namespace)).map(str::to_owned).collect()
}

/// One line of a rule: a backend that is not ours, or ours with everything that its entries add
/// up to.
enum Line {
    Foreign { backend: Value, weight: u64 },
    Ours { rest: Value, weight: u64 },
}

impl Line {
    fn weight(&mut self) -> &mut u64 {
        match self {
            Self::Foreign { weight, .. } | Self::Ours { weight, .. } => weight,
        }
    }
}

/// The lines of a rule in lowest terms.
fn lines(backends: &[Value], ours: &BTreeSet<&str>, namespace: &str) -> Result<Vec<Line>, String> {
    let mut lines: Vec<Line> = Vec::new();
    for backend in backends {
        let more = weight(backend, namespace)?;
        if !service(backend, namespace).is_some_and(|name| ours.contains(name)) {
            lines.push(Line::Foreign { backend: backend.clone(), weight: more });
            continue;
        }
        let same = rest(backend);
        let twin = lines.iter_mut().find_map(|line| match line {
            Line::Ours { rest, weight } if *rest == same => Some(weight),
            _ => None,
        });
        match twin {
            Some(weight) => *weight += more,
            None => lines.push(Line::Ours { rest: same, weight: more }),
        }
    }
    let divisor = lines.iter_mut().map(|line| *line.weight()).fold(0, common_divisor);
    if divisor > 1 {
        lines.iter_mut().for_each(|line| *line.weight() /= divisor);
    }
    Ok(lines)
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Splits what the rules give `ours` between the stable set and the candidate. Rules without a
/// backend of ours stay as they are.
///
/// # Errors
/// When a weight is not one, or the user's weights are too fine to be split into percents.
pub fn split(
    rules: &[Value],
    ours: &BTreeSet<&str>,
    namespace: &str,
    (stable, candidate): (&str, Option<&str>),
    share: Weight,
) -> Result<Vec<Value>, String> {
    let percent = u64::from(share.as_percent());
    if candidate.is_none() && percent > 0 {
        return Err(format!("{share} for a candidate that does not exist"));
    }
    let mut rules = rules.to_vec();
    for (index, rule) in rules.iter_mut().enumerate() {
        let Some(backends) = rule.get_mut("backendRefs").and_then(Value::as_array_mut) else {
            continue;
        };
        let lines = lines(backends, ours, namespace)
            .map_err(|message| format!("spec.rules[{index}]: {message}"))?;
        if !lines.iter().any(|line| matches!(line, Line::Ours { .. })) {
            continue;
        }
        let mut split = Vec::with_capacity(lines.len() + 1);
        for line in lines {
            match line {
                Line::Foreign { mut backend, weight } => {
                    if let Some(fields) = backend.as_object_mut() {
                        fields.insert("weight".to_owned(), json!(scaled(weight, index)?));
                    }
                    split.push(backend);
                }
                Line::Ours { rest, weight } => {
                    scaled(weight, index)?;
                    split.push(entry(&rest, stable, weight * (100 - percent)));
                    if let Some(candidate) = candidate {
                        split.push(entry(&rest, candidate, weight * percent));
                    }
                }
            }
        }
        *backends = split;
    }
    Ok(rules)
}

fn scaled(weight: u64, rule: usize) -> Result<u64, String> {
    let scaled = weight * 100;
    if scaled <= HIGHEST {
        return Ok(scaled);
    }
    Err(format!(
        "spec.rules[{rule}]: the weights are too fine to be split into percents: in lowest terms \
         one is {weight}, and at most {} can be",
        HIGHEST / 100
    ))
}

/// The candidate's share, as the rules say it.
///
/// # Errors
/// When the rules say something else than a share of the two sets; says what was found.
pub fn share(
    rules: &[Value],
    known: &Known<'_>,
    stable: &str,
    candidate: Option<&str>,
) -> Result<Weight, String> {
    let users = known.original.iter().flatten().flatten();
    let foreign: BTreeSet<String> = users
        .filter(|backend| service(backend, known.namespace) != Some(known.service))
        .map(|backend| label(backend, known.namespace))
        .collect();
    let ours: BTreeSet<&str> = candidate.into_iter().chain([stable]).collect();
    let only_candidate: BTreeSet<&str> = candidate.into_iter().collect();
    let mut found: Option<Weight> = None;
    let mut named = false;
    for (index, backends) in of_rules(rules).iter().enumerate() {
        let Some(backends) = backends else { continue };
        for backend in backends {
            strange(backend, known, &ours, &foreign)
                .map_err(|message| format!("spec.rules[{index}]: {message}"))?;
            named |= service(backend, known.namespace).is_some_and(|name| ours.contains(name));
        }
        for (of, whole) in sums(backends, &ours, &only_candidate, known.namespace)? {
            let percent = Some(of * 100).filter(|hundredfold| hundredfold % whole == 0);
            let weight = percent.and_then(|hundredfold| Weight::try_from(hundredfold / whole).ok());
            let Some(weight) = weight else {
                return Err(format!(
                    "spec.rules[{index}] gives {of} of {whole} to the candidate, which is no \
                     whole percentage"
                ));
            };
            if found.is_some_and(|found| found != weight) {
                return Err(format!(
                    "spec.rules[{index}] gives the candidate {weight}, a rule before it {}",
                    found.unwrap_or_default()
                ));
            }
            found = Some(weight);
        }
    }
    found.ok_or_else(|| {
        if named {
            "the weights of the stable set and the candidate add up to nothing".to_owned()
        } else {
            format!("no rule sends to the stable set {stable}")
        }
    })
}

/// An error if the backend is neither of the sets' nor one that the user had.
fn strange(
    backend: &Value,
    known: &Known<'_>,
    ours: &BTreeSet<&str>,
    foreign: &BTreeSet<String>,
) -> Result<(), String> {
    let name = service(backend, known.namespace);
    if name.is_some_and(|name| ours.contains(name)) {
        return Ok(());
    }
    if name == Some(known.service) {
        return Err(format!(
            "it sends to the Service {} again, past the stable set and the candidate: someone wrote \
             the route back as it was before it was adopted",
            known.service
        ));
    }
    let label = label(backend, known.namespace);
    if foreign.contains(&label) {
        return Ok(());
    }
    Err(format!(
        "it sends to {label}, which is neither the stable set nor the candidate ({}), nor was it \
         there when the route was adopted",
        ours.iter().copied().collect::<Vec<_>>().join(", ")
    ))
}

/// What goes to the candidate and to both sets, for each backend of ours that gets anything.
fn sums(
    backends: &[Value],
    ours: &BTreeSet<&str>,
    candidate: &BTreeSet<&str>,
    namespace: &str,
) -> Result<Vec<(u64, u64)>, String> {
    let mut sums: Vec<(Value, u64, u64)> = Vec::new();
    for backend in backends {
        let Some(name) = service(backend, namespace).filter(|name| ours.contains(name)) else {
            continue;
        };
        let weight = weight(backend, namespace)?;
        let of = if candidate.contains(name) { weight } else { 0 };
        let rest = rest(backend);
        match sums.iter_mut().find(|(same, ..)| *same == rest) {
            Some((_, sum, whole)) => {
                *sum += of;
                *whole += weight;
            }
            None => sums.push((rest, of, weight)),
        }
    }
    Ok(sums.into_iter().filter(|(.., whole)| *whole > 0).map(|(_, of, all)| (of, all)).collect())
}

/// The rules as the user had them. A rule whose split with other backends the user changed
/// meanwhile keeps the changed split, with the user's Service in the place of the sets.
///
/// # Errors
/// When a weight is not one.
pub fn restore(
    rules: &[Value],
    known: &Known<'_>,
    ours: &BTreeSet<&str>,
) -> Result<Vec<Value>, String> {
    let only: BTreeSet<&str> = [known.service].into();
    let mut rules = rules.to_vec();
    for (index, rule) in rules.iter_mut().enumerate() {
        let Some(backends) = rule.get_mut("backendRefs").and_then(Value::as_array_mut) else {
            continue;
        };
        let is_ours = |backend: &Value| {
            service(backend, known.namespace).is_some_and(|name| ours.contains(name))
        };
        if !backends.iter().any(is_ours) {
            continue;
        }
        let now = collapsed(backends, ours, known)?;
        let original = known.original.get(index).and_then(Option::as_ref);
        *backends = match original {
            Some(original) if collapsed(original, &only, known)? == now => original.clone(),
            _ => now,
        };
    }
    Ok(rules)
}

/// A rule's backends in lowest terms, with the user's Service for everything of ours.
fn collapsed(
    backends: &[Value],
    ours: &BTreeSet<&str>,
    known: &Known<'_>,
) -> Result<Vec<Value>, String> {
    let lines = lines(backends, ours, known.namespace)?.into_iter().map(|line| match line {
        Line::Foreign { backend, weight } => {
            let name = backend.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            entry(&rest(&backend), &name, weight)
        }
        Line::Ours { rest, weight } => entry(&rest, known.service, weight),
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OURS: [&str; 3] = ["shop", "shop-aaaaaaaa", "shop-bbbbbbbb"];

    fn ours() -> BTreeSet<&'static str> {
        OURS.into()
    }

    fn sets() -> (&'static str, Option<&'static str>) {
        ("shop-aaaaaaaa", Some("shop-bbbbbbbb"))
    }

    fn percent(percent: u8) -> Weight {
        Weight::from_percent(percent).expect("a percentage")
    }

    fn rule(weights: &[(&str, Option<u64>)]) -> Value {
        let backends = weights.iter().map(|(name, weight)| match weight {
            Some(weight) => json!({ "name": name, "port": 80, "weight": weight }),
            None => json!({ "name": name, "port": 80 }),
        });
        json!({ "matches": [{ "path": { "value": "/" } }], "backendRefs": backends.collect::<Vec<_>>() })
    }

    fn weights(rule: &Value) -> Vec<(String, u64)> {
        let backends = rule["backendRefs"].as_array().expect("backends");
        let pair = |b: &Value| {
            (b["name"].as_str().expect("a name").to_owned(), b["weight"].as_u64().expect("weight"))
        };
        backends.iter().map(pair).collect()
    }

    #[test]
    fn a_lone_backend_gets_percents() {
        let rules = [rule(&[("shop", None)])];
        let split = split(&rules, &ours(), "ns", sets(), percent(5)).unwrap();
        let expected = [("shop-aaaaaaaa".to_owned(), 95), ("shop-bbbbbbbb".to_owned(), 5)];
        assert_eq!(weights(&split[0]), expected);
        assert_eq!(split[0]["matches"], rules[0]["matches"]);
        assert_eq!(split[0]["backendRefs"][1]["port"], 80);
    }

    #[test]
    fn other_kinds_and_other_namespaces_are_not_ours() {
        let rules = [json!({ "backendRefs": [
            { "name": "shop", "namespace": "other" },
            { "name": "shop", "kind": "ServiceImport", "group": "multicluster.x-k8s.io" },
        ] })];
        assert_eq!(split(&rules, &ours(), "ns", sets(), percent(5)).unwrap(), rules);
    }

    #[test]
    fn says_what_was_found() {
        let original = vec![Some(vec![json!({ "name": "shop" }), json!({ "name": "legacy" })])];
        let known = Known { namespace: "ns", service: "shop", original: &original };
        let told = |weights: &[(&str, Option<u64>)]| {
            share(&[rule(weights)], &known, sets().0, sets().1).unwrap_err()
        };
        let back = told(&[("shop", None)]);
        assert!(back.contains("the Service shop again"), "{back}");
        let strange = told(&[("shop-aaaaaaaa", None), ("shop-cccccccc", None)]);
        assert!(strange.contains("Service shop-cccccccc, which is neither"), "{strange}");
        let none = told(&[("shop-aaaaaaaa", Some(0)), ("legacy", None)]);
        assert!(none.contains("add up to nothing"), "{none}");
        let third = told(&[("shop-aaaaaaaa", Some(2)), ("shop-bbbbbbbb", Some(1))]);
        assert!(third.contains("1 of 3"), "{third}");
        assert!(told(&[("legacy", None)]).contains("no rule sends to the stable set"));
    }

    #[test]
    fn weights_that_are_too_fine_are_refused() {
        let rules = [rule(&[("shop", Some(999_999)), ("legacy", Some(1_000_000))])];
        let told = split(&rules, &ours(), "ns", sets(), percent(5)).unwrap_err();
        assert!(told.contains("too fine"), "{told}");
    }

    fn fine() -> impl Strategy<Value = u64> {
        prop_oneof![Just(1), 1..=10_000_u64, Just(10_000)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            own in fine(),
            foreign in proptest::collection::vec(0..=10_000_u64, 0..3),
            first in 0..=100_u8,
            second in 0..=100_u8,
        ) {
            let names = ["x", "y", "z"];
            let mut all = vec![("shop", Some(own))];
            all.extend(names.iter().copied().zip(foreign.iter().copied().map(Some)));
            let rules = vec![rule(&all), json!({ "filters": [] })];
            let original = of_rules(&rules);
            let known = Known { namespace: "ns", service: "shop", original: &original };
            let mut now = rules.clone();
            for wanted in [first, second] {
                now = split(&now, &ours(), "ns", sets(), percent(wanted)).unwrap();
                prop_assert_eq!(share(&now, &known, sets().0, sets().1), Ok(percent(wanted)));
                let weights = weights(&now[0]);
                prop_assert!(weights.iter().all(|(_, weight)| *weight <= HIGHEST));
                let sum = weights[0].1 + weights[1].1;
                for ((_, weight), before) in weights[2..].iter().zip(&foreign) {
                    prop_assert_eq!(weight * own, before * sum);
                }
            }
            prop_assert_eq!(restore(&now, &known, &ours()).unwrap(), rules);
        }
    }
}
