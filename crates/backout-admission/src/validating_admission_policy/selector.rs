//! Label selectors.

use serde_json::Value;

/// Whether an object with these labels is selected. An empty selector selects everything.
///
/// # Errors
/// When the selector cannot be read; the message says what is wrong with it.
pub fn selects(selector: &Value, labels: &Value) -> Result<bool, String> {
    let empty = serde_json::Map::new();
    let selector = match selector {
        Value::Null => &empty,
        Value::Object(selector) => selector,
        _ => return Err("the selector is not a mapping".to_owned()),
    };
    let mut selected = true;
    for (field, value) in selector {
        match (field.as_str(), value) {
            (_, Value::Null) => {}
            ("matchLabels", Value::Object(wanted)) => {
                for (key, value) in wanted {
                    let value = value.as_str();
                    let value = value.ok_or_else(|| format!("the label {key} is not a string"))?;
                    selected &= labels[key].as_str() == Some(value);
                }
            }
            ("matchExpressions", Value::Array(requirements)) => {
                for requirement in requirements {
                    selected &= meets(requirement, labels)?;
                }
            }
            (field, _) => return Err(format!("the selector's field {field} cannot be read")),
        }
    }
    Ok(selected)
}

/// Whether labels meet one requirement, as
/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/> defines it.
fn meets(requirement: &Value, labels: &Value) -> Result<bool, String> {
    let key = requirement["key"].as_str().ok_or("a requirement of the selector has no key")?;
    let operator = requirement["operator"].as_str().unwrap_or_default();
    let value = labels[key].as_str();
    let values: Vec<&str> = match &requirement["values"] {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        _ => return Err(format!("the values for {key} are not a list")),
    };
    match operator {
        "In" => Ok(value.is_some_and(|value| values.contains(&value))),
        "NotIn" => Ok(value.is_none_or(|value| !values.contains(&value))),
        "Exists" => Ok(value.is_some()),
        "DoesNotExist" => Ok(value.is_none()),
        other => Err(format!("the selector's operator {other:?} is unknown")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_are_selected() {
        let labels = json!({"env": "prod", "team": "shop"});
        let all = |selector: Value| selects(&selector, &labels).unwrap();
        assert!(all(json!(null)) && all(json!({})));
        assert!(all(json!({"matchLabels": {"env": "prod"}})));
        assert!(!all(json!({"matchLabels": {"env": "prod", "tier": "web"}})));
        let one = |key: &str, operator: &str, values: Value| {
            all(json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}))
        };
        assert!(one("env", "In", json!(["dev", "prod"])) && !one("env", "NotIn", json!(["prod"])));
        assert!(one("tier", "NotIn", json!(["web"])) && one("tier", "DoesNotExist", json!(null)));
        assert!(one("env", "Exists", json!([])) && !one("tier", "Exists", json!([])));
        assert!(!selects(&json!({"matchLabels": {"env": "prod"}}), &Value::Null).unwrap());
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let labels = json!({});
        assert!(selects(&json!("x"), &labels).is_err());
        assert!(selects(&json!({"matchLabel": {}}), &labels).is_err());
        assert!(selects(&json!({"matchLabels": {"a": 1}}), &labels).is_err());
        let odd = json!({"matchExpressions": [{"key": "a", "operator": "Like"}]});
        assert!(selects(&odd, &labels).unwrap_err().contains("Like"));
    }
}
