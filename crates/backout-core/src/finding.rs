//! Findings: what a check has to say, in the shape that reports and terminals share.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::{FieldPath, Location};

/// How bad a finding is. The order is from mild to severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Worth knowing.
    Note,
    /// Worth mending.
    Warning,
    /// Must be mended.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A stable code such as `BO211`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Where a finding points to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Subject {
    /// A field of the policy file; the reader of the file knows its line and column.
    Policy(FieldPath),
    /// A place in a file.
    File(Place),
    /// An object of the world, such as `Deployment shop/checkout`.
    Object(String),
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The file, as its user would write it.
    pub file: String,
    /// Where in it, unless the whole file is meant.
    pub location: Option<Location>,
}

impl fmt::Display for Place {
    /// Writes `file:line:column`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        self.location.map_or(Ok(()), |location| write!(f, ":{location}"))
    }
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Stable code.
    pub code: Code,
    /// How bad it is.
    pub level: Level,
    /// What it points to.
    pub subject: Subject,
    /// One sentence fragment: what is wrong.
    pub message: String,
    /// What was seen at the subject, written beside the caret.
    pub label: String,
    /// What to do next.
    pub help: String,
    /// A command that shows the problem again.
    pub replay: Option<String>,
}
