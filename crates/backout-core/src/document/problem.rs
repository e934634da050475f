//! What is wrong with a document.

use std::fmt;

use serde::Serialize;

use super::{FieldPath, Location, Source};

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The field concerned, if the problem has to do with one.
    pub path: Option<FieldPath>,
    /// Where the problem is.
    pub location: Option<Location>,
    /// What is wrong, as a lowercase fragment without a place.
    pub message: String,
    /// What would be right, such as the names of all valid fields.
    pub expected: Option<String>,
    /// What the author can do, such as the field that was probably meant.
    pub help: Option<String>,
}

impl Problem {
    /// Makes a problem of a place in the text.
    pub(super) fn at(location: Location, message: impl Into<String>) -> Self {
        Self {
            path: None,
            location: Some(location),
            message: message.into(),
            expected: None,
            help: None,
        }
    }

    /// Adds the field concerned.
    pub(super) fn with_path(mut self, path: FieldPath) -> Self {
        self.path = Some(path);
        self
    }

    /// Adds what would be right.
    pub(super) fn with_expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds what the author can do.
    pub(super) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Problem {
    /// Writes everything but the path on one line, for logs and tests.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(formatter, "{location}: ")?;
        }
        formatter.write_str(&self.message)?;
        if let Some(expected) = &self.expected {
            write!(formatter, "; expected {expected}")?;
        }
        if let Some(help) = &self.help {
            write!(formatter, "; {help}")?;
        }
        Ok(())
    }
}

/// A document that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The name of the file as the user gave it.
    pub source_name: String,
    /// The text, unless it is too large or is not text at all.
    pub source: Option<Source>,
    /// Everything found to be wrong, in the order of the text; there is at least one problem.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            let separator = if position == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{}:{problem}", self.source_name)?;
        }
        Ok(())
    }
}

impl std::error::Error for Unreadable {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_on_one_line() {
        let problem = Problem::at(Location::START, "unknown field `a`")
            .with_path(FieldPath::root().key("a"))
            .with_expected("b, c")
            .with_help("did you mean `b`?");
        let unreadable = Unreadable {
            source_name: "p.yaml".into(),
            source: None,
            problems: vec![problem.clone(), problem],
        };
        let line = "p.yaml:1:1: unknown field `a`; expected b, c; did you mean `b`?";
        assert_eq!(unreadable.to_string(), format!("{line}\n{line}"));
    }
}
