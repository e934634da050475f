//! Shares of a whole.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{decimal, text};

/// The whole, in parts per million.
const WHOLE: u32 = 1_000_000;
/// Decimals of a percentage that parts per million can hold.
const PERCENT_PLACES: usize = 4;
/// Decimals of a fraction that parts per million can hold.
const FRACTION_PLACES: usize = 6;

/// A share of a whole, in parts per million.
///
/// A written share lies between 0% and 100%; a measured one may exceed 100% when the parts counted
/// outnumber the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Share(u32);

impl Share {
    /// Nothing of the whole.
    pub const ZERO: Self = Self(0);
    /// All of the whole.
    pub const WHOLE: Self = Self(WHOLE);

    /// Makes a share from parts per million.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Self {
        Self(ppm)
    }

    /// Returns the share in parts per million.
    #[must_use]
    pub const fn as_ppm(self) -> u32 {
        self.0
    }

    /// Measures a part against a whole, rounding half up to parts per million.
    ///
    /// Nothing is a share of an empty whole. A part many times the whole stops at the largest
    /// share that can be held.
    #[must_use]
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        let whole = u128::from(whole);
        let parts = u128::from(part) * u128::from(WHOLE);
        let ppm = (2 * parts + whole).checked_div(2 * whole)?;
        Some(Self(u32::try_from(ppm).unwrap_or(u32::MAX)))
    }

    /// Reads a fraction such as `0.99`, exactly.
    ///
    /// # Errors
    ///
    /// Fails when the text is not a decimal number from 0 to 1 with at most six decimals.
    pub fn from_fraction_str(text: &str) -> Result<Self, ShareError> {
        let ppm = decimal::scaled(text, FRACTION_PLACES).map_err(|fault| match fault {
            decimal::Fault::Malformed => ShareError::NotFraction,
            decimal::Fault::TooPrecise => ShareError::FractionTooPrecise,
            decimal::Fault::TooLarge => ShareError::FractionOutOfRange,
        })?;
        within_whole(ppm).ok_or(ShareError::FractionOutOfRange)
    }

    /// Writes the share rounded half up to one decimal, for tables and sentences.
    #[must_use]
    pub fn display_rounded(self) -> String {
        let tenths = (u64::from(self.0) + 500) / 1_000;
        format!("{}.{}%", tenths / 10, tenths % 10)
    }
}

/// Accepts parts per million up to the whole.
fn within_whole(ppm: u64) -> Option<Share> {
    u32::try_from(ppm).ok().filter(|ppm| *ppm <= WHOLE).map(Share)
}

/// A text that is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The text is a number without a percent sign.
    #[error("expected a percentage such as \"1%\" or \"0.5%\"; write a unit, e.g. 1%")]
    MissingUnit,
    /// The text is no percentage at all.
    #[error("expected a percentage such as \"1%\" or \"0.5%\"")]
    NotPercentage,
    /// The percentage has more than four decimals.
    #[error("expected a percentage such as \"1%\" or \"0.5%\", with at most four decimals")]
    TooPrecise,
    /// The percentage is not between 0% and 100%.
    #[error("expected a percentage from 0% to 100%")]
    OutOfRange,
    /// The text is not a decimal fraction.
    #[error("expected a fraction such as 0.99")]
    NotFraction,
    /// The fraction has more than six decimals.
    #[error("expected a fraction such as 0.99, with at most six decimals")]
    FractionTooPrecise,
    /// The fraction is not between 0 and 1.
    #[error("expected a fraction from 0 to 1")]
    FractionOutOfRange,
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let negative = text.strip_prefix('-');
        let Some(number) = negative.unwrap_or(text).strip_suffix('%') else {
            let is_number =
                decimal::scaled(text, FRACTION_PLACES) != Err(decimal::Fault::Malformed);
            return Err(if is_number {
                ShareError::MissingUnit
            } else {
                ShareError::NotPercentage
            });
        };
        let ppm = decimal::scaled(number, PERCENT_PLACES).map_err(|fault| match fault {
            decimal::Fault::Malformed => ShareError::NotPercentage,
            decimal::Fault::TooPrecise => ShareError::TooPrecise,
            decimal::Fault::TooLarge => ShareError::OutOfRange,
        })?;
        if negative.is_some() {
            return Err(ShareError::OutOfRange);
        }
        within_whole(ppm).ok_or(ShareError::OutOfRange)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = decimal::shortest(u64::from(self.0), PERCENT_PLACES);
        formatter.pad(&format!("{number}%"))
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(
            deserializer,
            "a percentage such as \"1%\" or \"0.5%\"",
            "expected a percentage such as \"1%\" or \"0.5%\"; write a unit, e.g. 1%",
        )
    }
}

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Share").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A percentage from 0% to 100% with at most four decimals, such as 1% or 0.5%.",
            "pattern": "^0*(100(\\.0+)?|[0-9]{1,2}(\\.[0-9]{1,4}0*)?)%$",
            "examples": ["1%", "0.5%", "99.95%"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::schema_texts;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_percentages_exactly() {
        for (text, ppm) in [
            ("0%", 0),
            ("1%", 10_000),
            ("0.5%", 5_000),
            ("99.95%", 999_500),
            ("0.0001%", 1),
            ("100%", WHOLE),
            ("100.0%", WHOLE),
        ] {
            assert_eq!(text.parse(), Ok(Share::from_ppm(ppm)), "{text}");
        }
    }

    #[test]
    fn refuses_with_a_reason() {
        for (text, error) in [
            ("1", ShareError::MissingUnit),
            ("0.01", ShareError::MissingUnit),
            ("", ShareError::NotPercentage),
            ("%", ShareError::NotPercentage),
            ("1 %", ShareError::NotPercentage),
            (".5%", ShareError::NotPercentage),
            ("1e1%", ShareError::NotPercentage),
            ("0.00001%", ShareError::TooPrecise),
            ("100.0001%", ShareError::OutOfRange),
            ("-1%", ShareError::OutOfRange),
            ("99999999999999999999%", ShareError::OutOfRange),
        ] {
            assert_eq!(text.parse::<Share>(), Err(error), "{text}");
        }
    }

    #[test]
    fn bare_numbers_are_asked_for_a_unit() {
        for json in ["1", "0.01", "-1", "null"] {
            let message = serde_json::from_str::<Share>(json).unwrap_err().to_string();
            assert!(message.contains("write a unit, e.g. 1%"), "{message}");
        }
    }

    #[test]
    fn reads_fractions_exactly() {
        assert_eq!(Share::from_fraction_str("0.99"), Ok(Share::from_ppm(990_000)));
        assert_eq!(Share::from_fraction_str("1"), Ok(Share::WHOLE));
        assert_eq!(Share::from_fraction_str("1.1"), Err(ShareError::FractionOutOfRange));
        assert_eq!(Share::from_fraction_str("0.0000001"), Err(ShareError::FractionTooPrecise));
        assert_eq!(Share::from_fraction_str("x"), Err(ShareError::NotFraction));
    }

    #[test]
    fn measures_parts() {
        assert_eq!(Share::of(1, 0), None);
        assert_eq!(Share::of(0, 7), Some(Share::ZERO));
        assert_eq!(Share::of(1, 3), Some(Share::from_ppm(333_333)));
        assert_eq!(Share::of(2, 3), Some(Share::from_ppm(666_667)));
        assert_eq!(Share::of(1, 2_000_000), Some(Share::from_ppm(1)));
        assert_eq!(Share::of(3, 2), Some(Share::from_ppm(1_500_000)));
        assert_eq!(Share::of(u64::MAX, 1), Some(Share::from_ppm(u32::MAX)));
        assert_eq!(Share::of(u64::MAX, u64::MAX), Some(Share::WHOLE));
    }

    #[test]
    fn shows_shortest_and_rounded_forms() {
        assert_eq!(Share::from_ppm(10_000).to_string(), "1%");
        assert_eq!(Share::from_ppm(5_000).to_string(), "0.5%");
        assert_eq!(Share::from_ppm(1_500_000).to_string(), "150%");
        assert_eq!(Share::from_ppm(198_020).display_rounded(), "19.8%");
        assert_eq!(Share::from_ppm(999_500).display_rounded(), "100.0%");
        assert_eq!(Share::from_ppm(u32::MAX).display_rounded(), "429496.7%");
    }

    proptest! {
        #[test]
        fn the_schema_allows_only_what_is_read(text in schema_texts::<Share>()) {
            let read = text.parse::<Share>();
            prop_assert!(read.is_ok(), "{}: {:?}", text, read);
        }

        #[test]
        fn display_reads_back(ppm in 0..=WHOLE) {
            let share = Share::from_ppm(ppm);
            prop_assert_eq!(share.to_string().parse(), Ok(share));
        }

        #[test]
        fn any_measure_is_near(part: u64, whole in 1..u64::MAX) {
            let ppm = u128::from(Share::of(part, whole).unwrap().as_ppm());
            let exact = u128::from(part) * 1_000_000;
            if ppm < u128::from(u32::MAX) {
                prop_assert!((ppm * u128::from(whole)).abs_diff(exact) * 2 <= u128::from(whole));
            }
        }
    }
}
