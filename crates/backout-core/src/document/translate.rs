//! Turning errors of the YAML deserialiser into problems.
//!
//! Nothing outside this module and `read` knows which library that is.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the error is non-exhaustive, and most of its variants cannot occur here"
)]

use serde_saphyr::{DefaultMessageFormatter, Error, MessageFormatter};

use super::source_map::{Kind, Role, SourceMap};
use super::text::{self, quote};
use super::{FieldPath, Location, Problem, Segment, Source, nearest};

/// Which of several things that begin at one place an error is about, in order of preference.
const ABOUT_KEY: [Role; 3] = [Role::Key, Role::Value, Role::Container];
/// The order for errors about a list or a mapping as a whole.
const ABOUT_WHOLE: [Role; 3] = [Role::Container, Role::Value, Role::Key];
/// The order for errors about a single value, or about a key of a special type.
const ABOUT_VALUE: [Role; 3] = [Role::Value, Role::Key, Role::Container];

/// Turns an error into a problem with the path, the place and the words of the document.
pub(super) fn problem(error: &Error, source: &Source, map: &SourceMap) -> Problem {
    let error = error.without_snippet();
    if let Error::AliasError { error: inner, locations, .. } = error {
        let mut problem = problem(inner, source, map);
        let defined = problem.location;
        let alias = Spot::find(Some(locations.reference_location), ABOUT_VALUE, map);
        problem.path = Some(alias.path(map));
        problem.location = Some(alias.location);
        return match defined {
            Some(defined) if defined != alias.location => {
                let note = format!("the alias stands for what is on line {}", defined.line);
                let help = problem.help.take();
                problem.with_help(help.map_or(note.clone(), |help| format!("{help} ({note})")))
            }
            Some(_) | None => problem,
        };
    }
    structural(error, source, map)
        .or_else(|| names(error, map))
        .unwrap_or_else(|| value(error, source, map))
}

/// What an error is about.
struct Spot {
    node: usize,
    /// What of the node the error is about; nothing when its place had to be guessed.
    role: Option<Role>,
    location: Location,
}

impl Spot {
    /// Finds what begins at a place of the deserialiser, or last begins before it.
    fn find(place: Option<serde_saphyr::Location>, roles: [Role; 3], map: &SourceMap) -> Self {
        let place = place.map_or(Location::START, |at| Location::new(at.line(), at.column(), 1));
        if let Some((node, role)) = map.at(place.line, place.column, roles) {
            let shown = match role {
                Role::Key => map.node(node).key.unwrap_or(place),
                Role::Container | Role::Value => map.place(node),
            };
            return Self { node, role: Some(role), location: shown };
        }
        let node = map.before(place.line, place.column).unwrap_or_default();
        Self { node, role: None, location: map.place(node) }
    }

    /// Finds what an error is about.
    fn of(error: &Error, roles: [Role; 3], map: &SourceMap) -> Self {
        Self::find(error.location(), roles, map)
    }

    /// Returns the path of what the error is about.
    fn path(&self, map: &SourceMap) -> FieldPath {
        map.path(self.node)
    }

    /// Begins the problem of what the error is about.
    fn problem(&self, map: &SourceMap, message: impl Into<String>) -> Problem {
        Problem::at(self.location, message).with_path(self.path(map))
    }

    /// Describes what stands there, for "found ..." in a message.
    fn found(&self, source: &Source, map: &SourceMap) -> String {
        match map.node(self.node).kind {
            Kind::BlockMapping | Kind::FlowMapping => "a mapping".to_owned(),
            Kind::BlockSequence | Kind::FlowSequence => "a list".to_owned(),
            Kind::Empty => "nothing".to_owned(),
            Kind::Alias => "an alias".to_owned(),
            Kind::Scalar => match excerpt(source, map.node(self.node).value) {
                Some(text) => quote(&text),
                None => "a single value".to_owned(),
            },
        }
    }
}

/// Cuts the text of a place out of the document.
fn excerpt(source: &Source, place: Location) -> Option<String> {
    let skip = usize::try_from(place.column.checked_sub(1)?).ok()?;
    let take = usize::try_from(place.length).ok()?;
    Some(source.line(place.line)?.chars().skip(skip).take(take).collect())
}

/// Translates errors about a value of the wrong shape.
fn structural(error: &Error, source: &Source, map: &SourceMap) -> Option<Problem> {
    let expected = match error {
        Error::Unexpected { expected, .. } => shape(expected),
        Error::SerdeInvalidType { expected, .. } => shape(expected),
        Error::NullIntoString { .. } => "text".to_owned(),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            "a name, or a mapping with one field".to_owned()
        }
        Error::ExpectedStringKeyForExternallyTaggedEnum { .. } => {
            "a mapping with one field".to_owned()
        }
        _ => return None,
    };
    let spot = Spot::of(error, ABOUT_WHOLE, map);
    let found = if let Error::SerdeInvalidType { unexpected, .. } = error {
        unexpected_text(unexpected)
    } else {
        spot.found(source, map)
    };
    Some(spot.problem(map, format!("wrong type: found {found}")).with_expected(expected))
}

/// Translates errors about names that are unknown, missing or too many.
fn names(error: &Error, map: &SourceMap) -> Option<Problem> {
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            let spot = unknown_field(Spot::of(error, ABOUT_KEY, map), field, map);
            let problem = spot.problem(map, format!("unknown field {}", quote(field)));
            Some(with_names(problem, field, expected))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => {
            let spot = Spot::of(error, ABOUT_KEY, map);
            let what = if spot.role == Some(Role::Key) { "field" } else { "value" };
            if map.node(spot.node).kind == Kind::Empty && spot.role != Some(Role::Key) {
                return Some(with_names(spot.problem(map, "a value is missing"), "", expected));
            }
            let problem = spot.problem(map, format!("unknown {what} {}", quote(variant)));
            Some(with_names(problem, variant, expected))
        }
        Error::SerdeMissingField { field, .. } => {
            let spot = Spot::of(error, ABOUT_WHOLE, map);
            Some(spot.problem(map, format!("missing field {}", quote(field))))
        }
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map(quote).unwrap_or_default();
            let spot = Spot::of(error, ABOUT_KEY, map);
            Some(spot.problem(map, format!("duplicate key {key}").trim_end()))
        }
        Error::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            let spot = Spot::of(error, ABOUT_KEY, map);
            let problem = spot.problem(map, "a second field is not allowed in this mapping");
            Some(problem.with_expected("a mapping with one field"))
        }
        Error::UnexpectedValueForUnitEnumVariant { .. } => {
            let spot = Spot::of(error, ABOUT_VALUE, map);
            let problem = spot.problem(map, "a value is not allowed here");
            Some(problem.with_help("write the name alone, without `:` and a value"))
        }
        _ => None,
    }
}

/// Finds the key of an unknown field, of which some errors only name the mapping or a sibling.
fn unknown_field(spot: Spot, field: &str, map: &SourceMap) -> Spot {
    let segment = Segment::Key(field.to_owned());
    if map.node(spot.node).segment.as_ref() == Some(&segment) {
        return spot;
    }
    let parent = map.node(spot.node).parent;
    let found = map.child(spot.node, &segment).or_else(|| map.child(parent, &segment));
    match found.and_then(|node| Some((node, map.node(node).key?))) {
        Some((node, location)) => Spot { node, role: Some(Role::Key), location },
        None => spot,
    }
}

/// Adds the valid names, and the one that was probably meant.
fn with_names(problem: Problem, word: &str, names: &[&'static str]) -> Problem {
    let problem = match names {
        [] => problem.with_expected("no fields"),
        names => problem.with_expected(names.join(", ")),
    };
    match nearest(word, names.iter().copied()) {
        Some(name) => problem.with_help(format!("did you mean `{name}`?")),
        None => problem,
    }
}

/// Translates every other error, which is about a single value or about nothing in particular.
fn value(error: &Error, source: &Source, map: &SourceMap) -> Problem {
    let spot = Spot::of(error, ABOUT_VALUE, map);
    let found = spot.found(source, map);
    match error {
        Error::Message { msg, .. } => spot.problem(map, text::message(msg)),
        Error::InvalidScalar { ty, .. } => {
            spot.problem(map, format!("wrong type: found {found}")).with_expected(shape(ty))
        }
        Error::InvalidBooleanStrict { .. } => {
            spot.problem(map, format!("wrong type: found {found}")).with_expected("true or false")
        }
        Error::SerdeInvalidValue { unexpected, expected, .. } => {
            let found = unexpected_text(unexpected);
            spot.problem(map, format!("wrong value: found {found}")).with_expected(shape(expected))
        }
        Error::NonFiniteFloat { .. } => spot
            .problem(map, format!("wrong value: found {found}"))
            .with_expected("a finite number"),
        Error::QuotingRequired { .. } => spot
            .problem(map, format!("wrong type: found {found}"))
            .with_expected("text")
            .with_help("write quotes around it if it is meant as text"),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::Budget { .. } => spot
            .problem(map, "aliases make the document too large")
            .with_help("write the values out"),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            spot.problem(map, "the alias stands for something that contains it")
        }
        _ => {
            let message = DefaultMessageFormatter.format_message(error);
            spot.problem(map, text::message(&message))
        }
    }
}

/// Puts what a type expects into the words of a document's author.
fn shape(expected: &str) -> String {
    let words = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u128" | "usize" => "a whole number that is not negative",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" | "floating point" => "a number",
        "bool" | "boolean" | "a boolean" => "true or false",
        "char" => "a single character",
        "string scalar" | "scalar" | "value" | "single YAML node" => "a single value",
        "a string" | "a borrowed string" | "string" => "text",
        "mapping start" | "a map" | "empty mapping start" => "a mapping",
        "sequence start" | "a sequence" => "a list",
        "unit" => "nothing",
        other if other.starts_with("struct ") => "a mapping",
        other if other.starts_with("internally tagged enum ") => "a mapping",
        other if other.starts_with("enum ") => "a name, or a mapping with one field",
        other => return text::message(other),
    };
    words.to_owned()
}

/// Puts what was found instead into the words of a document's author.
fn unexpected_text(unexpected: &str) -> String {
    match unexpected {
        "sequence" => "a list".to_owned(),
        "map" => "a mapping".to_owned(),
        "unit value" | "Option value" => "nothing".to_owned(),
        other => match other.split_once(' ') {
            Some(("integer" | "floating", _)) => {
                format!("the number {}", other.rsplit(' ').next().unwrap_or_default())
            }
            Some(("boolean", rest)) => text::message(rest),
            Some(("string", rest)) => format!("the text {}", text::message(rest)),
            Some(_) | None => text::message(other),
        },
    }
}
