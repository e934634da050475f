//! Response times.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{decimal, text};

/// Units in falling order, with their decimals in microseconds.
///
/// Longer suffixes that end in `s` are tried before it, so the order of reading is the reverse.
const UNITS: [(&str, usize); 3] = [("s", 6), ("ms", 3), ("us", 0)];

/// A response time in whole microseconds.
///
/// The text form is a decimal with a unit, such as `400ms` or `1.5s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Latency(u64);

impl Latency {
    /// Makes a latency of so many microseconds.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Makes a latency of so many milliseconds, saturating at the largest latency.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Returns the latency in microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Reads the upper bound of a histogram bucket in seconds, as Prometheus writes it.
    ///
    /// The bound `+Inf` is no latency, so it gives nothing. Bounds are printed floats such as
    /// `0.30000000000000004` or `1e-3`; they are rounded half up to microseconds, not refused.
    ///
    /// # Errors
    ///
    /// Fails when the text is not a number of seconds, is negative, or does not fit.
    pub fn from_secs_str(text: &str) -> Result<Option<Self>, LatencyError> {
        if matches!(text, "+Inf" | "Inf" | "inf" | "+inf") {
            return Ok(None);
        }
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        if unsigned.starts_with('-') {
            return Err(LatencyError::Negative);
        }
        micros_from_float_text(unsigned).map(|micros| Some(Self(micros)))
    }
}

/// Rounds the decimal or exponent text of a float in seconds to microseconds.
fn micros_from_float_text(text: &str) -> Result<u64, LatencyError> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| LatencyError::NotSeconds)?)
        }
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = !(whole.is_empty() && fraction.is_empty())
        && whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(LatencyError::NotSeconds);
    }
    let digits: Vec<u64> = whole
        .bytes()
        .chain(fraction.bytes())
        .map(|byte| u64::from(byte - b'0'))
        .skip_while(|digit| *digit == 0)
        .collect();
    if digits.is_empty() {
        return Ok(0);
    }
    // The number is 0.d1d2d3... times ten to the power `kept` in microseconds, so the first `kept`
    // digits are the whole microseconds and the next digit decides the rounding.
    let leading_zeros = whole.len() + fraction.len() - digits.len();
    let places = i64::try_from(whole.len()).map_err(|_| LatencyError::TooLarge)?
        - i64::try_from(leading_zeros).map_err(|_| LatencyError::TooLarge)?;
    let kept = places + i64::from(exponent) + 6;
    let Ok(kept) = usize::try_from(kept) else {
        return Ok(0);
    };
    if kept > 20 {
        return Err(LatencyError::TooLarge);
    }
    let mut micros: u64 = 0;
    for position in 0..kept {
        let digit = digits.get(position).copied().unwrap_or(0);
        micros = micros
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(digit))
            .ok_or(LatencyError::TooLarge)?;
    }
    let round_up = digits.get(kept).is_some_and(|digit| *digit >= 5);
    micros.checked_add(u64::from(round_up)).ok_or(LatencyError::TooLarge)
}

/// A text that is not a latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LatencyError {
    /// The text is no latency at all.
    #[error("expected a latency such as \"400ms\", \"1.5s\" or \"250us\"")]
    NotLatency,
    /// The text is a number without a unit.
    #[error("a latency needs a unit (us, ms or s), such as \"400ms\" or \"1.5s\"")]
    MissingUnit,
    /// The latency is negative.
    #[error("negative latencies are not allowed")]
    Negative,
    /// The latency has a part smaller than a microsecond.
    #[error("expected a latency such as \"400ms\" or \"1.5s\", exact to the microsecond")]
    TooPrecise,
    /// The latency does not fit.
    #[error("the latency is too large")]
    TooLarge,
    /// A bucket bound is not a number of seconds.
    #[error("expected a number of seconds such as 0.4, or +Inf")]
    NotSeconds,
}

impl FromStr for Latency {
    type Err = LatencyError;

    fn from_str(text: &str) -> Result<Self, LatencyError> {
        if text.starts_with('-') {
            return Err(LatencyError::Negative);
        }
        let split =
            UNITS.iter().rev().find_map(|(unit, places)| Some((text.strip_suffix(unit)?, *places)));
        let Some((number, places)) = split else {
            let is_number = decimal::scaled(text, 6) != Err(decimal::Fault::Malformed);
            return Err(if is_number {
                LatencyError::MissingUnit
            } else {
                LatencyError::NotLatency
            });
        };
        decimal::scaled(number, places).map(Self).map_err(|fault| match fault {
            decimal::Fault::Malformed => LatencyError::NotLatency,
            decimal::Fault::TooPrecise => LatencyError::TooPrecise,
            decimal::Fault::TooLarge => LatencyError::TooLarge,
        })
    }
}

impl fmt::Display for Latency {
    /// Writes the latency in the largest unit that it fills, exactly.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, places) = match self.0 {
            0 | 1_000_000.. => UNITS[0],
            1_000.. => UNITS[1],
            1.. => UNITS[2],
        };
        formatter.pad(&format!("{}{unit}", decimal::shortest(self.0, places)))
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(
            deserializer,
            "a latency such as \"400ms\", \"1.5s\" or \"250us\"",
            "a latency needs a unit (us, ms or s), such as \"400ms\" or \"1.5s\"",
        )
    }
}

impl JsonSchema for Latency {
    fn schema_name() -> Cow<'static, str> {
        "Latency".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Latency").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A latency with a unit (us, ms or s), exact to the microsecond, such as 400ms or 1.5s.",
            "pattern": "^([0-9]+(\\.0+)?us|[0-9]+(\\.[0-9]{1,3}0*)?ms|[0-9]+(\\.[0-9]{1,6}0*)?s)$",
            "examples": ["400ms", "1.5s", "250us"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::schema_texts;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_exactly() {
        for (text, micros) in [
            ("0s", 0),
            ("0ms", 0),
            ("250us", 250),
            ("400ms", 400_000),
            ("0.4s", 400_000),
            ("1.5s", 1_500_000),
            ("1.001ms", 1_001),
            ("1.000001s", 1_000_001),
        ] {
            assert_eq!(text.parse(), Ok(Latency::from_micros(micros)), "{text}");
        }
        assert_eq!(Latency::from_millis(400).as_micros(), 400_000);
    }

    #[test]
    fn refuses_with_a_reason() {
        for (text, error) in [
            ("400", LatencyError::MissingUnit),
            ("0.4", LatencyError::MissingUnit),
            ("", LatencyError::NotLatency),
            ("s", LatencyError::NotLatency),
            ("fast", LatencyError::NotLatency),
            ("1 s", LatencyError::NotLatency),
            ("1m30s", LatencyError::NotLatency),
            ("-1s", LatencyError::Negative),
            ("0.5us", LatencyError::TooPrecise),
            ("1.0000001s", LatencyError::TooPrecise),
            ("99999999999999999s", LatencyError::TooLarge),
        ] {
            assert_eq!(text.parse::<Latency>(), Err(error), "{text}");
        }
        for json in ["400", "0.4", "null"] {
            let message = serde_json::from_str::<Latency>(json).unwrap_err().to_string();
            assert!(message.starts_with("a latency needs a unit"), "{message}");
        }
    }

    #[test]
    fn shows_the_largest_unit_it_fills() {
        for (micros, text) in [
            (0, "0s"),
            (250, "250us"),
            (1_500, "1.5ms"),
            (400_000, "400ms"),
            (1_500_000, "1.5s"),
            (61_000_000, "61s"),
        ] {
            assert_eq!(Latency::from_micros(micros).to_string(), text);
        }
    }

    #[test]
    fn reads_bucket_bounds() {
        for (text, micros) in [
            ("0.4", 400_000),
            (".4", 400_000),
            ("5", 5_000_000),
            ("5.", 5_000_000),
            ("1e-3", 1_000),
            ("1E+1", 10_000_000),
            ("2.5e-05", 25),
            ("0.30000000000000004", 300_000),
            ("0.0000005", 1),
            ("0.00000049", 0),
            ("1e-300", 0),
            ("0e999", 0),
            ("0", 0),
        ] {
            let expected = Ok(Some(Latency::from_micros(micros)));
            assert_eq!(Latency::from_secs_str(text), expected, "{text}");
        }
        assert_eq!(Latency::from_secs_str("+Inf"), Ok(None));
        assert_eq!(Latency::from_secs_str("-1"), Err(LatencyError::Negative));
        assert_eq!(Latency::from_secs_str("1e300"), Err(LatencyError::TooLarge));
        assert_eq!(Latency::from_secs_str("99999999999999"), Err(LatencyError::TooLarge));
        for text in ["", ".", "e", "1e", "NaN", "1.2.3", "0x1", "1e99999999999", "٣"] {
            assert_eq!(Latency::from_secs_str(text), Err(LatencyError::NotSeconds), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_schema_allows_only_what_is_read(text in schema_texts::<Latency>()) {
            let read = text.parse::<Latency>();
            prop_assert!(read.is_ok() || read == Err(LatencyError::TooLarge), "{}: {:?}", text, read);
        }

        #[test]
        fn display_reads_back(micros: u64) {
            let latency = Latency::from_micros(micros);
            prop_assert_eq!(latency.to_string().parse(), Ok(latency));
        }

        #[test]
        fn any_bound_is_refused_or_read(text in "[0-9.eE+-]{0,30}") {
            let _ = Latency::from_secs_str(&text);
        }
    }
}
