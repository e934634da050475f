//! Label selectors: whom they select, and how pods get out of their reach.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::names;

/// Labels by key.
pub type Labels = BTreeMap<String, String>;

/// The labels in this value; entries that are no text are left out.
#[must_use]
pub fn labels(value: &Value) -> Labels {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Whether a label selector (`matchLabels`, `matchExpressions`) selects these labels. One that is
/// empty selects everything; one that is missing, nothing.
#[must_use]
pub fn selects(selector: &Value, labels: &Labels) -> bool {
    let Some(selector) = selector.as_object() else { return false };
    let equal = selector.get("matchLabels").and_then(Value::as_object);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    equal
        .into_iter()
        .flatten()
        .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        && expressions.into_iter().flatten().all(|expression| holds(expression, labels))
}

/// Whether a Service's selector selects these labels. A Service without one selects nothing.
#[must_use]
pub fn service_selects(service: &Value, labels: &Labels) -> bool {
    match service["spec"]["selector"].as_object() {
        Some(selector) if !selector.is_empty() => selector
            .iter()
            .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str()),
        _ => false,
    }
}

fn holds(expression: &Value, labels: &Labels) -> bool {
    let found = labels.get(expression["key"].as_str().unwrap_or_default());
    let values = expression["values"].as_array();
    let listed = found.is_some_and(|found| {
        values.into_iter().flatten().any(|value| value.as_str() == Some(found))
    });
    match expression["operator"].as_str() {
        Some("In") => listed,
        Some("NotIn") => !listed,
        Some("Exists") => found.is_some(),
        Some("DoesNotExist") => found.is_none(),
        // An operator that is not known may select anything.
        _ => true,
    }
}

/// Labels that take pods out of reach of a Deployment's selector and of the Services: what was
/// selected by value gets the set's name as its value, what was selected by mere presence goes.
#[must_use]
pub fn out_of_reach(old: &Labels, selector: &Value, services: &[Value], set: &str) -> Labels {
    let value: String = set.chars().take(63).collect();
    let value = value.trim_end_matches(['-', '.', '_']).to_owned();
    let mut new = old.clone();
    let services = services.iter().filter(|service| service_selects(service, old));
    let by_value = services
        .map(|service| &service["spec"]["selector"])
        .chain([&selector["matchLabels"]])
        .filter_map(Value::as_object)
        .flat_map(Map::keys);
    for key in by_value {
        if let Some(label) = new.get_mut(key) {
            label.clone_from(&value);
        }
    }
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        match (expression["operator"].as_str(), new.get_mut(key)) {
            (Some("In"), Some(label)) => label.clone_from(&value),
            (Some("Exists"), Some(_)) => drop(new.remove(key)),
            _ => {}
        }
    }
    new
}

/// Rewrites the label selectors of affinity and spread rules that meant the template's own pods,
/// so that they mean the set's. Rules about other pods stay as they are.
pub fn retarget(pod_spec: &mut Value, old: &Labels, new: &Labels, set: &str) {
    for place in ["affinity", "topologySpreadConstraints"] {
        if let Some(rules) = pod_spec.get_mut(place) {
            retarget_within(rules, old, new, set);
        }
    }
}

fn retarget_within(value: &mut Value, old: &Labels, new: &Labels, set: &str) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                if key == "labelSelector" && is_narrow(field) && selects(field, old) {
                    if !selects(field, new) {
                        *field = serde_json::json!({"matchLabels": {names::RELEASE: set}});
                    }
                } else {
                    retarget_within(field, old, new, set);
                }
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| retarget_within(item, old, new, set));
        }
        _ => {}
    }
}

/// A selector without any condition means all pods, and goes on meaning that.
fn is_narrow(selector: &Value) -> bool {
    selector.as_object().is_some_and(|fields| !fields.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods() -> Labels {
        labels(&json!({"app": "checkout", "tier": "web", "team": "shop"}))
    }

    #[test]
    fn expressions_and_services_lose_the_pods_too() {
        let selector = json!({
            "matchLabels": {"app": "checkout"},
            "matchExpressions": [{"key": "team", "operator": "Exists"}],
        });
        let service = json!({"spec": {"selector": {"tier": "web"}}});
        assert!(selects(&selector, &pods()) && service_selects(&service, &pods()));
        let new = out_of_reach(&pods(), &selector, std::slice::from_ref(&service), "checkout-1");
        assert!(!selects(&selector, &new));
        assert!(!service_selects(&service, &new));
        assert_eq!(new.get("team"), None);
    }

    #[test]
    fn rules_about_other_pods_stay() {
        let mut spec = json!({"affinity": {"podAffinity": {"terms": [
            {"labelSelector": {"matchLabels": {"app": "cache"}}},
            {"labelSelector": {"matchExpressions": [
                {"key": "app", "operator": "In", "values": ["checkout"]}]}},
        ]}}});
        let selector = json!({"matchLabels": {"app": "checkout"}});
        let new = out_of_reach(&pods(), &selector, &[], "checkout-1");
        retarget(&mut spec, &pods(), &new, "checkout-1");
        let terms = &spec["affinity"]["podAffinity"]["terms"];
        assert_eq!(terms[0]["labelSelector"]["matchLabels"]["app"], "cache");
        let own = &terms[1]["labelSelector"]["matchLabels"];
        assert_eq!(own, &json!({"backout.dev/release": "checkout-1"}));
    }
}
