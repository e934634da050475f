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
        Err(problems) => {
            let problems = problems.into_iter().map(|problem| inside(&source, problem)).collect();
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
    let (count, last) = lines(text).fold((0_u64, ""), |(count, _), line| (count + 1, line));
    let column = last.chars().fold(1_u64, |column, _| column + 1);
    Location::new(count, column, 1)
}

/// Refuses control characters, which can hide text from whoever reviews a document.
fn check_characters(text: &str) -> Result<(), Vec<Problem>> {
    let forbidden =
        |c: char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}');
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
            max_nodes: limits.max_nodes,
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

/// Moves a place behind the end of the text to the end of its last line.
fn inside(source: &Source, mut problem: Problem) -> Problem {
    if let Some(location) = &mut problem.location {
        let end = end_of(source.text.trim_end_matches(['\n', '\r']));
        if location.line > end.line {
            *location = end;
        }
    }
    problem
}
