//! Makes a structural schema, as Kubernetes wants it, of the schema of a Rust type.
//!
//! Everything that can be said structurally is kept: descriptions, defaults, patterns, bounds. A
//! union of a text and an object cannot be said, and is left open; the reader of the objects
//! refuses what does not fit.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Marks a schema that leaves its value open.
pub(super) const OPEN: &str = "x-kubernetes-preserve-unknown-fields";

/// The structural schema of a type.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    structural(settings.into_generator().into_root_schema_for::<T>().to_value())
}

/// Rewrites a schema and everything in it.
fn structural(schema: Value) -> Value {
    let Value::Object(mut schema) = schema else { return json!({ OPEN: true }) };
    for key in ["$schema", "$id", "$defs", "title", "examples", "additionalProperties"] {
        schema.remove(key);
    }
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(value) = schema.remove("const") {
        schema.insert("enum".to_owned(), json!([value]));
    }
    if let Some(Value::Array(kinds)) = schema.get("type").cloned() {
        let kind = kinds.into_iter().find(|kind| kind != "null").unwrap_or_default();
        schema.insert("type".to_owned(), kind);
    }
    integer(&mut schema);
    if let Some(Value::Array(choices)) = schema.remove("oneOf") {
        one_of(&mut schema, choices);
    }
    if let Some(Value::Array(choices)) = schema.remove("anyOf") {
        any_of(&mut schema, choices);
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for property in properties.values_mut() {
            *property = structural(property.take());
        }
    }
    if let Some(items) = schema.get_mut("items") {
        *items = structural(items.take());
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    Value::Object(schema)
}

/// Formats of unsigned integers are unknown to Kubernetes; their bounds say the same.
fn integer(schema: &mut Map<String, Value>) {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    if format.starts_with("uint") || format.starts_with("int") {
        schema.insert("format".to_owned(), json!("int64"));
    }
    // The schema language of Kubernetes has exclusive bounds as flags on the inclusive ones.
    for (bound, flag) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        if let Some(value) = schema.get(flag).filter(|value| value.is_number()).cloned() {
            schema.insert(bound.to_owned(), value);
            schema.insert(flag.to_owned(), json!(true));
        }
    }
}

/// An enumeration: words, or objects of which exactly one field is given.
fn one_of(schema: &mut Map<String, Value>, choices: Vec<Value>) {
    let described = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    if choices.iter().all(|choice| choice.get("const").is_some()) {
        let told: Vec<String> = choices
            .iter()
            .filter_map(|choice| {
                let what = choice.get("description")?.as_str()?;
                Some(format!("`{}`: {what}", choice["const"].as_str()?))
            })
            .collect();
        let description = format!("{described} {}", told.join(" "));
        let words: Vec<Value> = choices.into_iter().map(|mut it| it["const"].take()).collect();
        schema.insert("description".to_owned(), json!(description.trim()));
        schema.insert("type".to_owned(), json!("string"));
        schema.insert("enum".to_owned(), Value::Array(words));
        return;
    }
    let mut properties = Map::new();
    for choice in choices {
        let description = choice.get("description").cloned();
        let Some(Value::Object(fields)) = choice.get("properties") else { continue };
        for (name, field) in fields {
            let mut field = field.clone();
            if let (Some(description), Value::Object(field)) = (&description, &mut field) {
                field.insert("description".to_owned(), description.clone());
            }
            properties.insert(name.clone(), field);
        }
    }
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("minProperties".to_owned(), json!(1));
    schema.insert("maxProperties".to_owned(), json!(1));
}

/// An optional value, or a union that cannot be said structurally.
fn any_of(schema: &mut Map<String, Value>, choices: Vec<Value>) {
    let null = |choice: &Value| choice.get("type").is_some_and(|kind| kind == "null");
    let mut rest: Vec<Value> = choices.into_iter().filter(|choice| !null(choice)).collect();
    if rest.len() == 1
        && let Value::Object(only) = structural(rest.remove(0))
    {
        for (key, value) in only {
            schema.entry(key).or_insert(value);
        }
        return;
    }
    schema.insert(OPEN.to_owned(), json!(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_they_mean() {
        let schema = structural(json!({
            "description": "What then.",
            "oneOf": [
                { "type": "string", "const": "hold", "description": "Ask." },
                { "type": "string", "const": "rollback", "description": "Go back." },
            ],
        }));
        assert_eq!(schema["enum"], json!(["hold", "rollback"]));
        assert_eq!(schema["description"], "What then. `hold`: Ask. `rollback`: Go back.");
    }

    #[test]
    fn a_union_is_left_open_and_an_option_is_not() {
        let text = json!({ "type": "string" });
        let union = structural(json!({ "anyOf": [text, { "type": "object" }] }));
        assert_eq!(union, json!({ OPEN: true }));
        let option = structural(json!({ "anyOf": [text, { "type": "null" }] }));
        assert_eq!(option, text);
    }

    #[test]
    fn exclusive_bounds_are_flags() {
        let schema = structural(json!({ "type": "number", "exclusiveMinimum": 0 }));
        assert_eq!(schema, json!({ "type": "number", "minimum": 0, "exclusiveMinimum": true }));
    }
}
