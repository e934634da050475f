//! Lengths of time.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Units in falling order, which is also the order they must be written in.
const UNITS: [(&str, u64); 5] = [("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)];

/// Ten years of 365 days: a longer wait in a release policy can only be a slip of the pen.
const LONGEST_WRITTEN: u64 = 3_650 * DAY;

/// A length of time in whole milliseconds.
///
/// The text form is a duration such as `90s`, `5m` or `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Makes a span of so many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Makes a span of so many seconds, saturating at the largest span.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(SECOND))
    }

    /// Makes a span of so many minutes, saturating at the largest span.
    #[must_use]
    pub const fn from_mins(mins: u64) -> Self {
        Self(mins.saturating_mul(MINUTE))
    }

    /// Makes a span of so many hours, saturating at the largest span.
    #[must_use]
    pub const fn from_hours(hours: u64) -> Self {
        Self(hours.saturating_mul(HOUR))
    }

    /// Returns the span in milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the whole seconds of the span, leaving out any further milliseconds.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / SECOND
    }

    /// Reports whether the span is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Adds two spans, or returns nothing when the sum does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// Takes one span from another, or returns nothing when the result would be negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// Repeats the span, or returns nothing when the product does not fit.
    #[must_use]
    pub fn checked_mul(self, times: u64) -> Option<Self> {
        self.0.checked_mul(times).map(Self)
    }

    /// Adds two spans, stopping at the largest span.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Takes one span from another, stopping at zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Repeats the span, stopping at the largest span.
    #[must_use]
    pub const fn saturating_mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }
}

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as \"90s\", \"5m\" or \"1h30m\"; {0}")]
pub struct SpanError(pub SpanFault);

/// What is wrong with a text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanFault {
    /// There is no text.
    #[error("the text is empty")]
    Empty,
    /// The text begins with a minus sign.
    #[error("negative durations are not allowed")]
    Negative,
    /// A number has a decimal point.
    #[error("fractions are not allowed, use a smaller unit")]
    Fraction,
    /// The text ends in a number.
    #[error("the number `{0}` has no unit (ms, s, m, h or d)")]
    MissingUnit(String),
    /// A unit, or some other text, stands where a number should be.
    #[error("a number is missing before `{0}`")]
    MissingNumber(String),
    /// The unit is not one of those known.
    #[error("`{0}` is not a unit (ms, s, m, h or d)")]
    UnknownUnit(String),
    /// The same unit is there twice.
    #[error("the unit `{0}` is there twice")]
    Repeated(&'static str),
    /// A larger unit follows a smaller one.
    #[error("the unit `{0}` must come before smaller units")]
    Order(&'static str),
    /// The duration is longer than ten years.
    #[error("durations of more than ten years are not allowed")]
    TooLong,
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        parse(text).map(Self).map_err(SpanError)
    }
}

/// Reads every number and unit of a duration, and adds them up in milliseconds.
fn parse(text: &str) -> Result<u64, SpanFault> {
    if text.is_empty() {
        return Err(SpanFault::Empty);
    }
    if text.starts_with('-') {
        return Err(SpanFault::Negative);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    let mut previous: Option<usize> = None;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit());
        if number.is_empty() {
            return Err(SpanFault::MissingNumber(excerpt(rest)));
        }
        if after.starts_with('.') {
            return Err(SpanFault::Fraction);
        }
        let (unit, after) = split_where(after, |c| c.is_ascii_digit());
        let position = unit_position(number, unit)?;
        check_order(previous, position)?;
        let millis = number.parse::<u64>().ok().and_then(|n| n.checked_mul(UNITS[position].1));
        total = millis
            .and_then(|millis| total.checked_add(millis))
            .filter(|total| *total <= LONGEST_WRITTEN)
            .ok_or(SpanFault::TooLong)?;
        previous = Some(position);
        rest = after;
    }
    Ok(total)
}

/// Splits a text before the first character that matches.
fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

/// Finds the place of a unit in [`UNITS`].
fn unit_position(number: &str, unit: &str) -> Result<usize, SpanFault> {
    if unit.is_empty() {
        return Err(SpanFault::MissingUnit(excerpt(number)));
    }
    UNITS
        .iter()
        .position(|(known, _)| *known == unit)
        .ok_or_else(|| SpanFault::UnknownUnit(excerpt(unit)))
}

/// Refuses a unit that does not come strictly after the previous one.
fn check_order(previous: Option<usize>, position: usize) -> Result<(), SpanFault> {
    match previous {
        Some(previous) if previous == position => Err(SpanFault::Repeated(UNITS[position].0)),
        Some(previous) if previous > position => Err(SpanFault::Order(UNITS[position].0)),
        Some(_) | None => Ok(()),
    }
}

/// Keeps a quoted piece of a bad text short, so that a message stays one readable line.
fn excerpt(text: &str) -> String {
    const LONGEST: usize = 20;
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}

impl fmt::Display for Span {
    /// Writes the shortest exact form; days are used only for whole days from two on, because
    /// `24h` and `36h` read better in a release than a mixture of days and hours.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return formatter.pad("0s");
        }
        if self.0 >= 2 * DAY && self.0.is_multiple_of(DAY) {
            return formatter.pad(&format!("{}d", self.0 / DAY));
        }
        let mut rest = self.0;
        let mut shown = String::new();
        for (unit, size) in &UNITS[1..] {
            if rest >= *size {
                shown.push_str(&format!("{}{unit}", rest / size));
                rest %= size;
            }
        }
        formatter.pad(&shown)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(
            deserializer,
            "a duration such as \"90s\", \"5m\" or \"1h30m\"",
            "a duration needs a unit, such as \"90s\", \"5m\" or \"1h30m\"",
        )
    }
}

/// The pattern of a duration, shared with types that also accept one.
///
/// It also matches no text at all, so schemas add a shortest length; a look-ahead would do without,
/// but not every validator knows those.
pub(super) const PATTERN: &str = "([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?";

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Span").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration of whole numbers with units (d, h, m, s, ms) in falling order, such as 90s, 5m or 1h30m.",
            "pattern": format!("^{PATTERN}$"),
            "minLength": 1,
            "examples": ["90s", "5m", "1h30m", "24h", "500ms"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::schema_texts;
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> SpanFault {
        text.parse::<Span>().unwrap_err().0
    }

    #[test]
    fn reads_every_unit() {
        for (text, millis) in [
            ("0s", 0),
            ("90s", 90_000),
            ("1m30s", 90_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("500ms", 500),
            ("1d", 86_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("1m90s", 150_000),
            ("3650d", LONGEST_WRITTEN),
        ] {
            assert_eq!(text.parse(), Ok(Span::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_with_a_reason() {
        assert_eq!(fault(""), SpanFault::Empty);
        assert_eq!(fault("-5m"), SpanFault::Negative);
        assert_eq!(fault("1.5m"), SpanFault::Fraction);
        assert_eq!(fault("90"), SpanFault::MissingUnit("90".into()));
        assert_eq!(fault("1m30"), SpanFault::MissingUnit("30".into()));
        assert_eq!(fault("m"), SpanFault::MissingNumber("m".into()));
        assert_eq!(fault(" 5m"), SpanFault::MissingNumber(" 5m".into()));
        assert_eq!(fault("5 m"), SpanFault::UnknownUnit(" m".into()));
        assert_eq!(fault("5min"), SpanFault::UnknownUnit("min".into()));
        assert_eq!(fault("5M"), SpanFault::UnknownUnit("M".into()));
        assert_eq!(fault("1m2m"), SpanFault::Repeated("m"));
        assert_eq!(fault("1s2m"), SpanFault::Order("m"));
        assert_eq!(fault("3650d1ms"), SpanFault::TooLong);
        assert_eq!(fault("99999999999999999999999s"), SpanFault::TooLong);
        assert_eq!(fault("18446744073709551615d"), SpanFault::TooLong);
    }

    #[test]
    fn messages_say_what_is_expected() {
        assert_eq!(
            SpanError(fault("-5m")).to_string(),
            "expected a duration such as \"90s\", \"5m\" or \"1h30m\"; negative durations are not \
             allowed"
        );
    }

    #[test]
    fn shows_the_shortest_exact_form() {
        for (millis, text) in [
            (0, "0s"),
            (500, "500ms"),
            (1_500, "1s500ms"),
            (90_000, "1m30s"),
            (300_000, "5m"),
            (DAY, "24h"),
            (DAY + HOUR, "25h"),
            (2 * DAY, "2d"),
            (2 * DAY + HOUR, "49h"),
            (HOUR + 1, "1h1ms"),
        ] {
            assert_eq!(Span::from_millis(millis).to_string(), text);
        }
        assert_eq!(format!("[{:>4}]", Span::from_mins(5)), "[  5m]");
    }

    #[test]
    fn computes_without_overflow() {
        let most = Span::from_millis(u64::MAX);
        assert_eq!(Span::from_hours(u64::MAX), most);
        assert_eq!(most.checked_add(Span::from_millis(1)), None);
        assert_eq!(most.saturating_add(most), most);
        assert_eq!(Span::ZERO.checked_sub(most), None);
        assert_eq!(Span::ZERO.saturating_sub(most), Span::ZERO);
        assert_eq!(most.checked_mul(2), None);
        assert_eq!(most.saturating_mul(2), most);
        assert_eq!(Span::from_secs(30).checked_mul(2), Some(Span::from_mins(1)));
        assert_eq!(Span::from_millis(1_999).as_secs(), 1);
        assert!(Span::default().is_zero());
    }

    #[test]
    fn bare_numbers_are_asked_for_a_unit() {
        for json in ["90", "-90", "1.5", "null", "true"] {
            let error = serde_json::from_str::<Span>(json).unwrap_err().to_string();
            assert!(error.starts_with("a duration needs a unit"), "{json}: {error}");
        }
        let error = serde_json::from_str::<Span>("[]").unwrap_err().to_string();
        assert!(error.contains("expected a duration such as"), "{error}");
    }

    proptest! {
        #[test]
        fn display_reads_back(millis in 0..=LONGEST_WRITTEN) {
            let span = Span::from_millis(millis);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            let json = serde_json::to_string(&span).unwrap();
            prop_assert_eq!(serde_json::from_str::<Span>(&json).unwrap(), span);
        }

        #[test]
        fn the_schema_allows_only_what_is_read(text in schema_texts::<Span>()) {
            let read = text.parse::<Span>();
            let refused = SpanError(if text.is_empty() { SpanFault::Empty } else { SpanFault::TooLong });
            prop_assert!(read.is_ok() || read == Err(refused), "{}", text);
        }

        #[test]
        fn any_text_is_refused_or_read(text in "\\PC*") {
            let _ = text.parse::<Span>();
        }
    }
}
