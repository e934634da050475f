//! Places in the text of a document.

use std::fmt;

use granit_parser::Marker;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place on one line of a document.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Location {
    /// The line, counted from one.
    pub line: u32,
    /// The column in characters, counted from one.
    pub column: u32,
    /// The length in characters of what is there on that line, at least one.
    pub length: u32,
}

impl Location {
    /// The first character of a document.
    pub const START: Self = Self { line: 1, column: 1, length: 1 };

    /// Makes a location from a line and a column that count from one.
    pub(super) fn new(line: u64, column: u64, length: u64) -> Self {
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self { line: narrow(line), column: narrow(column), length: narrow(length) }
    }

    /// Makes a location of some length from a marker of the parser, which counts columns from zero.
    pub(super) fn at(marker: &Marker, length: usize) -> Self {
        Self::new(wide(marker.line()), wide(marker.col()).saturating_add(1), wide(length))
    }
}

/// Widens a count; every platform of this crate has counts of at most 64 bits.
fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl fmt::Display for Location {
    /// Writes `line:column`, the form that editors and terminals make into a link.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_one() {
        let location = Location::at(&Marker::new(0, 1, 0), 0);
        assert_eq!(location, Location::START);
        assert_eq!(Location::new(0, 0, 0), Location::START);
        assert_eq!(Location::new(u64::MAX, 2, 3).line, u32::MAX);
        assert_eq!(Location::new(3, 7, 1).to_string(), "3:7");
    }
}
