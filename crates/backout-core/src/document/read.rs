//! Reading a document from its bytes.

use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::text::lines;
use super::{Limits, Location, Problem, Source, SourceMap, Unreadable, translate, walk};

/// A document that was read, with its text and the place of every field.
#[derive(Debug, Clone)]
pub struct Document<T> {
    /// The text of the document.
    pub source: Source,
    /// Where every field of the document is.
    pub map: Arc<SourceMap>,
    /// What the document says.
    pub value: T,
}

/// Reads one strict YAML or JSON document.
///
/// # Errors
///
/// Fails with every structural problem, or else with the first field that does not fit the type.
pub fn read<T: DeserializeOwned>(
    name: &str,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Document<T>, Unreadable> {
    let unreadable =
        |source, problems| Unreadable { source_name: name.to_owned(), source, problems };
    let text = decode(bytes, limits).map_err(|problem| unreadable(None, vec![problem]))?;
    let source = Source::new(name, text);
    let read = check_characters(&source.text)
        .and_then(|()| walk::walk(&source.text, limits))
        .and_then(|map| {
            let value = deserialize(&source, &map, limits).map_err(|problem| vec![problem])?;
            Ok((map, value))
        });
    match read {
        Ok((map, value)) => Ok(Document { source, map: Arc::new(map), value }),
        Err(mut problems) => {
            move_inside(&source, &mut problems);
            Err(unreadable(Some(source), problems))
        }
    }
}

/// Checks the size of a document, and that it is UTF-8.
fn decode<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str, Problem> {
    let (size, most) = (bytes.len(), limits.max_bytes);
    if size > most {
        let message = format!("the document has {size} bytes, which is more than {most}");
        return Err(Problem::at(Location::START, message));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        let (before, after) = bytes.split_at(offset);
        let before = String::from_utf8_lossy(before);
        let byte = after.first().copied().unwrap_or_default();
        Problem::at(
            end_of(before.strip_prefix('\u{feff}').unwrap_or(&before)),
            format!("the document is not UTF-8: byte 0x{byte:02x} at offset {offset}"),
        )
        .with_help("save the file as UTF-8")
    })
}

/// Returns the place of the character that would follow a text.
fn end_of(text: &str) -> Location {
    let (count, last) = lines(text).fold((0, ""), |(count, _), line| (count + 1, line));
    Location::new(count, last.chars().fold(1, |column, _| column + 1), 1)
}

/// Refuses control characters, which can hide text from whoever reviews a document.
fn check_characters(text: &str) -> Result<(), Vec<Problem>> {
    let forbidden = |c: char| c < ' ' && !matches!(c, '\t' | '\n' | '\r');
    let Some((offset, bad)) = text.char_indices().find(|(_, c)| forbidden(*c)) else {
        return Ok(());
    };
    let (before, _) = text.split_at(offset);
    let message = format!("the control character U+{:04X} is not allowed", u32::from(bad));
    Err(vec![Problem::at(end_of(before), message)])
}

/// Turns the text into a value, once its structure is known to be sound.
fn deserialize<T: DeserializeOwned>(
    source: &Source,
    map: &SourceMap,
    limits: &Limits,
) -> Result<T, Problem> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits.max_depth,
            flow_nesting_limit: limits.max_depth.saturating_add(1),
            max_nodes: limits.max_nodes,
            max_events: limits.max_nodes.saturating_mul(4).saturating_add(16),
            max_aliases: limits.max_nodes,
            max_anchors: limits.max_nodes,
            max_recorded_anchor_events: limits.max_nodes,
            max_recorded_anchor_bytes: limits.max_bytes.saturating_mul(4),
            max_total_scalar_bytes: limits.max_bytes.saturating_mul(4),
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits.max_nodes,
        },
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        strict_booleans: true,
        no_schema: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(&source.text, options)
        .map_err(|error| translate::problem(&error, source, map))
}

/// Moves places behind the end of the text to the end of its last line.
fn move_inside(source: &Source, problems: &mut [Problem]) {
    let end = end_of(source.text.trim_end_matches(['\n', '\r']));
    for location in problems.iter_mut().filter_map(|problem| problem.location.as_mut()) {
        if location.line > end.line {
            *location = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::FieldPath;
    use super::*;

    fn load(text: &str) -> Result<Document<Value>, Unreadable> {
        read("p.yaml", text.as_bytes(), &Limits::default())
    }

    /// Reads bytes that are no document, and returns what is wrong after checking every place.
    fn wrong(bytes: &[u8]) -> String {
        let unreadable = read::<Value>("p.yaml", bytes, &Limits::default()).unwrap_err();
        check_places(&unreadable);
        unreadable.to_string()
    }

    /// Checks that every problem can be shown in the text.
    fn check_places(unreadable: &Unreadable) {
        assert!(!unreadable.problems.is_empty());
        for problem in &unreadable.problems {
            let location = problem.location.expect("a problem has a place");
            assert!(!problem.message.contains('\n'), "{problem}");
            let Some(source) = &unreadable.source else { continue };
            let line = source.line(location.line).expect("a place is on a line");
            let width = u32::try_from(line.chars().count()).unwrap();
            assert!(location.column <= width + 1, "{problem}: {line:?}");
            assert!(
                location.column + location.length <= width.max(location.column) + 1,
                "{problem}: {line:?}"
            );
        }
    }

    fn path(text: &str) -> FieldPath {
        text.parse().unwrap()
    }

    #[test]
    fn reads_yaml_and_json() {
        let document = load("a: 1\nb: [x, {c: true}]\n").unwrap();
        assert_eq!(document.value, serde_json::json!({"a": 1, "b": ["x", {"c": true}]}));
        assert_eq!(document.source.name, "p.yaml");
        assert_eq!(document.map.nearest(&path("b[1].c")), Location::new(2, 12, 4));
        let document = load("{\"a\":\t1,\n\t\"b\": null}").unwrap();
        assert_eq!(document.value, serde_json::json!({"a": 1, "b": null}));
    }

    #[test]
    fn byte_order_marks_and_carriage_returns_do_not_move_places() {
        let document = load("\u{feff}a: 1\r\nb: 2\rc: 3\n").unwrap();
        assert_eq!(document.map.key(&path("a")), Some(Location::new(1, 1, 1)));
        assert_eq!(document.map.value(&path("b")), Some(Location::new(2, 4, 1)));
        assert_eq!(document.map.value(&path("c")), Some(Location::new(3, 4, 1)));
        assert_eq!(document.source.line(3), Some("c: 3"));
    }

    #[test]
    fn refuses_too_much_before_reading_it() {
        let limits = Limits { max_bytes: 4, ..Limits::default() };
        assert!(read::<Value>("p", b"a: 1", &limits).is_ok());
        let unreadable = read::<Value>("p", b"a: 12", &limits).unwrap_err();
        assert_eq!(unreadable.source, None);
        assert_eq!(unreadable.to_string(), "p:1:1: the document has 5 bytes, which is more than 4");
        let nonsense = vec![b'%'; 10 * 1024 * 1024];
        assert!(wrong(&nonsense).contains("which is more than 1048576"));
    }

    #[test]
    fn refuses_what_is_not_utf8() {
        assert_eq!(
            wrong(b"a: 1\nb\xc3\xa9: \xff\n"),
            "p.yaml:2:5: the document is not UTF-8: byte 0xff at offset 10; save the file as UTF-8"
        );
        assert!(wrong(b"\xff\xfea\0").starts_with("p.yaml:1:1: the document is not UTF-8"));
        assert!(wrong(b"a: \xe2\x82").starts_with("p.yaml:1:4: "));
    }

    #[test]
    fn refuses_control_characters() {
        assert_eq!(
            wrong(b"a: 1\n\0b: 2"),
            "p.yaml:2:1: the control character U+0000 is not allowed"
        );
        assert!(wrong(b"# \x1b[31m").contains("1:3: the control character U+001B"));
        assert!(wrong("a: \u{1}".as_bytes()).contains("1:4: "));
    }

    #[test]
    fn refuses_hostile_nesting_and_aliases() {
        for unit in ["[", "{", "- ", "? ", "a: {", "[{a: ", "[\n", "&a ["] {
            let text = format!("a: \n  {}", unit.repeat(100_000 / unit.len()));
            wrong(text.as_bytes());
        }
        assert!(wrong(b"a: &a [*a]").contains("contains it"));
        let mut laughs = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for (previous, next) in ('a'..='y').zip('b'..='z') {
            let aliases = vec![format!("*{previous}"); 10].join(",");
            laughs.push_str(&format!("{next}: &{next} [{aliases}]\n"));
        }
        assert!(wrong(laughs.as_bytes()).contains("too large"));
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(10_000));
        assert!(wrong(long.as_bytes()).contains("too large"));
        let anchors: String = (0..60).map(|number| format!("&a{number} [")).collect();
        let nest = format!("a: {anchors}{}{}", "x,".repeat(20_000), "]".repeat(60));
        assert!(wrong(nest.as_bytes()).contains("too large"));
    }

    #[test]
    fn survives_hostile_repetition() {
        for unit in
            ["a: b\n", "<<: a\n", "!a ", "\"", "'", "\t", "#", "---\n", "*a ", "a", "|", "]"]
        {
            let unit = unit.repeat(60_000 / unit.len());
            for text in [
                unit.clone(),
                format!("a: {unit}"),
                format!("a: [{unit}"),
                format!("a: |\n  {unit}"),
            ] {
                if let Err(unreadable) = load(&text) {
                    check_places(&unreadable);
                }
            }
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                object(inner),
            ]
        })
    }

    fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
        let fields = prop::collection::btree_map(any::<String>(), inner, 0..4);
        fields.prop_map(|fields| Value::Object(fields.into_iter().collect()))
    }

    /// Checks that the map knows every field of a value, and at different places.
    fn check_map(map: &SourceMap, path: &FieldPath, value: &Value) {
        assert!(map.contains(path), "{path}");
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    check_map(map, &path.clone().index(index), item);
                }
            }
            Value::Object(fields) => {
                for (key, field) in fields {
                    check_map(map, &path.clone().key(key), field);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read(bytes: Vec<u8>) {
            if let Err(unreadable) = read::<Value>("p", &bytes, &Limits::default()) {
                check_places(&unreadable);
            }
        }

        #[test]
        fn any_text_is_refused_or_read(text: String) {
            if let Err(unreadable) = load(&text) {
                check_places(&unreadable);
            }
        }

        #[test]
        fn anything_like_yaml_is_refused_or_read(
            text in "([ab]: |- |[ab]|\n|\n  |\r\n|\\[|\\]|\\{|\\}|, |\"|'|&a |\\*a|!|#|<<|\t|:|\\? |---\n|\\||>|é|[0-9~%@]){0,24}"
        ) {
            if let Err(unreadable) = load(&text) {
                check_places(&unreadable);
            }
        }

        #[test]
        fn any_json_object_is_read_exactly(value in object(json())) {
            for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let document = load(&text).map_err(|error| error.to_string()).unwrap();
                prop_assert_eq!(&document.value, &value);
                check_map(&document.map, &FieldPath::root(), &value);
            }
        }
    }
}
