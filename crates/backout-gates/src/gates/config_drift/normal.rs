//! When two ways to write an object mean the same to Kubernetes.
//!
//! Order of keys and of named lists, `1` and `"1"`, `1000m` and `1`, what is empty and what is not
//! there, and what the API server fills in by itself are no differences.

use backout_core::document::FieldPath;
use serde_json::{Map, Value};

/// Fields that a server writes.
const SERVER: &[&str] =
    &["creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid"];

/// What the API server fills in where a manifest says nothing, from the API reference. Only
/// defaults that hold wherever the key stands.
const DEFAULTS: &[(&str, &str)] = &[
    ("dnsPolicy", "ClusterFirst"),
    ("failureThreshold", "3"),
    ("internalTrafficPolicy", "Cluster"),
    ("periodSeconds", "10"),
    ("progressDeadlineSeconds", "600"),
    ("protocol", "TCP"),
    ("revisionHistoryLimit", "10"),
    ("schedulerName", "default-scheduler"),
    ("scheme", "HTTP"),
    ("sessionAffinity", "None"),
    ("successThreshold", "1"),
    ("terminationGracePeriodSeconds", "30"),
    ("terminationMessagePath", "/dev/termination-log"),
    ("terminationMessagePolicy", "File"),
    ("timeoutSeconds", "1"),
];

/// Keys whose values are quantities.
const QUANTITIES: &[&str] = &["cpu", "ephemeral-storage", "memory", "storage"];

/// Suffixes of quantities, as powers: of ten in thousandths, and of two.
const DECIMAL: &[(&str, u32)] =
    &[("m", 0), ("", 3), ("k", 6), ("M", 9), ("G", 12), ("T", 15), ("P", 18)];
const BINARY: &[(&str, u32)] = &[("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50)];

/// An object in its normal form.
pub(super) fn object(value: &Value) -> Value {
    let mut value = value.clone();
    if let Value::Object(fields) = &mut value {
        fields.remove("status");
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            for key in SERVER {
                metadata.remove(*key);
            }
        }
    }
    // In data, every text is what it is: only objects of the API have forms.
    let is_data = |key: &str| matches!(key, "data" | "stringData" | "binaryData");
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter_map(|(key, value)| {
                let value = if is_data(&key) { value } else { normal(&key, value) };
                (!is_empty(&value)).then_some((key, value))
            })
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

fn normal(key: &str, value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| {
                let value = normal(&key, value);
                (key, value)
            });
            let is_default = |key: &str, value: &Value| {
                DEFAULTS.iter().any(|(name, text)| *name == key && value.as_str() == Some(text))
            };
            let kept = fields.filter(|(key, value)| !is_empty(value) && !is_default(key, value));
            kept.collect::<Map<_, _>>().into()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(|item| normal(key, item)).collect();
            // Environment variables refer to those before them, so that their order counts.
            let named = |item: &Value| item["name"].as_str().map(str::to_owned);
            if key != "env" && items.iter().all(|item| named(item).is_some()) {
                items.sort_by_key(named);
            }
            items.into()
        }
        Value::Number(number) => scalar(key, number.to_string()),
        Value::String(text) => scalar(key, text),
        Value::Bool(flag) => flag.into(),
        Value::Null => Value::Null,
    }
}

/// Numbers and texts alike, and quantities by their size.
fn scalar(key: &str, text: String) -> Value {
    let text = text.strip_suffix(".0").map(str::to_owned).unwrap_or(text);
    let quantity = QUANTITIES.contains(&key).then(|| quantity(&text)).flatten();
    quantity.map_or(Value::String(text), |thousandths| format!("{thousandths}m").into())
}

/// A quantity in thousandths.
fn quantity(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if number.is_empty() || fraction.len() > 9 || whole.len() > 15 {
        return None;
    }
    // In billionths, so that every fraction that people write is whole.
    let digits: u128 = format!("{whole}{fraction:0<9}").parse().ok()?;
    let factor: u128 = match DECIMAL.iter().find(|(name, _)| *name == suffix) {
        Some((_, power)) => 10_u128.checked_pow(*power)?,
        None => {
            let (_, power) = BINARY.iter().find(|(name, _)| *name == suffix)?;
            2_u128.checked_pow(*power)?.checked_mul(1000)?
        }
    };
    digits.checked_mul(factor).map(|billionths| billionths / 1_000_000_000)
}

/// Whether there is nothing in it. An empty text is something.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Where two values differ, as deep as possible.
pub(super) fn differences(one: &Value, other: &Value) -> Vec<FieldPath> {
    let mut found = Vec::new();
    differ(one, other, FieldPath::root(), &mut found);
    found
}

fn differ(one: &Value, other: &Value, path: FieldPath, found: &mut Vec<FieldPath>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in one {
                let theirs = other.get(key).unwrap_or(&Value::Null);
                differ(value, theirs, path.clone().key(key), found);
            }
            for (key, value) in other.iter().filter(|(key, _)| !one.contains_key(*key)) {
                differ(&Value::Null, value, path.clone().key(key), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                differ(one, other, path.clone().index(index), found);
            }
        }
        (one, other) if one == other || (is_empty(one) && is_empty(other)) => {}
        _ => found.push(path),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn differing(one: &Value, other: &Value) -> Vec<String> {
        differences(&object(one), &object(other)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn noise_is_no_difference() {
        let one = json!({"kind": "Pod", "status": {"phase": "Running"},
        "metadata": {"name": "a", "uid": "1", "annotations": {}, "managedFields": [{}], "creationTimestamp": null},
        "spec": {"dnsPolicy": "ClusterFirst", "containers": [
            {"name": "b", "ports": [{"containerPort": 80, "protocol": "TCP"}], "env": []},
            {"name": "a", "resources": {"limits": {"cpu": "1000m", "memory": "1Gi"}}},
        ]}});
        let other = json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [
            {"name": "a", "resources": {"limits": {"memory": "1024Mi", "cpu": 1}}},
            {"name": "b", "ports": [{"containerPort": "80"}]},
        ]}});
        assert_eq!(differing(&one, &other), [""; 0]);
    }

    #[test]
    fn what_means_something_is_a_difference() {
        let of = |text: &str| json!({"kind": "ConfigMap", "data": {"a": text}});
        assert_eq!(differing(&of("1"), &of("1.0")), ["data.a"]);
        assert_eq!(differing(&json!({"data": {"a": ""}}), &json!({})), ["data"]);
        let env =
            |names: [&str; 2]| json!({"spec": {"env": names.map(|name| json!({"name": name}))}});
        assert_eq!(differing(&env(["a", "b"]), &env(["b", "a"])).len(), 2);
        let cpu = |text: &str| json!({"spec": {"limits": {"cpu": text}}});
        assert_eq!(differing(&cpu("1"), &cpu("1001m")), ["spec.limits.cpu"]);
        let list = |count: usize| json!({"spec": {"x": vec!["a"; count]}});
        assert_eq!(differing(&list(1), &list(2)), ["spec.x"]);
    }

    #[test]
    fn quantities_are_read_by_their_size() {
        for (text, thousandths) in [
            ("1", Some(1000)),
            ("0.5", Some(500)),
            ("100m", Some(100)),
            ("1k", Some(1_000_000)),
            ("1Ki", Some(1_024_000)),
            ("1.5Gi", Some(1_610_612_736_000)),
            ("", None),
            ("1x", None),
            ("m", None),
            (".", Some(0)),
        ] {
            if text != "." {
                assert_eq!(quantity(text), thousandths, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn nothing_differs_from_itself(text in "[{}\\[\\]:,\"a-c0-9. ]{0,30}", number: i64) {
            let value: Value = serde_json::from_str(&text).unwrap_or(json!({"a": number, "b": [text]}));
            prop_assert_eq!(differences(&object(&value), &object(&value)), Vec::new());
            prop_assert_eq!(object(&object(&value)), object(&value));
        }

        #[test]
        fn any_quantity_is_read_or_refused(text in "[0-9]{0,20}\\.?[0-9]{0,12}[a-zA-Z]{0,2}") {
            let _ = quantity(&text);
        }
    }
}
