//! Paths to fields of a document.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The text form of the path to the whole document.
const ROOT: &str = ".";

/// One step of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// The field of a mapping with this key.
    Key(String),
    /// The item of a list at this place, counted from zero.
    Index(usize),
}

/// The path to a field of a document, such as `spec.signals[0].max`.
///
/// A key that is not a plain word is written as `metadata.labels["app.kubernetes.io/name"]`, and
/// the whole document as `.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FieldPath(Vec<Segment>);

impl FieldPath {
    /// Returns the path to the whole document.
    #[must_use]
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Extends the path by the key of a mapping.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.push(Segment::Key(key.into()));
        self
    }

    /// Extends the path by the index of a list.
    #[must_use]
    pub fn index(mut self, index: usize) -> Self {
        self.0.push(Segment::Index(index));
        self
    }

    /// Returns every step of the path, outermost first.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Returns the path to what contains the field, unless it is the whole document.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, rest)| Self(rest.to_vec()))
    }

    /// Reports whether the path is to the whole document.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Reports whether the path begins with another path, or equals it.
    #[must_use]
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl FromIterator<Segment> for FieldPath {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self(segments.into_iter().collect())
    }
}

/// Reports whether a character can stand in a key without quotes.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return formatter.write_str(ROOT);
        }
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(formatter, "[{index}]")?,
                Segment::Key(key) if !key.is_empty() && key.chars().all(is_plain) => {
                    let dot = if position == 0 { "" } else { "." };
                    write!(formatter, "{dot}{key}")?;
                }
                Segment::Key(key) => {
                    let quoted = serde_json::to_string(key).map_err(|_| fmt::Error)?;
                    write!(formatter, "[{quoted}]")?;
                }
            }
        }
        Ok(())
    }
}

/// A text that is not a field path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a field path such as `spec.signals[0].max`")]
pub struct FieldPathError;

impl FromStr for FieldPath {
    type Err = FieldPathError;

    fn from_str(text: &str) -> Result<Self, FieldPathError> {
        if text == ROOT {
            return Ok(Self::root());
        }
        let mut segments = Vec::new();
        let mut rest = text;
        loop {
            let (segment, after) = parse_segment(rest, segments.is_empty())?;
            segments.push(segment);
            if after.is_empty() {
                return Ok(Self(segments));
            }
            rest = after;
        }
    }
}

/// Reads one step of a path, and returns it with the text that follows.
fn parse_segment(text: &str, first: bool) -> Result<(Segment, &str), FieldPathError> {
    if let Some(inside) = text.strip_prefix('[') {
        return if inside.starts_with('"') { parse_quoted(inside) } else { parse_index(inside) };
    }
    let word = if first { text } else { text.strip_prefix('.').ok_or(FieldPathError)? };
    let end = word.find(|c| !is_plain(c)).unwrap_or(word.len());
    let (key, after) = word.split_at(end);
    if key.is_empty() {
        return Err(FieldPathError);
    }
    Ok((Segment::Key(key.to_owned()), after))
}

/// Reads `0]`, what is left of an index after its bracket.
fn parse_index(inside: &str) -> Result<(Segment, &str), FieldPathError> {
    let (digits, after) = inside.split_once(']').ok_or(FieldPathError)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FieldPathError);
    }
    let index = digits.parse().map_err(|_| FieldPathError)?;
    Ok((Segment::Index(index), after))
}

/// Reads `"key"]`, what is left of a quoted key after its bracket.
fn parse_quoted(inside: &str) -> Result<(Segment, &str), FieldPathError> {
    let mut values = serde_json::Deserializer::from_str(inside).into_iter::<String>();
    let key = values.next().and_then(Result::ok).ok_or(FieldPathError)?;
    let rest = inside.get(values.byte_offset()..).ok_or(FieldPathError)?;
    let after = rest.strip_prefix(']').ok_or(FieldPathError)?;
    Ok((Segment::Key(key), after))
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FieldPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for FieldPath {
    fn schema_name() -> Cow<'static, str> {
        "FieldPath".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::FieldPath").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The path to a field of a document, such as spec.signals[0].max.",
            "examples": ["spec.signals[0].max"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_and_reads_every_form() {
        for (path, text) in [
            (FieldPath::root(), "."),
            (FieldPath::root().key("spec"), "spec"),
            (
                FieldPath::root().key("spec").key("signals").index(0).key("max"),
                "spec.signals[0].max",
            ),
            (FieldPath::root().index(1).index(20), "[1][20]"),
            (FieldPath::root().key("a.b/c").key("d"), "[\"a.b/c\"].d"),
            (FieldPath::root().key("labels").key("x]\"y"), "labels[\"x]\\\"y\"]"),
            (FieldPath::root().key(""), "[\"\"]"),
        ] {
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse(), Ok(path));
        }
    }

    #[test]
    fn refuses_what_is_not_a_path() {
        for text in [
            "", "..", "a.", ".a", "a..b", "a[", "a[]", "a[x]", "a[+1]", "a[0", "a[0]b", "a[\"",
            "a b",
        ] {
            assert_eq!(text.parse::<FieldPath>(), Err(FieldPathError), "{text}");
        }
    }

    #[test]
    fn knows_its_parents() {
        let path = FieldPath::root().key("a").index(0);
        assert_eq!(path.parent(), Some(FieldPath::root().key("a")));
        assert_eq!(FieldPath::root().parent(), None);
        assert!(path.starts_with(&FieldPath::root()));
        assert!(!FieldPath::root().starts_with(&path));
        assert!(FieldPath::root().index(2) < FieldPath::root().index(10));
    }

    #[test]
    fn is_text_in_json() {
        let path = FieldPath::root().key("a").index(0);
        assert_eq!(serde_json::to_string(&path).unwrap(), "\"a[0]\"");
        assert_eq!(serde_json::from_str::<FieldPath>("\"a[0]\"").unwrap(), path);
        assert!(serde_json::from_str::<FieldPath>("\"a[\"").is_err());
    }

    proptest! {
        #[test]
        fn display_reads_back(keys in prop::collection::vec(prop_oneof![
            any::<String>().prop_map(Segment::Key),
            any::<usize>().prop_map(Segment::Index),
        ], 0..5)) {
            let path: FieldPath = keys.into_iter().collect();
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn any_text_is_refused_or_read(text: String) {
            let _ = text.parse::<FieldPath>();
        }
    }
}
