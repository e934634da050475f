//! Functions on texts and lists that Go and the evaluator answer differently, or that could use up the
//! memory when they are called again and again on their own results.

use anyhow::bail;
use regorus::{Engine, Value};

/// The longest text that a function makes.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The longest list that a function makes.
const MAX_ITEMS: usize = 100_000;

/// Replaces them.
pub(super) fn install(engine: &mut Engine) -> anyhow::Result<()> {
    let of = |change: fn(char) -> char| {
        move |given: Vec<Value>| match given.first() {
            Some(Value::String(text)) => {
                Ok(Value::from(text.chars().map(change).collect::<String>()))
            }
            // Undefined in OPA; an error cannot be hidden by a negation.
            _ => bail!("upper and lower take a text"),
        }
    };
    engine.add_extension("upper".to_owned(), 1, Box::new(of(upper)))?;
    engine.add_extension("lower".to_owned(), 1, Box::new(of(lower)))?;
    let marshal = |given: Vec<Value>| {
        let Some(value) = given.first() else { return Ok(Value::Undefined) };
        Ok(Value::from(escaped(&serde_json::to_string(value)?)))
    };
    engine.add_extension("json.marshal".to_owned(), 1, Box::new(marshal))?;
    engine.add_extension("concat".to_owned(), 2, Box::new(|given| concat(&given)))?;
    engine.add_extension("replace".to_owned(), 3, Box::new(|given| replace(&given)))?;
    engine.add_extension("array.concat".to_owned(), 2, Box::new(|given| join(&given)))
}

fn concat(given: &[Value]) -> anyhow::Result<Value> {
    let [Value::String(between), parts] = given else { bail!("concat takes a text and a list") };
    let parts: Vec<&Value> = match parts {
        Value::Array(parts) => parts.iter().collect(),
        Value::Set(parts) => parts.iter_sorted().collect(),
        _ => bail!("concat takes an array or a set of texts"),
    };
    let parts: Vec<&str> = parts
        .into_iter()
        .map(|part| Ok(part.as_string()?.as_ref()))
        .collect::<anyhow::Result<Vec<&str>>>()?;
    let bytes: usize = parts.iter().map(|part| part.len() + between.len()).sum();
    if bytes > MAX_BYTES {
        bail!("stopped: concat makes more than {MAX_BYTES} bytes");
    }
    Ok(Value::from(parts.join(between)))
}

fn replace(given: &[Value]) -> anyhow::Result<Value> {
    let [Value::String(text), Value::String(old), Value::String(new)] = given else {
        bail!("replace takes three texts")
    };
    let found = text.matches(old.as_ref()).count();
    if text.len().saturating_add(found.saturating_mul(new.len())) > MAX_BYTES {
        bail!("stopped: replace makes more than {MAX_BYTES} bytes");
    }
    Ok(Value::from(text.replace(old.as_ref(), new)))
}

fn join(given: &[Value]) -> anyhow::Result<Value> {
    let [Value::Array(first), Value::Array(second)] = given else {
        bail!("array.concat takes two arrays")
    };
    let items: Vec<Value> =
        first.iter().chain(second.iter()).take(MAX_ITEMS + 1).cloned().collect();
    if items.len() > MAX_ITEMS {
        bail!("stopped: array.concat makes more than {MAX_ITEMS} items");
    }
    Ok(Value::from(items))
}

/// The one capital letter of a letter; those that need two stay as they are.
fn upper(letter: char) -> char {
    let mut capitals = letter.to_uppercase();
    match (capitals.next(), capitals.next()) {
        (Some(capital), None) => capital,
        _ => letter,
    }
}

/// The one small letter of a letter.
fn lower(letter: char) -> char {
    letter.to_lowercase().next().unwrap_or(letter)
}

/// Go writes JSON so that it can stand in HTML.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_changed_one_by_one() {
        assert_eq!("straße".chars().map(upper).collect::<String>(), "STRAßE");
        assert_eq!("ΟΣ İ".chars().map(lower).collect::<String>(), "οσ i");
        assert_eq!(escaped(r#"["<&>"]"#), r#"["\u003c\u0026\u003e"]"#);
    }
}
