//! Values files: any YAML, merged as Helm merges them.

use std::sync::Arc;

use backout_core::document::{
    self, FieldPath, Limits, Location, Problem, Source, SourceMap, Unreadable,
};
use backout_core::finding::Place;
use serde_json::Value;
use serde_saphyr::{DefaultMessageFormatter, MessageFormatter};

/// The largest values file.
pub const MOST_BYTES: usize = 1024 * 1024;
/// The deepest nesting of a values file; merging and looking up go as deep.
const DEEPEST: usize = 64;
/// The most keys and values of a file, and how many aliases may stand for.
const MOST_NODES: usize = 100_000;

/// A values file that was read.
#[derive(Clone, Debug)]
pub struct Values {
    /// What it says; always a mapping.
    pub value: Value,
    /// Its text.
    pub source: Source,
    /// Where its keys are. YAML that is allowed here but not in documents of ours, such as merge
    /// keys, has no places.
    map: Option<Arc<SourceMap>>,
}

impl Values {
    /// Where a key is, or its closest ancestor that is there.
    #[must_use]
    pub fn place(&self, path: &FieldPath) -> Place {
        let location = self.map.as_ref().map(|map| map.nearest(path));
        Place { file: self.source.name.clone(), location }
    }

    /// Whether the file itself says something at a path of keys.
    #[must_use]
    pub fn has(&self, path: &[&str]) -> bool {
        path.iter().try_fold(&self.value, |value, key| value.get(key)).is_some()
    }
}

/// Reads a values file.
///
/// # Errors
/// When it is too large, no YAML, or not a mapping of keys to values.
pub fn read(name: &str, bytes: &[u8]) -> Result<Values, Unreadable> {
    let value = parse(name, bytes)?;
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let limits = Limits { max_bytes: MOST_BYTES, max_depth: DEEPEST, max_nodes: MOST_NODES };
    let map = document::read::<Value>(name, bytes, &limits).ok().map(|document| document.map);
    Ok(Values { value, source: Source::new(name, text), map })
}

/// Every text of values that can be told again in an error of another program.
#[must_use]
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

fn parse(name: &str, bytes: &[u8]) -> Result<Value, Unreadable> {
    let unreadable = |source, problem| Unreadable {
        source_name: name.to_owned(),
        source,
        problems: vec![problem],
    };
    if bytes.len() > MOST_BYTES {
        let mut problem =
            problem(Location::START, format!("the file has more than {MOST_BYTES} bytes"));
        problem.help = Some("check that this is the right file".to_owned());
        return Err(unreadable(None, problem));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(unreadable(None, problem(Location::START, "the file is not UTF-8")));
    };
    let source = Source::new(name, text);
    let value = from_yaml(&source.text).and_then(|value| match value {
        Value::Null => Ok(Value::Object(serde_json::Map::new())),
        Value::Object(_) => Ok(value),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(problem(Location::START, "a values file is a mapping of keys to values"))
        }
    });
    value.map_err(|problem| unreadable(Some(source), problem))
}

fn from_yaml(text: &str) -> Result<Value, Problem> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: DEEPEST,
            flow_nesting_limit: DEEPEST,
            max_nodes: MOST_NODES,
            max_recorded_anchor_events: MOST_NODES,
            max_total_scalar_bytes: 4 * MOST_BYTES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_NODES,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.without_snippet();
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        let location = error.location().map_or(Location::START, |at| Location {
            line: narrow(at.line()),
            column: narrow(at.column()),
            length: 1,
        });
        problem(location, DefaultMessageFormatter.format_message(error))
    })
}

fn problem(location: Location, message: impl Into<String>) -> Problem {
    Problem {
        path: None,
        location: Some(location),
        message: message.into(),
        expected: None,
        help: None,
    }
}

/// Lays values over others: mappings are merged, anything else is replaced, and `null` takes a key
/// away, as it does for Helm.
pub fn merge(base: &mut Value, over: Value) {
    let (Value::Object(base), Value::Object(over)) = (base, over) else { return };
    for (key, value) in over {
        match base.get_mut(&key) {
            _ if value.is_null() => drop(base.remove(&key)),
            Some(under) if under.is_object() && value.is_object() => merge(under, value),
            _ => drop(base.insert(key, value)),
        }
    }
}

/// The value at a path of keys.
#[must_use]
pub fn lookup<'a>(values: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(values, |value, key| value.get(key))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(text: &str) -> Value {
        parse("v.yaml", text.as_bytes()).map_err(|error| error.to_string()).unwrap()
    }

    fn wrong(text: &str) -> String {
        parse("v.yaml", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn any_yaml_is_read_as_helm_reads_it() {
        assert_eq!(values(""), json!({}));
        assert_eq!(values("# nothing\n"), json!({}));
        assert_eq!(values("---\na: 1\n"), json!({"a": 1}));
        assert_eq!(values("8080: yes\n"), json!({"8080": true}));
        let merged = values("base: &b {x: 1}\nother:\n  <<: *b\n  y: 2\n");
        assert_eq!(merged["other"], json!({"x": 1, "y": 2}));
    }

    #[test]
    fn what_cannot_be_used_is_shown_at_its_place() {
        assert!(wrong("- a\n").starts_with("v.yaml:1:1: a values file is a mapping"));
        assert!(wrong("a: 1\nb: [\n").starts_with("v.yaml:"), "{}", wrong("a: 1\nb: [\n"));
        assert!(wrong("a: 1\na: 2\n").starts_with("v.yaml:2:1: "), "{}", wrong("a: 1\na: 2\n"));
        let deep = format!("a: {}{}", "[".repeat(1000), "]".repeat(1000));
        assert!(wrong(&deep).starts_with("v.yaml:1:"));
        assert!(parse("v.yaml", b"a: \xff").is_err());
        assert!(parse("v.yaml", &[b'a'; MOST_BYTES + 1]).is_err());
    }

    #[test]
    fn hostile_files_are_refused_or_read() {
        for unit in ["a: &a [*a]\n", "&a [", "? ", "- ", "{", "!!x ", "a: b\n", "\u{0}", "---\n"] {
            let _ = parse("v.yaml", unit.repeat(20_000).as_bytes());
        }
        let mut laughs = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for (previous, next) in ('a'..='y').zip('b'..='z') {
            let aliases = vec![format!("*{previous}"); 10].join(",");
            laughs.push_str(&format!("{next}: &{next} [{aliases}]\n"));
        }
        assert!(parse("v.yaml", laughs.as_bytes()).is_err());
    }

    #[test]
    fn later_values_win_and_null_removes() {
        let mut base = json!({"a": {"b": 1, "c": 2}, "d": {"e": 1}, "f": null});
        merge(&mut base, json!({"a": {"b": 3}, "d": null, "g": [1]}));
        assert_eq!(base, json!({"a": {"b": 3, "c": 2}, "f": null, "g": [1]}));
        assert_eq!(lookup(&base, &["a", "b"]), Some(&json!(3)));
        assert_eq!(lookup(&base, &["d", "e"]), None);
        assert_eq!(lookup(&base, &["a", "b", "c"]), None);
    }
}
