//! Checking values against a chart's `values.schema.json`.
//!
//! The validation keywords of JSON Schema drafts 4 to 7 that charts use, with references within the
//! file. A keyword that is not known here is reported as not evaluated, never as kept. Messages
//! tell types and limits, and never a value: values can be secrets.

use std::collections::BTreeSet;

use backout_core::document::FieldPath;
use regex::RegexBuilder;
use serde_json::Value;

/// How deep references and combinations may go, together with the values.
const DEEPEST: usize = 128;
/// How many violations are told.
const MOST: usize = 50;
/// How many subschemas are tried in all: references can multiply.
const MOST_STEPS: usize = 200_000;
/// The largest compiled pattern.
const LARGEST_PATTERN: usize = 1024 * 1024;

/// The message of a key that is required and not there.
pub const REQUIRED: &str = "it is required and not there";

/// Keywords that say nothing about what is valid, or nothing that Helm checks.
const NOTES: &[&str] = &[
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "additionalItems",
    "contentEncoding",
    "contentMediaType",
    "default",
    "definitions",
    "deprecated",
    "description",
    "else",
    "examples",
    "format",
    "id",
    "markdownDescription",
    "readOnly",
    "then",
    "title",
    "writeOnly",
];

/// A value that the schema refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where in the values.
    pub path: FieldPath,
    /// What the schema wants there.
    pub message: String,
}

/// What came of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is refused; at most 50.
    pub violations: Vec<Violation>,
    /// Keywords that were not evaluated.
    pub skipped: BTreeSet<String>,
}

/// Checks values against a schema.
#[must_use]
pub fn check(schema: &Value, values: &Value) -> Checked {
    let mut check = Check { root: schema, skipped: BTreeSet::new(), steps: 0 };
    let mut violations = Vec::new();
    check.visit(schema, values, &FieldPath::root(), 0, &mut violations);
    violations.truncate(MOST);
    Checked { violations, skipped: check.skipped }
}

/// The keys that a schema names right below a path of keys.
#[must_use]
pub fn known_keys(schema: &Value, path: &[String]) -> BTreeSet<String> {
    let mut at = vec![schema];
    for key in path {
        at = at.into_iter().flat_map(|one| below(schema, one, key)).collect();
    }
    at.into_iter()
        .flat_map(|one| variants(schema, one))
        .filter_map(|one| one["properties"].as_object())
        .flat_map(|fields| fields.keys().cloned())
        .collect()
}

fn below<'s>(root: &'s Value, schema: &'s Value, key: &str) -> Vec<&'s Value> {
    variants(root, schema).into_iter().filter_map(|one| one["properties"].get(key)).collect()
}

/// A schema, what it refers to, and what it is combined of.
fn variants<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    let mut all = Vec::new();
    let mut open = vec![(schema, 0)];
    while let Some((one, depth)) = open.pop() {
        if depth > 8 || all.len() > 256 {
            continue;
        }
        all.push(one);
        open.extend(resolve(root, one).map(|target| (target, depth + 1)));
        for key in ["allOf", "anyOf", "oneOf"] {
            let list = one[key].as_array().into_iter().flatten();
            open.extend(list.map(|part| (part, depth + 1)));
        }
        open.extend(["then", "else"].iter().filter_map(|key| Some((one.get(key)?, depth + 1))));
    }
    all
}

fn resolve<'s>(root: &'s Value, schema: &Value) -> Option<&'s Value> {
    let pointer = schema["$ref"].as_str()?.strip_prefix('#')?;
    root.pointer(pointer)
}

struct Check<'s> {
    root: &'s Value,
    skipped: BTreeSet<String>,
    steps: usize,
}

type Found = Vec<Violation>;

impl<'s> Check<'s> {
    fn skip(&mut self, what: impl Into<String>) {
        self.skipped.insert(what.into());
    }

    fn visit(
        &mut self,
        schema: &'s Value,
        value: &Value,
        path: &FieldPath,
        depth: usize,
        found: &mut Found,
    ) {
        self.steps += 1;
        if depth > DEEPEST || self.steps > MOST_STEPS {
            self.skip("a schema that is too deep or refers to itself");
            return;
        }
        let fields = match schema {
            Value::Object(fields) => fields,
            Value::Bool(false) => return found.push(wrong(path, "nothing is allowed here")),
            _ => return,
        };
        if let Some(reference) = fields.get("$ref") {
            match resolve(self.root, schema) {
                Some(target) => self.visit(target, value, path, depth + 1, found),
                None => self.skip(format!("$ref {reference}")),
            }
        }
        for (keyword, wanted) in fields {
            self.keyword((keyword, wanted), schema, value, path, found);
            self.combined((keyword, wanted), schema, value, path, depth, found);
            if let Value::Object(object) = value {
                self.object((keyword, wanted), schema, object, path, depth, found);
            }
            if let Value::Array(items) = value {
                self.array((keyword, wanted), schema, items, path, depth, found);
            }
        }
    }

    /// Keywords that look at one value by itself.
    fn keyword(
        &mut self,
        (keyword, wanted): (&str, &Value),
        schema: &Value,
        value: &Value,
        path: &FieldPath,
        found: &mut Found,
    ) {
        let number = value.as_f64();
        let limit = wanted.as_f64();
        let length = value.as_str().map(|text| text.chars().count());
        let count = wanted.as_u64().and_then(|count| usize::try_from(count).ok());
        let message = match keyword {
            "type" if !is_of_type(wanted, value) => {
                format!("it is {}, and must be {}", type_of(value), types(wanted))
            }
            "enum"
                if wanted.as_array().is_some_and(|all| !all.iter().any(|one| same(one, value))) =>
            {
                format!("it is none of {wanted}")
            }
            "const" if !same(wanted, value) => format!("it is not {wanted}"),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                let (Some(number), Some(limit)) = (number, limit) else { return };
                // In draft 4 the exclusive keywords are flags beside the limits.
                let strict = schema[match keyword {
                    "minimum" => "exclusiveMinimum",
                    _ => "exclusiveMaximum",
                }] == Value::Bool(true);
                let is_kept = match keyword {
                    "minimum" => {
                        if strict {
                            number > limit
                        } else {
                            number >= limit
                        }
                    }
                    "maximum" => {
                        if strict {
                            number < limit
                        } else {
                            number <= limit
                        }
                    }
                    "exclusiveMinimum" => number > limit,
                    _ => number < limit,
                };
                if is_kept {
                    return;
                }
                format!("it is out of range: {keyword} is {wanted}")
            }
            "multipleOf"
                if number.zip(limit).is_some_and(|(number, step)| {
                    step > 0.0 && (number / step - (number / step).round()).abs() > 1e-9
                }) =>
            {
                format!("it is no multiple of {wanted}")
            }
            "minLength" if length.zip(count).is_some_and(|(length, least)| length < least) => {
                format!("it is shorter than {wanted}")
            }
            "maxLength" if length.zip(count).is_some_and(|(length, most)| length > most) => {
                format!("it is longer than {wanted}")
            }
            "pattern" => {
                let (Some(pattern), Some(text)) = (wanted.as_str(), value.as_str()) else { return };
                match self.matches(pattern, text) {
                    Some(false) => format!("it does not match `{pattern}`"),
                    Some(true) | None => return,
                }
            }
            _ => return,
        };
        found.push(wrong(path, message));
    }

    fn matches(&mut self, pattern: &str, text: &str) -> Option<bool> {
        let built = RegexBuilder::new(pattern).size_limit(LARGEST_PATTERN).build();
        match built {
            Ok(regex) => Some(regex.is_match(text)),
            Err(_) => {
                self.skip(format!("pattern `{pattern}`"));
                None
            }
        }
    }

    /// Keywords that combine other schemas, and those that are not known.
    fn combined(
        &mut self,
        (keyword, wanted): (&str, &'s Value),
        schema: &'s Value,
        value: &Value,
        path: &FieldPath,
        depth: usize,
        found: &mut Found,
    ) {
        let fits = |check: &mut Self, one: &'s Value| {
            let mut inner = Vec::new();
            check.visit(one, value, path, depth + 1, &mut inner);
            inner
        };
        let parts: &'s [Value] = wanted.as_array().map(Vec::as_slice).unwrap_or_default();
        match keyword {
            "allOf" => parts.iter().for_each(|one| found.extend(fits(self, one))),
            "anyOf" | "oneOf" => {
                let results: Vec<Found> = parts.iter().map(|one| fits(self, one)).collect();
                let good = results.iter().filter(|inner| inner.is_empty()).count();
                if good == 0 {
                    // The variant that comes closest says best what is wrong.
                    let closest = results.into_iter().min_by_key(Vec::len).unwrap_or_default();
                    found.extend(closest);
                } else if keyword == "oneOf" && good > 1 {
                    found.push(wrong(path, "it fits several of the variants, and must fit one"));
                }
            }
            "not" => {
                if fits(self, wanted).is_empty() {
                    found.push(wrong(path, "it is what the schema excludes"));
                }
            }
            "if" => {
                let branch = if fits(self, wanted).is_empty() { "then" } else { "else" };
                if let Some(branch) = schema.get(branch) {
                    found.extend(fits(self, branch));
                }
            }
            "$ref"
            | "type"
            | "enum"
            | "const"
            | "minimum"
            | "maximum"
            | "exclusiveMinimum"
            | "exclusiveMaximum"
            | "multipleOf"
            | "minLength"
            | "maxLength"
            | "pattern"
            | "required"
            | "properties"
            | "patternProperties"
            | "additionalProperties"
            | "minProperties"
            | "maxProperties"
            | "propertyNames"
            | "dependencies"
            | "items"
            | "minItems"
            | "maxItems"
            | "uniqueItems" => {}
            note if NOTES.contains(&note) || note.starts_with("x-") => {}
            unknown => self.skip(unknown),
        }
    }

    fn object(
        &mut self,
        (keyword, wanted): (&str, &'s Value),
        schema: &'s Value,
        object: &serde_json::Map<String, Value>,
        path: &FieldPath,
        depth: usize,
        found: &mut Found,
    ) {
        let count = wanted.as_u64().and_then(|count| usize::try_from(count).ok());
        match keyword {
            "required" => {
                let keys = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
                for key in keys.filter(|key| !object.contains_key(*key)) {
                    found.push(wrong(&path.clone().key(key), REQUIRED));
                }
            }
            "properties" => {
                for (key, one) in wanted.as_object().into_iter().flatten() {
                    if let Some(value) = object.get(key) {
                        self.visit(one, value, &path.clone().key(key), depth + 1, found);
                    }
                }
            }
            "patternProperties" => {
                for (pattern, one) in wanted.as_object().into_iter().flatten() {
                    for (key, value) in object {
                        if self.matches(pattern, key) == Some(true) {
                            self.visit(one, value, &path.clone().key(key), depth + 1, found);
                        }
                    }
                }
            }
            "additionalProperties" => {
                for (key, value) in object {
                    if !self.is_named(schema, key) {
                        let path = path.clone().key(key);
                        if wanted == &Value::Bool(false) {
                            found.push(wrong(&path, "the schema knows no such key"));
                        } else {
                            self.visit(wanted, value, &path, depth + 1, found);
                        }
                    }
                }
            }
            "propertyNames" => {
                for key in object.keys() {
                    let name = Value::String(key.clone());
                    self.visit(wanted, &name, &path.clone().key(key), depth + 1, found);
                }
            }
            "dependencies" => self.skip("dependencies"),
            "minProperties" if count.is_some_and(|least| object.len() < least) => {
                found.push(wrong(path, format!("it has fewer keys than {wanted}")));
            }
            "maxProperties" if count.is_some_and(|most| object.len() > most) => {
                found.push(wrong(path, format!("it has more keys than {wanted}")));
            }
            _ => {}
        }
    }

    /// Whether `properties` or `patternProperties` speak of a key.
    fn is_named(&mut self, schema: &'s Value, key: &str) -> bool {
        if schema["properties"].get(key).is_some() {
            return true;
        }
        let patterns = schema["patternProperties"].as_object().into_iter().flatten();
        // A pattern that cannot be read may name it.
        patterns.into_iter().any(|(pattern, _)| self.matches(pattern, key) != Some(false))
    }

    fn array(
        &mut self,
        (keyword, wanted): (&str, &'s Value),
        schema: &'s Value,
        items: &[Value],
        path: &FieldPath,
        depth: usize,
        found: &mut Found,
    ) {
        let count = wanted.as_u64().and_then(|count| usize::try_from(count).ok());
        match keyword {
            "items" => {
                let rest = schema.get("additionalItems");
                for (index, value) in items.iter().enumerate() {
                    let one = match wanted {
                        Value::Array(each) => each.get(index).or(rest),
                        one => Some(one),
                    };
                    if let Some(one) = one {
                        self.visit(one, value, &path.clone().index(index), depth + 1, found);
                    }
                }
            }
            "minItems" if count.is_some_and(|least| items.len() < least) => {
                found.push(wrong(path, format!("it has fewer items than {wanted}")));
            }
            "maxItems" if count.is_some_and(|most| items.len() > most) => {
                found.push(wrong(path, format!("it has more items than {wanted}")));
            }
            "uniqueItems" if wanted == &Value::Bool(true) => {
                let all: BTreeSet<String> = items.iter().map(Value::to_string).collect();
                if all.len() < items.len() {
                    found.push(wrong(path, "it has an item twice"));
                }
            }
            _ => {}
        }
    }
}

fn wrong(path: &FieldPath, message: impl Into<String>) -> Violation {
    Violation { path: path.clone(), message: message.into() }
}

/// Whether two values are equal; 1 and 1.0 are.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|number| other.as_f64() == Some(number))
}

fn is_of_type(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        name => type_of(value) == name,
    };
    match wanted {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn types(wanted: &Value) -> String {
    match wanted {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn found(schema: &Value, values: &Value) -> Vec<String> {
        let checked = check(schema, values);
        assert_eq!(checked.skipped, BTreeSet::new());
        checked.violations.iter().map(|one| format!("{}: {}", one.path, one.message)).collect()
    }

    /// A schema, values that fit it, and values that do not.
    type Case = (Value, Vec<Value>, Vec<Value>);

    fn hold(cases: impl IntoIterator<Item = Case>) {
        for (schema, fits, fails) in cases {
            for value in fits {
                assert_eq!(found(&schema, &value), [""; 0], "{schema} {value}");
            }
            for value in fails {
                assert!(!found(&schema, &value).is_empty(), "{schema} {value}");
            }
        }
    }

    #[test]
    fn keywords_of_single_values_mean_what_the_drafts_say() {
        hold([
            (json!({"type": "integer"}), vec![json!(1), json!(1.0)], vec![json!(1.5), json!("1")]),
            (json!({"type": ["string", "null"]}), vec![json!("a"), json!(null)], vec![json!(1)]),
            (json!({"enum": ["a", 1]}), vec![json!("a"), json!(1.0)], vec![json!("b")]),
            (json!({"const": {"a": 1}}), vec![json!({"a": 1})], vec![json!({})]),
            (
                json!({"minimum": 2, "maximum": 3}),
                vec![json!(2), json!(3), json!("x")],
                vec![json!(1), json!(4)],
            ),
            (json!({"minimum": 2, "exclusiveMinimum": true}), vec![json!(3)], vec![json!(2)]),
            (json!({"exclusiveMaximum": 3}), vec![json!(2)], vec![json!(3)]),
            (json!({"multipleOf": 0.1}), vec![json!(0.3)], vec![json!(0.35)]),
            (
                json!({"minLength": 2, "maxLength": 3}),
                vec![json!("éé"), json!(1)],
                vec![json!("a"), json!("abcd")],
            ),
            (json!({"pattern": "^[a-z]+$"}), vec![json!("ab"), json!(1)], vec![json!("aB")]),
        ]);
    }

    #[test]
    fn keywords_of_mappings_lists_and_combinations_do_too() {
        hold([
            (json!({"required": ["a"]}), vec![json!({"a": null}), json!([])], vec![json!({})]),
            (
                json!({"properties": {"a": {"type": "string"}}}),
                vec![json!({"b": 1})],
                vec![json!({"a": 1})],
            ),
            (
                json!({"additionalProperties": false, "properties": {"a": {}}, "patternProperties": {"^x": {"type": "null"}}}),
                vec![json!({"a": 1, "x1": null})],
                vec![json!({"b": 1}), json!({"x": 1})],
            ),
            (
                json!({"additionalProperties": {"type": "null"}}),
                vec![json!({"a": null})],
                vec![json!({"a": 1})],
            ),
            (
                json!({"propertyNames": {"maxLength": 1}}),
                vec![json!({"a": 1})],
                vec![json!({"ab": 1})],
            ),
            (
                json!({"minProperties": 1, "maxProperties": 1}),
                vec![json!({"a": 1})],
                vec![json!({}), json!({"a": 1, "b": 2})],
            ),
            (
                json!({"items": {"type": "null"}, "minItems": 1, "maxItems": 2}),
                vec![json!([null])],
                vec![json!([]), json!([1]), json!([null, null, null])],
            ),
            (
                json!({"items": [{"type": "null"}], "additionalItems": false}),
                vec![json!([null])],
                vec![json!([null, 1])],
            ),
            (json!({"uniqueItems": true}), vec![json!([1, 2])], vec![json!([1, 1])]),
            (json!({"allOf": [{"minimum": 1}, {"maximum": 2}]}), vec![json!(1)], vec![json!(3)]),
            (
                json!({"anyOf": [{"type": "null"}, {"minimum": 5}]}),
                vec![json!(null), json!(5)],
                vec![json!(1)],
            ),
            (
                json!({"oneOf": [{"minimum": 1}, {"maximum": 2}]}),
                vec![json!(0), json!(3)],
                vec![json!(1)],
            ),
            (json!({"not": {"type": "null"}}), vec![json!(1)], vec![json!(null)]),
            (
                json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}),
                vec![json!({"a": 1, "b": 1}), json!({"c": 1})],
                vec![json!({"a": 1}), json!({})],
            ),
            (
                json!({"definitions": {"d": {"type": "null"}}, "$ref": "#/definitions/d"}),
                vec![json!(null)],
                vec![json!(1)],
            ),
            (json!(true), vec![json!(1)], vec![]),
            (json!(false), vec![], vec![json!(1)]),
        ]);
    }

    #[test]
    fn violations_have_paths_and_no_values() {
        let schema = json!({"properties": {"db": {"required": ["host"], "properties": {
            "password": {"type": "string", "minLength": 20}, "port": {"type": "integer"}}}}});
        let values = json!({"db": {"password": "hunter2", "port": "hunter3"}});
        let told = found(&schema, &values);
        assert_eq!(
            told,
            [
                "db.password: it is shorter than 20",
                "db.port: it is string, and must be integer",
                "db.host: it is required and not there",
            ]
        );
    }

    #[test]
    fn what_is_not_evaluated_is_said() {
        for (schema, skipped) in [
            (json!({"unevaluatedProperties": false}), "unevaluatedProperties"),
            (json!({"$ref": "https://example.com/x"}), "$ref \"https://example.com/x\""),
            (json!({"pattern": "(?=a)"}), "pattern `(?=a)`"),
            (json!({"$ref": "#"}), "a schema that is too deep or refers to itself"),
        ] {
            let checked = check(&schema, &json!("a"));
            assert!(checked.skipped.contains(skipped), "{schema}: {:?}", checked.skipped);
        }
        // References that multiply end too.
        let doubled = json!({"allOf": [{"$ref": "#"}, {"$ref": "#"}]});
        assert!(!check(&doubled, &json!(1)).skipped.is_empty());
    }

    #[test]
    fn known_keys_are_found_through_references() {
        let schema = json!({"definitions": {"d": {"properties": {"x": {}}}},
            "properties": {"a": {"$ref": "#/definitions/d"}, "b": {"anyOf": [{"properties": {"y": {}}}]}}});
        let keys = |path: &[&str]| -> Vec<String> {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            known_keys(&schema, &path).into_iter().collect()
        };
        assert_eq!(keys(&[]), ["a", "b"]);
        assert_eq!(keys(&["a"]), ["x"]);
        assert_eq!(keys(&["b"]), ["y"]);
        assert_eq!(keys(&["c"]), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_schema_is_checked_or_skipped(
            keyword in "type|enum|items|allOf|not|if|required|properties|pattern|minimum|\\$ref|x",
            wanted in prop_oneof![
                Just(json!(null)), Just(json!(-1)), Just(json!("#/x")), Just(json!(["a", {}])),
                Just(json!({"a": false, "type": 1})), Just(json!(1e300)),
            ],
        ) {
            let schema = json!({(keyword): wanted, "x": {"$ref": "#"}});
            for value in [json!(null), json!("a"), json!([1]), json!({"a": 1}), json!(2.5)] {
                let _ = check(&schema, &value);
                let _ = known_keys(&schema, &["a".to_owned()]);
            }
        }
    }
}
