//! Values of manifests as values of the language.

use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString,
};
use cel::common::value::Val;
use serde_json::{Number, Value};

/// Converts a value as the API server does: a number without a fraction is an `int`, because JSON
/// that is made of YAML writes `1.0` as `1`.
pub(super) fn to_cel(value: &Value) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Number(number) => to_number(number),
        Value::String(text) => Box::new(CelString::from(text.clone())),
        Value::Array(items) => {
            Box::new(CelList::from(items.iter().map(to_cel).collect::<Vec<_>>()))
        }
        Value::Object(fields) => {
            let entries =
                fields.iter().map(|(key, value)| (CelMapKey::from(key.clone()), to_cel(value)));
            Box::new(CelMap::from(entries.collect::<Entries>()))
        }
    }
}

/// Maps of the language are hash maps; the order is brought back wherever one is gone through.
#[expect(clippy::disallowed_types, reason = "what the evaluator is made of; nothing iterates it")]
type Entries = std::collections::HashMap<CelMapKey<'static>, Box<dyn Val>>;

fn to_number(number: &Number) -> Box<dyn Val> {
    /// Every whole number below this is exact as a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(integer) = number.as_i64() {
        return Box::new(CelInt::from(integer));
    }
    let float = number.as_f64().unwrap_or(f64::NAN);
    if float.fract() == 0.0 && float.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        return Box::new(CelInt::from(float as i64));
    }
    Box::new(CelDouble::from(float))
}
