//! Fractions that the evaluator adds up differently: it calculates with binary fractions, in which
//! 0.1 + 0.2 is not 0.3, and OPA with decimal ones, in which it is.
//!
//! Whole numbers, halves, quarters and so on are the same in both. What else meets arithmetic is
//! refused.

use anyhow::bail;
use regorus::{Engine, Value};

/// Built-in functions that make numbers out of texts.
const SOURCES: &[&str] = &["json.unmarshal", "to_number", "units.parse", "yaml.unmarshal"];

/// What is said of a fraction.
pub(super) const REASON: &str = "the policy calculates with a fraction, which OPA adds up differently: \
                                 compare whole numbers, such as thousandths";

/// Whether a number is one that binary fractions hold as it is.
pub(super) fn is_exact(number: f64) -> bool {
    (number * 1024.0).fract() == 0.0
}

/// Whether all numbers in a document are exact.
pub(super) fn are_exact(document: &serde_json::Value) -> bool {
    match document {
        serde_json::Value::Number(number) => number.as_f64().is_none_or(is_exact),
        serde_json::Value::Array(items) => items.iter().all(are_exact),
        serde_json::Value::Object(fields) => fields.values().all(are_exact),
        _ => true,
    }
}

fn is_exact_value(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_none_or(is_exact),
        Value::Array(items) => items.iter().all(is_exact_value),
        Value::Set(items) => items.iter_sorted().all(is_exact_value),
        Value::Object(fields) => fields.iter_sorted().all(|(_, value)| is_exact_value(value)),
        _ => true,
    }
}

/// Has the functions that make numbers out of texts refuse fractions.
pub(super) fn guard(engine: &mut Engine) -> anyhow::Result<()> {
    for name in SOURCES {
        let mut inner = Engine::new();
        inner.set_strict_builtin_errors(false);
        let guarded = move |given: Vec<Value>| {
            let Some(given) = given.first() else { return Ok(Value::Undefined) };
            let results = inner.eval_query(format!("{name}({})", given.to_json_str()?), false)?;
            let found = results.result.first().and_then(|result| result.expressions.first());
            let Some(found) = found else { return Ok(Value::Undefined) };
            if !is_exact_value(&found.value) {
                bail!("{REASON}");
            }
            Ok(found.value.clone())
        };
        engine.add_extension((*name).to_owned(), 1, Box::new(guarded))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_fractions_are_exact() {
        assert!(are_exact(&serde_json::json!({"a": [1, 0.5, -2.25, 1e12, "0.1"]})));
        assert!(!are_exact(&serde_json::json!({"a": [{"b": 0.1}]})));
    }
}
