//! Turning errors of the YAML deserialiser into problems.
//!
//! Nothing outside this module and `read` knows which library that is.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the error is non-exhaustive, and most of its variants cannot occur here"
)]

use serde_saphyr::{DefaultMessageFormatter, Error, MessageFormatter};

use super::source_map::{Kind, Node, Role, SourceMap};
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
        let problem = problem(inner, source, map);
        return through_alias(
            problem,
            locations.reference_location,
            locations.defined_location,
            map,
        );
    }
    structural(error, source, map)
        .or_else(|| names(error, map))
        .unwrap_or_else(|| value(error, source, map))
}

/// Moves a problem from what an alias stands for to the alias, where the wrong type was expected.
fn through_alias(
    mut problem: Problem,
    alias: serde_saphyr::Location,
    defined: serde_saphyr::Location,
    map: &SourceMap,
) -> Problem {
    let spot = Spot::find(Some(alias), ABOUT_VALUE, map);
    problem.path = Some(spot.path(map));
    problem.location = Some(spot.location);
    let note = format!("the alias stands for what is on line {}", defined.line());
    let help = problem.help.take().map_or(note.clone(), |help| format!("{help} ({note})"));
    problem.with_help(help)
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

    /// Moves from the key of a field to its value.
    fn at_value(self, map: &SourceMap) -> Self {
        match self.role {
            Some(Role::Key) => Self { location: map.place(self.node), ..self },
            Some(Role::Container | Role::Value) | None => self,
        }
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
    let spot = Spot::of(error, ABOUT_WHOLE, map).at_value(map);
    let expected = match error {
        Error::Unexpected { expected, .. } => shape(expected),
        Error::SerdeInvalidType { expected, .. } => shape(expected),
        Error::NullIntoString { .. } => "text".to_owned(),
        Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            "a name, or a mapping with one field".to_owned()
        }
        Error::ExpectedStringKeyForExternallyTaggedEnum { .. } => {
            let problem = spot.problem(map, "the mapping is empty");
            return Some(problem.with_expected("a mapping with one field"));
        }
        _ => return None,
    };
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
            let is_key = map.node(spot.node).segment == Some(Segment::Key(variant.clone()));
            let (spot, what) = match spot.role {
                Some(Role::Key) if is_key => (spot, "field"),
                _ => (spot.at_value(map), "value"),
            };
            let problem = spot.problem(map, format!("unknown {what} {}", quote(variant)));
            Some(with_names(problem, variant, expected))
        }
        Error::SerdeMissingField { field, .. } => {
            let spot = incomplete(Spot::of(error, ABOUT_WHOLE, map), field, map);
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

/// Finds the mapping that lacks a field, of which some errors only name the first key.
fn incomplete(spot: Spot, field: &str, map: &SourceMap) -> Spot {
    let Node { parent, kind, .. } = map.node(spot.node);
    let parent = *parent;
    if spot.role != Some(Role::Key) {
        return spot;
    }
    let is_mapping = matches!(kind, Kind::BlockMapping | Kind::FlowMapping);
    let complete = map.child(parent, &Segment::Key(field.to_owned())).is_some();
    let in_braces = map.node(parent).kind == Kind::FlowMapping;
    let node = if is_mapping && (complete || !in_braces) { spot.node } else { parent };
    Spot { node, role: Some(Role::Container), location: map.place(node) }
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
            let problem = spot.at_value(map).problem(map, format!("wrong value: found {found}"));
            problem.with_expected(shape(expected))
        }
        Error::NonFiniteFloat { .. } => spot
            .problem(map, format!("wrong value: found {found}"))
            .with_expected("a finite number"),
        Error::QuotingRequired { .. } => {
            let problem = spot.problem(map, format!("wrong type: found {found}"));
            let problem = problem.with_expected("text");
            match map.node(spot.node).kind {
                Kind::Empty => problem,
                _ => problem.with_help("write quotes around it if it is meant as text"),
            }
        }
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::Budget { .. } => spot
            .problem(map, "anchors and aliases make the document too large")
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::{Limits, read};
    use crate::units::{Name, Span, Weight};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "only reading is tested")]
    struct Root {
        spec: Spec,
        #[serde(default)]
        labels: BTreeMap<Name, String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "only reading is tested")]
    struct Spec {
        min_requests: u32,
        enabled: Option<bool>,
        hold: Option<Span>,
        steps: Option<Vec<Step>>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    #[expect(dead_code, reason = "only reading is tested")]
    enum Step {
        Weight(Weight),
        Analyse(Analyse),
        Hold,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading is tested")]
    struct Analyse {
        count: u8,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "type", deny_unknown_fields)]
    #[expect(dead_code, reason = "only reading is tested")]
    enum Kind {
        A { x: u8 },
    }

    /// Returns the only problem of a document, with its path in front.
    fn wrong(text: &str) -> String {
        let unreadable = read::<Root>("p", text.as_bytes(), &Limits::default()).unwrap_err();
        let [problem] = &unreadable.problems[..] else { panic!("{unreadable}") };
        let path = problem.path.as_ref().map(ToString::to_string).unwrap_or_default();
        let length = problem.location.expect("a problem has a place").length;
        format!("{path} +{length} {problem}")
    }

    /// Returns the only problem of some fields of `spec`, which begin on the second line.
    fn wrong_spec(fields: &str) -> String {
        let text = format!("spec:\n  minRequests: 1\n  {}\n", fields.replace('\n', "\n  "));
        wrong(&text)
    }

    #[test]
    fn names_the_field_that_was_meant() {
        for text in ["spec:\n  minRequest: 1\n", "spec:\n  \"minRequest\": 1\n"] {
            let shown = wrong(text);
            assert!(shown.starts_with("spec.minRequest +1"), "{shown}");
            assert!(
                shown.ends_with(
                    "2:3: unknown field `minRequest`; expected minRequests, enabled, hold, steps, \
                     kind; did you mean `minRequests`?"
                ),
                "{shown}"
            );
        }
        assert_eq!(
            wrong("spec: {minRequests: 1}\nfoo: 1\n"),
            "foo +3 2:1: unknown field `foo`; expected spec, labels"
        );
        assert_eq!(
            wrong_spec("steps: [{analyze: {}}]"),
            "spec.steps[0].analyze +7 3:12: unknown field `analyze`; expected weight, analyse, hold; \
             did you mean `analyse`?"
        );
        assert_eq!(
            wrong_spec("steps: [holt]"),
            "spec.steps[0] +4 3:11: unknown value `holt`; expected weight, analyse, hold; did you \
             mean `hold`?"
        );
        assert_eq!(
            wrong_spec("kind: {type: A, y: 1}"),
            "spec.kind.y +1 3:19: unknown field `y`; expected x"
        );
        assert_eq!(
            wrong_spec("kind: {type: a}"),
            "spec.kind.type +1 3:16: unknown value `a`; expected A; did you mean `A`?"
        );
    }

    #[test]
    fn hostile_names_are_shown_safely() {
        let shown = wrong(&format!("\"{}\\e[31m\": 1\n", "x".repeat(50)));
        assert!(shown.contains(&format!("`{}\\u{{1b}}[31m`", "x".repeat(50))), "{shown}");
        let shown = wrong(&format!("{}: 1\n", "x".repeat(900)));
        assert!(shown.contains(&format!("`{}...`", "x".repeat(60))), "{shown}");
    }

    #[test]
    fn missing_fields_are_missing_from_their_mapping() {
        for (text, shown) in [
            ("labels: {}\n", ". +6 1:1: missing field `spec`"),
            ("{}\n", ". +2 1:1: missing field `spec`"),
            ("spec:\n  hold: 5m\n", "spec +4 1:1: missing field `minRequests`"),
            ("spec: {hold: 5m}\n", "spec +10 1:7: missing field `minRequests`"),
            ("spec: {}\n", "spec +2 1:7: missing field `minRequests`"),
        ] {
            assert_eq!(wrong(text), shown);
        }
        assert_eq!(
            wrong_spec("steps:\n  - analyse: {}"),
            "spec.steps[0].analyse +2 4:16: missing field `count`"
        );
        assert_eq!(wrong_spec("kind: {type: A}"), "spec.kind +9 3:9: missing field `x`");
        assert_eq!(wrong_spec("kind: {x: 1}"), "spec.kind +6 3:9: missing field `type`");
    }

    #[test]
    fn wrong_types_say_what_was_found() {
        for (fields, shown) in [
            (
                "enabled: yes",
                "spec.enabled +3 3:12: wrong type: found `yes`; expected true or false",
            ),
            (
                "hold: [5m]",
                "spec.hold +4 3:9: wrong type: found a list; expected a duration such as \"90s\", \"5m\" or \"1h30m\"",
            ),
            ("steps: {}", "spec.steps +2 3:10: wrong type: found a mapping; expected a list"),
            ("steps:\n  a: 1", "spec.steps +5 3:3: wrong type: found a mapping; expected a list"),
            ("steps: 5", "spec.steps +1 3:10: wrong type: found `5`; expected a list"),
            (
                "steps: [[]]",
                "spec.steps[0] +2 3:11: wrong type: found a list; expected a name, or a mapping with one field",
            ),
            (
                "steps: [{}]",
                "spec.steps[0] +2 3:11: the mapping is empty; expected a mapping with one field",
            ),
            (
                "steps: [analyse]",
                "spec.steps[0] +7 3:11: wrong type: found `analyse`; expected a mapping",
            ),
            (
                "steps:\n  - analyse:",
                "spec.steps[0].analyse +7 4:7: wrong type: found nothing; expected a mapping",
            ),
            ("steps:\n  -", "spec.steps[0] +1 4:5: wrong type: found nothing; expected text"),
            (
                "steps:\n  - analyse: {count: 256}",
                "spec.steps[0].analyse.count +3 4:24: wrong type: found `256`; expected a whole number from 0 to 255",
            ),
            (
                "kind: {type: A, x: 256}",
                "spec.kind +17 3:9: wrong value: found the number `256`; expected a whole number from 0 to 255",
            ),
            (
                "steps: [hold: 1]",
                "spec.steps[0].hold +1 3:17: a value is not allowed here; write the name alone, without `:` and a value",
            ),
            (
                "steps: [{weight: 1, hold: 1}]",
                "spec.steps[0].hold +4 3:23: a second field is not allowed in this mapping; expected a mapping with one field",
            ),
        ] {
            assert_eq!(wrong_spec(fields), shown, "{fields}");
        }
        assert_eq!(wrong("spec: 5\n"), "spec +1 1:7: wrong type: found `5`; expected a mapping");
        assert_eq!(wrong("spec:\n"), "spec +4 1:1: wrong type: found nothing; expected a mapping");
    }

    #[test]
    fn text_that_looks_like_a_number_needs_quotes() {
        assert_eq!(
            wrong("spec: {minRequests: 1}\nlabels: {a: 1.10}\n"),
            "labels.a +4 2:13: wrong type: found `1.10`; expected text; write quotes around it if it \
             is meant as text"
        );
        assert_eq!(
            wrong("spec: {minRequests: 1}\nlabels:\n  a:\n"),
            "labels.a +1 3:3: wrong type: found nothing; expected text"
        );
    }

    #[test]
    fn units_have_their_own_words() {
        assert_eq!(
            wrong_spec("hold: 90"),
            "spec.hold +2 3:9: a duration needs a unit, such as \"90s\", \"5m\" or \"1h30m\""
        );
        assert_eq!(
            wrong_spec("steps:\n  - weight: 101"),
            "spec.steps[0].weight +3 4:15: expected a whole percentage from 0 to 100"
        );
        let shown = wrong("spec: {minRequests: 1}\nlabels:\n  A_: x\n");
        assert!(shown.starts_with("labels.A_ +2 3:3: expected a name"), "{shown}");
    }

    #[test]
    fn problems_behind_an_alias_are_at_the_alias() {
        assert_eq!(
            wrong("labels: {a: &x b}\nspec: {minRequests: *x}\n"),
            "spec.minRequests +2 2:21: wrong type: found `b`; expected a whole number from 0 to \
             4294967295; the alias stands for what is on line 1"
        );
        assert_eq!(
            wrong("labels: &x {a: b}\nspec: *x\n"),
            "spec +2 2:7: unknown field `a`; expected minRequests, enabled, hold, steps, kind; the \
             alias stands for what is on line 1"
        );
    }
}
