//! Errors of the evaluator: where they are, and what they say.

use backout_core::document::{Location, Problem, Source, Unreadable};

/// An error at a place of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The file; empty when the error names none.
    pub file: String,
    /// The line and the column, counted from one.
    pub location: Option<Location>,
    /// What is wrong.
    pub message: String,
}

impl Failure {
    /// Reads what the evaluator writes: `--> file:line:column`, the line, and `error: message`.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        let text = error.to_string();
        let place = text.lines().find_map(|line| line.trim().strip_prefix("--> "));
        let (file, location) = place.and_then(place_of).unwrap_or_default();
        let message = text
            .split_once("error: ")
            .map_or(text.as_str(), |(_, message)| message)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        Self { file, location, message: message.chars().take(400).collect() }
    }

    /// The error of a module that cannot be read.
    pub(super) fn unreadable(self, source: &Source, help: Option<&str>) -> Unreadable {
        Unreadable {
            source_name: source.name.clone(),
            source: Some(source.clone()),
            problems: vec![Problem {
                path: None,
                location: self.location,
                help: help.map(str::to_owned).or_else(|| self.help().map(str::to_owned)),
                message: self.message,
                expected: None,
            }],
        }
    }

    /// What the author can do about constructs that OPA reads and the evaluator does not.
    pub(super) fn help(&self) -> Option<&'static str> {
        let says = |part: &str| self.message.contains(part);
        if says("else cannot be used with")
            || says("chained")
            || says("unexpected `{`")
            || says("unexpected token `{`")
        {
            return Some(
                "write each body of a rule as a rule of its own: `violation[x] { .. }` twice",
            );
        }
        if says("could not find function") {
            return Some(
                "a line that begins with `(` continues the line before it here, as a call; put the \
                 expression on the line before, or give it a name",
            );
        }
        None
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
            if let Some(location) = &self.location {
                write!(f, ":{location}")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)?;
        self.help().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// Splits `file:line:column`.
fn place_of(place: &str) -> Option<(String, Option<Location>)> {
    let (rest, column) = place.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    let location = Location { line: line.parse().ok()?, column: column.parse().ok()?, length: 1 };
    Some((file.to_owned(), Some(location)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_read() {
        let error = anyhow::anyhow!("\n--> a.rego:4:32\n  |\n4 | x\n  | ^\nerror: bad\n thing");
        let failure = Failure::of(&error);
        assert_eq!(failure.to_string(), "a.rego:4:32: bad thing");
        assert_eq!(Failure::of(&anyhow::anyhow!("plain")).to_string(), "plain");
    }
}
