//! Why a file does not count as what it was named for.

use std::fmt;

use backout_core::document::Location;
use backout_core::finding::Place;
use serde::Serialize;

/// The kind of reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The file could not be had: it is not there, or was changed since it was recorded.
    NotRead,
    /// It has more bytes than are read.
    TooLarge,
    /// It has more findings than are read.
    TooManyFindings,
    /// It is cut off, is no JSON, or a field has the wrong type.
    Malformed,
    /// It is in a format that is known and not read.
    Unsupported,
    /// Nothing in it says what it is.
    UnknownFormat,
    /// It lists components and no vulnerabilities, which is not the same as none being found.
    BillOfMaterials,
    /// It has statements on vulnerabilities, and no findings.
    Statements,
    /// It has findings, and no statements on them.
    NoStatements,
}

/// A file that does not count, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unusable {
    /// The file, and the place in it where reading ended.
    pub place: Place,
    /// The kind of reason.
    pub cause: Cause,
    /// What is wrong, as a sentence fragment without a place.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl Unusable {
    /// A whole file that does not count.
    #[must_use]
    pub fn new(
        file: impl Into<String>,
        cause: Cause,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let place = Place { file: file.into(), location: None };
        Self { place, cause, message: message.into(), help: help.into() }
    }

    /// A file that could not be had, as the adapter tells it.
    #[must_use]
    pub fn not_read(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(file, Cause::NotRead, message, "make the file again, or correct its name")
    }

    /// What a JSON parser says.
    pub(super) fn json(file: &str, error: &serde_json::Error) -> Self {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        let location =
            Location { line: narrow(error.line()), column: narrow(error.column()), length: 1 };
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(before, _)| before);
        let help = if error.is_eof() {
            "the file is cut off; make it again"
        } else {
            "make the file again with the scanner itself"
        };
        Self {
            place: Place { file: file.to_owned(), location: Some(location) },
            cause: Cause::Malformed,
            message: tidy(text),
            help: help.to_owned(),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.message, self.help)
    }
}

impl std::error::Error for Unusable {}

/// The most characters of an outside text that are kept.
const LONGEST: usize = 256;

/// Makes a text of a report fit to be shown: one line, without control characters, and short.
#[must_use]
pub(crate) fn tidy(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = text.trim().chars().take(LONGEST).map(shown).collect();
    line.trim().to_owned()
}
