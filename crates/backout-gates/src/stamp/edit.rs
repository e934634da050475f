//! Changes of a text that touch nothing but the lines that they need.

use std::ops::Range;

use backout_core::document::Location;
use granit_parser::ScalarStyle;
use serde_json::Value;

use super::tree::{Entry, Node, Shape};

/// What a field should be.
#[derive(Clone, Debug)]
pub(super) enum Want {
    /// This text.
    Text(String),
    /// This text, unless the field says something already.
    TextIfAbsent(String),
    /// A mapping with these fields, among others.
    Fields(Fields),
}

/// Wanted fields, by key.
pub(super) type Fields = Vec<(String, Want)>;

/// Why a text is left alone.
#[derive(Debug)]
pub(super) struct Obstacle {
    pub(super) at: Location,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// Collects changes of a text.
pub(super) struct Editor<'a> {
    text: &'a str,
    newline: &'static str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Editor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let newline = match text.find('\n') {
            Some(at) if text[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        };
        Self { text, newline, edits: Vec::new() }
    }

    /// The text with all changes.
    pub(super) fn finish(mut self) -> String {
        self.edits.sort_by_key(|(range, _)| range.start);
        let mut out = String::with_capacity(self.text.len() + 4096);
        let mut done = 0;
        for (range, text) in self.edits {
            out.push_str(self.text.get(done..range.start).unwrap_or_default());
            out.push_str(&text);
            done = done.max(range.end);
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        out
    }

    /// Makes a mapping have the wanted fields. `value` is what the mapping says now.
    pub(super) fn merge(
        &mut self,
        mapping: &Node,
        value: &Value,
        fields: &Fields,
    ) -> Result<(), Obstacle> {
        check(mapping)?;
        let mut absent = Vec::new();
        for (key, want) in fields {
            let now = &value[key.as_str()];
            let Some(entry) = mapping.entry(key) else {
                absent.push((key.clone(), want.clone()));
                continue;
            };
            match want {
                Want::Text(text) if now.as_str() == Some(text) => {}
                Want::Text(text) => self.replace(entry, text)?,
                Want::TextIfAbsent(_) => {}
                Want::Fields(inner) if now.is_null() => self.fill(mapping, entry, inner)?,
                Want::Fields(inner) if now.is_object() && self.can_open_up(mapping, entry) => {
                    self.open_up(entry, inner)?;
                }
                Want::Fields(inner) => self.merge(&entry.value, now, inner)?,
            }
        }
        if absent.is_empty() { Ok(()) } else { self.insert(mapping, &absent) }
    }

    /// Writes another text in the place of a value.
    fn replace(&mut self, entry: &Entry, text: &str) -> Result<(), Obstacle> {
        let node = &entry.value;
        let Shape::Scalar { style, .. } = &node.shape else {
            return Err(obstacle(node, &entry.key, "is no single value"));
        };
        if node.is_marked {
            return Err(obstacle(node, &entry.key, "has an anchor or a tag"));
        }
        if node.is_left_out() {
            let after = self.after_colon(entry)?;
            self.edits.push((after..after, format!(" {}", double_quoted(text))));
            return Ok(());
        }
        let quoted = match style {
            ScalarStyle::Plain if is_plainly_text(text) => text.to_owned(),
            ScalarStyle::SingleQuoted if is_printable(text) && !text.contains('\'') => {
                format!("'{text}'")
            }
            ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                double_quoted(text)
            }
            _ => return Err(obstacle(node, &entry.key, "is a block of text")),
        };
        self.edits.push((node.spot.bytes.clone(), quoted));
        Ok(())
    }

    /// The byte behind the colon of a field that says nothing.
    fn after_colon(&self, entry: &Entry) -> Result<usize, Obstacle> {
        let end = entry.key_spot.bytes.end;
        let rest = self.text.get(end..).unwrap_or_default();
        let colon = rest.find(':').filter(|at| rest[..*at].trim().is_empty());
        colon
            .map(|at| end + at + 1)
            .ok_or_else(|| obstacle(&entry.value, &entry.key, "is written in an unusual way"))
    }

    /// Makes a mapping of a field that is there and says nothing.
    fn fill(&mut self, parent: &Node, entry: &Entry, fields: &Fields) -> Result<(), Obstacle> {
        let node = &entry.value;
        if node.is_marked || matches!(node.shape, Shape::Alias) {
            return Err(obstacle(node, &entry.key, "has an anchor, an alias or a tag"));
        }
        let in_flow = matches!(parent.shape, Shape::Mapping { flow: true, .. });
        if self.can_open_up(parent, entry) {
            self.open_up(entry, fields)?;
        } else if !node.is_left_out() {
            self.edits.push((node.spot.bytes.clone(), flow(fields, in_flow)));
        } else if in_flow {
            return Err(obstacle(node, &entry.key, "is left out"));
        } else {
            let at = self.after_colon(entry)?;
            self.insert_lines(at, fields, entry.key_spot.indent() + 2);
        }
        Ok(())
    }

    /// Whether `{}` or `null` stands behind its key on the same line, where lines can take its place.
    fn can_open_up(&self, parent: &Node, entry: &Entry) -> bool {
        let node = &entry.value;
        let is_nothing = match &node.shape {
            Shape::Mapping { flow: true, entries } => entries.is_empty(),
            Shape::Scalar { style: ScalarStyle::Plain, .. } => !node.is_left_out(),
            Shape::Mapping { .. } | Shape::Sequence(_) | Shape::Scalar { .. } | Shape::Alias => {
                false
            }
        };
        let in_block = matches!(parent.shape, Shape::Mapping { flow: false, .. });
        let line = self.text.get(entry.key_spot.bytes.start..node.spot.bytes.end);
        in_block
            && is_nothing
            && !node.is_marked
            && line.is_some_and(|line| !line.contains(['\n', '#']))
    }

    /// Puts lines in the place of `{}` or `null`.
    fn open_up(&mut self, entry: &Entry, fields: &Fields) -> Result<(), Obstacle> {
        let from = self.after_colon(entry)?;
        let to = entry.value.spot.bytes.end;
        self.edits.push((from..to, String::new()));
        self.insert_lines(to, fields, entry.key_spot.indent() + 2);
        Ok(())
    }

    /// Adds fields that are not there.
    fn insert(&mut self, mapping: &Node, fields: &Fields) -> Result<(), Obstacle> {
        let entries = mapping.entries();
        if let Shape::Mapping { flow: true, .. } = mapping.shape {
            return self.insert_in_flow(mapping, fields);
        }
        let Some(first) = entries.first() else {
            return Err(obstacle(mapping, "", "is written in an unusual way"));
        };
        let indent = first.key_spot.indent();
        let simple = entries.iter().rev().find(|entry| is_one_line(&entry.value));
        if let Some(last) = simple {
            self.insert_lines(last.value.spot.bytes.end, fields, indent);
        } else {
            // Every field is a block of its own, whose end comments may share: the new fields
            // begin where the first one began, and move it down.
            let at = first.key_spot.bytes.start;
            let lines = self.lines(fields, indent);
            let text = lines.trim_start_matches(' ').to_owned() + &" ".repeat(indent);
            self.edits.push((at..at, text));
        }
        Ok(())
    }

    /// Adds lines behind the line that a byte is on.
    fn insert_lines(&mut self, byte: usize, fields: &Fields, indent: usize) {
        let rest = self.text.get(byte..).unwrap_or_default();
        let lines = self.lines(fields, indent);
        if let Some(end) = rest.find('\n') {
            let at = byte + end + 1;
            self.edits.push((at..at, lines));
        } else {
            let at = self.text.len();
            let lines = lines.strip_suffix(self.newline).unwrap_or(&lines);
            self.edits.push((at..at, format!("{}{lines}", self.newline)));
        }
    }

    fn lines(&self, fields: &Fields, indent: usize) -> String {
        let mut out = String::new();
        let space = " ".repeat(indent);
        for (key, want) in fields {
            match want {
                Want::Text(text) | Want::TextIfAbsent(text) => {
                    out += &format!("{space}{key}: {}{}", double_quoted(text), self.newline);
                }
                Want::Fields(inner) => {
                    out +=
                        &format!("{space}{key}:{}{}", self.newline, self.lines(inner, indent + 2));
                }
            }
        }
        out
    }

    fn insert_in_flow(&mut self, mapping: &Node, fields: &Fields) -> Result<(), Obstacle> {
        let quotes = |entry: &Entry| entry.key_style == ScalarStyle::DoubleQuoted;
        let Some(last) = mapping.entries().last() else {
            // The keys around it tell nothing of how to write keys; quotes are right everywhere.
            self.edits.push((mapping.spot.bytes.clone(), flow(fields, true)));
            return Ok(());
        };
        if last.value.is_left_out() {
            return Err(obstacle(mapping, &last.key, "is left out"));
        }
        let own_line = self.line_start(last.key_spot.bytes.start);
        let between = match own_line {
            Some(space) => format!(",{}{space}", self.newline),
            None => ", ".to_owned(),
        };
        let at = last.value.spot.bytes.end;
        let mut text = String::new();
        for (key, want) in fields {
            text += &between;
            text += &flow_field(key, want, quotes(last));
        }
        self.edits.push((at..at, text));
        Ok(())
    }

    /// The space before a byte, when nothing else stands before it on its line.
    fn line_start(&self, byte: usize) -> Option<&'a str> {
        let before = self.text.get(..byte)?;
        let line = &before[before.rfind('\n')? + 1..];
        line.trim().is_empty().then_some(line)
    }
}

/// Whether a mapping can be changed without changing anything else.
fn check(mapping: &Node) -> Result<(), Obstacle> {
    let why = match &mapping.shape {
        Shape::Alias => "is an alias of something else",
        Shape::Mapping { .. } if mapping.is_marked => "has an anchor or a tag",
        Shape::Mapping { entries, .. } if entries.iter().any(|entry| entry.key == "<<") => {
            "is merged of others with `<<`"
        }
        Shape::Mapping { .. } => return Ok(()),
        Shape::Sequence(_) | Shape::Scalar { .. } => "is no mapping",
    };
    Err(obstacle(mapping, "", why))
}

fn obstacle(node: &Node, key: &str, why: &str) -> Obstacle {
    let what = if key.is_empty() { "what is here".to_owned() } else { format!("`{key}`") };
    Obstacle {
        at: node.spot.location,
        message: format!("{what} {why}, so that it cannot be changed by itself"),
        help: "write it out as a plain mapping of keys to values",
    }
}

fn is_one_line(node: &Node) -> bool {
    use ScalarStyle::{DoubleQuoted, Plain, SingleQuoted};
    let style =
        matches!(node.shape, Shape::Scalar { style: Plain | SingleQuoted | DoubleQuoted, .. });
    style && !node.is_left_out()
}

fn flow(fields: &Fields, quote_keys: bool) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(key, want)| flow_field(key, want, quote_keys)).collect();
    format!("{{{}}}", fields.join(", "))
}

fn flow_field(key: &str, want: &Want, quote_keys: bool) -> String {
    let key = if quote_keys { double_quoted(key) } else { key.to_owned() };
    match want {
        Want::Text(text) | Want::TextIfAbsent(text) => format!("{key}: {}", double_quoted(text)),
        Want::Fields(inner) => format!("{key}: {}", flow(inner, quote_keys)),
    }
}

/// Text of JSON, which is text of YAML too.
fn double_quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// Whether no reader takes the text for anything but text, even without quotes.
fn is_plainly_text(text: &str) -> bool {
    const WORDS: &[&str] =
        &["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}
