//! Turning errors of the YAML parser into problems.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser's own words do for all kinds of errors but the common ones"
)]

use granit_parser::{ErrorKind, ScanError};

use super::text::{self, quote};
use super::walk::too_deep;
use super::{Limits, Location, Problem};

/// Turns an error of the parser into a problem, with advice for the common ones.
pub(super) fn problem(error: &ScanError, limits: &Limits) -> Problem {
    let location = Location::at(error.marker(), 1);
    let kind = error.kind();
    match kind {
        ErrorKind::RecursionLimitExceeded => too_deep(location, limits),
        ErrorKind::UnclosedFlowCollection { open } => {
            Problem::at(location, format!("the `{open}` is never closed"))
        }
        ErrorKind::UnexpectedCharacter { character } => {
            let shown = quote(character.encode_utf8(&mut [0; 4]));
            Problem::at(location, format!("a value cannot begin with {shown}"))
                .with_help("write quotes around the value")
        }
        _ => match common(kind) {
            Some((message, "")) => Problem::at(location, message),
            Some((message, help)) => Problem::at(location, message).with_help(help),
            None => Problem::at(location, plain(&kind.to_string())),
        },
    }
}

/// Words the errors that authors of documents often meet, with advice if there is any.
fn common(kind: &ErrorKind) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart => {
            ("a tab cannot be used for indentation", "indent with spaces")
        }
        ErrorKind::UnclosedQuotedScalar => ("the quote is never closed", ""),
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            ("text is not allowed after the closing quote", "")
        }
        ErrorKind::UnknownQuotedScalarEscape => (
            "unknown escape in double quotes",
            "write `\\\\` for a backslash, or use single quotes",
        ),
        ErrorKind::MappingValueNotAllowed => (
            "a second `:` is not allowed here",
            "write quotes around a value that contains `: `, and check the indentation",
        ),
        ErrorKind::SimpleKeyExpected => ("a `:` is missing after the key", "check the indentation"),
        ErrorKind::ExpectedBlockMappingKey => ("a key is missing here", "check the indentation"),
        ErrorKind::ExpectedBlockSequenceEntry => {
            ("a list item with `-` is missing here", "check the indentation")
        }
        ErrorKind::BlockSequenceEntryNotAllowed => {
            ("a list item is not allowed here", "begin the list on a line of its own")
        }
        ErrorKind::ExpectedFlowMappingSeparator => ("a `,` or `}` is missing here", ""),
        ErrorKind::ExpectedFlowSequenceSeparator => ("a `,` or `]` is missing here", ""),
        ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::UnexpectedEofBlockSequence
        | ErrorKind::UnexpectedEofBlockMapping
        | ErrorKind::UnexpectedEof => ("the document ends too early", ""),
        ErrorKind::UnknownAnchor => ("the alias has no anchor before it", ""),
        ErrorKind::DirectiveDisallowed => {
            ("directives such as `%YAML` are not supported", "remove the line")
        }
        ErrorKind::InvalidDocumentEnd | ErrorKind::ExpectedDocumentStart => {
            ("text is not allowed after the end of the document", "")
        }
        _ => return None,
    })
}

/// Takes what the parser was doing out of its own message, which is of no use to an author.
fn plain(message: &str) -> String {
    let rest = match message.split_once(", ") {
        Some((doing, rest)) if doing.starts_with("while ") => rest,
        Some(_) | None => message,
    };
    text::message(rest)
}

#[cfg(test)]
mod tests {
    use granit_parser::Marker;

    use super::*;

    #[test]
    fn keeps_the_useful_part_of_a_message() {
        let error = ScanError::new(Marker::new(4, 2, 3), "while scanning, found a, b");
        let problem = problem(&error, &Limits::default());
        assert_eq!(problem.to_string(), "2:4: found a, b");
    }
}
