//! Quantiles of a distribution.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Share, decimal};

/// Decimals of a fraction that parts per million can hold.
const PLACES: usize = 6;
/// The whole, in parts per million.
const WHOLE: u32 = 1_000_000;

/// A quantile strictly between 0 and 1, in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantile(u32);

impl Quantile {
    /// Makes a quantile from parts per million, if it lies strictly between 0 and 1.
    #[must_use]
    pub const fn from_ppm(ppm: u32) -> Option<Self> {
        if ppm > 0 && ppm < WHOLE { Some(Self(ppm)) } else { None }
    }

    /// Returns the quantile in parts per million.
    #[must_use]
    pub const fn as_ppm(self) -> u32 {
        self.0
    }

    /// Returns the customary label, such as `p99` or `p99.9`.
    #[must_use]
    pub fn label(self) -> String {
        format!("p{}", decimal::shortest(u64::from(self.0), PLACES - 2))
    }
}

/// A value that is not a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuantileError {
    /// The text is neither a fraction nor a percentage.
    #[error("expected a quantile such as 0.99")]
    NotQuantile,
    /// The text has more decimals than a quantile can hold.
    #[error("expected a quantile such as 0.99, with at most six decimals")]
    TooPrecise,
    /// The number is not strictly between 0 and 1.
    #[error("expected a quantile between 0 and 1 such as 0.99; 0 and 1 themselves are not allowed")]
    OutOfRange,
}

impl FromStr for Quantile {
    type Err = QuantileError;

    /// Reads `0.99` or `99%`, exactly.
    fn from_str(text: &str) -> Result<Self, QuantileError> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (number, places) = match unsigned.strip_suffix('%') {
            Some(number) => (number, PLACES - 2),
            None => (unsigned, PLACES),
        };
        let ppm = decimal::scaled(number, places).map_err(|fault| match fault {
            decimal::Fault::Malformed => QuantileError::NotQuantile,
            decimal::Fault::TooPrecise => QuantileError::TooPrecise,
            decimal::Fault::TooLarge => QuantileError::OutOfRange,
        })?;
        if unsigned.len() != text.len() {
            return Err(QuantileError::OutOfRange);
        }
        u32::try_from(ppm).ok().and_then(Self::from_ppm).ok_or(QuantileError::OutOfRange)
    }
}

impl TryFrom<Share> for Quantile {
    type Error = QuantileError;

    fn try_from(share: Share) -> Result<Self, QuantileError> {
        Self::from_ppm(share.as_ppm()).ok_or(QuantileError::OutOfRange)
    }
}

impl fmt::Display for Quantile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&decimal::shortest(u64::from(self.0), PLACES))
    }
}

impl Serialize for Quantile {
    /// Writes a number, as policies do; the division gives the very float that the decimal text
    /// of the quantile would be read as, so nothing is lost on the way.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(f64::from(self.0) / f64::from(WHOLE))
    }
}

impl<'de> Deserialize<'de> for Quantile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantileVisitor)
    }
}

/// Accepts a quantile as a number or as text.
struct QuantileVisitor;

impl Visitor<'_> for QuantileVisitor {
    type Value = Quantile;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a quantile such as 0.99")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Quantile, E> {
        text.parse().map_err(E::custom)
    }

    /// Rounds a float to parts per million by way of its decimal text, which keeps float
    /// arithmetic out of the engine.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Quantile, E> {
        let rounded = format!("{value:.PLACES$}");
        rounded.parse().map_err(|error| match error {
            QuantileError::NotQuantile | QuantileError::TooPrecise => {
                E::custom(QuantileError::NotQuantile)
            }
            QuantileError::OutOfRange => E::custom(QuantileError::OutOfRange),
        })
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Quantile, E> {
        Err(E::custom(QuantileError::OutOfRange))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Quantile, E> {
        Err(E::custom(QuantileError::OutOfRange))
    }

    fn visit_unit<E: Error>(self) -> Result<Quantile, E> {
        Err(E::custom(QuantileError::NotQuantile))
    }
}

impl JsonSchema for Quantile {
    fn schema_name() -> Cow<'static, str> {
        "Quantile".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Quantile").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "number",
            "description": "A quantile strictly between 0 and 1, such as 0.99.",
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 1,
            "examples": [0.5, 0.95, 0.99, 0.999],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_numbers_and_text() {
        let p99 = Quantile::from_ppm(990_000).unwrap();
        for json in ["0.99", "\"0.99\"", "\"99%\"", "\"0.990\"", "0.9900000001"] {
            assert_eq!(serde_json::from_str::<Quantile>(json).unwrap(), p99, "{json}");
        }
        assert_eq!(Quantile::try_from(Share::from_ppm(990_000)), Ok(p99));
    }

    #[test]
    fn refuses_what_is_not_strictly_inside() {
        for json in ["0", "1", "-1", "0.0", "1.0", "99", "-0.5", "0.9999999", "1e300", "\"100%\""] {
            let message = serde_json::from_str::<Quantile>(json).unwrap_err().to_string();
            assert!(
                message.starts_with("expected a quantile between 0 and 1"),
                "{json}: {message}"
            );
        }
        for (text, error) in [
            ("p99", QuantileError::NotQuantile),
            ("NaN", QuantileError::NotQuantile),
            ("inf", QuantileError::NotQuantile),
            ("0.9999999", QuantileError::TooPrecise),
            ("-0.5", QuantileError::OutOfRange),
        ] {
            assert_eq!(text.parse::<Quantile>(), Err(error), "{text}");
        }
        assert!(serde_json::from_str::<Quantile>("null").is_err());
    }

    #[test]
    fn shows_fraction_and_label() {
        let p999 = Quantile::from_ppm(999_000).unwrap();
        assert_eq!(p999.to_string(), "0.999");
        assert_eq!(p999.label(), "p99.9");
        assert_eq!(Quantile::from_ppm(990_000).unwrap().label(), "p99");
        assert_eq!(Quantile::from_ppm(500_000).unwrap().label(), "p50");
        assert_eq!(Quantile::from_ppm(1).unwrap().label(), "p0.0001");
    }

    proptest! {
        #[test]
        fn numbers_and_text_read_back(ppm in 1..WHOLE) {
            let quantile = Quantile::from_ppm(ppm).unwrap();
            prop_assert_eq!(quantile.to_string().parse(), Ok(quantile));
            let json = serde_json::to_string(&quantile).unwrap();
            prop_assert_eq!(&json, &quantile.to_string().parse::<f64>().map(|f| serde_json::to_string(&f).unwrap()).unwrap());
            prop_assert_eq!(serde_json::from_str::<Quantile>(&json).unwrap(), quantile);
        }

        #[test]
        fn any_float_is_refused_or_read(value: f64) {
            let _ = QuantileVisitor.visit_f64::<serde::de::value::Error>(value);
        }
    }
}
