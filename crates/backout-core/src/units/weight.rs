//! Weights of traffic.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The whole traffic, in percent.
const FULL: u8 = 100;

/// A weight of traffic in whole percent, because that is what load balancers take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Weight(u8);

impl Weight {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// All traffic.
    pub const FULL: Self = Self(FULL);

    /// Makes a weight of so many percent, if there are at most a hundred.
    #[must_use]
    pub const fn from_percent(percent: u8) -> Option<Self> {
        if percent <= FULL { Some(Self(percent)) } else { None }
    }

    /// Returns the weight in percent.
    #[must_use]
    pub const fn as_percent(self) -> u8 {
        self.0
    }
}

/// A value that is not a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole percentage from 0 to 100")]
pub struct WeightError;

impl TryFrom<u64> for Weight {
    type Error = WeightError;

    fn try_from(percent: u64) -> Result<Self, WeightError> {
        u8::try_from(percent).ok().and_then(Self::from_percent).ok_or(WeightError)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{}%", self.0))
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WeightVisitor)
    }
}

/// Accepts whole numbers only.
struct WeightVisitor;

impl Visitor<'_> for WeightVisitor {
    type Value = Weight;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole percentage from 0 to 100")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Weight, E> {
        Weight::try_from(value).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Weight, E> {
        u64::try_from(value).map_err(|_| WeightError).and_then(Weight::try_from).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Weight, E> {
        Err(E::custom(WeightError))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Weight, E> {
        Err(E::custom(WeightError))
    }

    fn visit_unit<E: Error>(self) -> Result<Weight, E> {
        Err(E::custom(WeightError))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Weight, E> {
        let number = text.strip_suffix('%').unwrap_or(text);
        if number.parse().is_ok_and(|percent: u64| Weight::try_from(percent).is_ok()) {
            return Err(E::custom(format_args!("{WeightError}, written as the number {number}")));
        }
        Err(E::custom(WeightError))
    }
}

impl JsonSchema for Weight {
    fn schema_name() -> Cow<'static, str> {
        "Weight".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Weight").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "integer",
            "description": "A weight of traffic in whole percent, from 0 to 100.",
            "minimum": 0,
            "maximum": 100,
            "examples": [5, 25, 50, 100],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers_in_range() {
        for percent in 0..=100_u8 {
            let weight = serde_json::from_str::<Weight>(&percent.to_string()).unwrap();
            assert_eq!(weight.as_percent(), percent);
            assert_eq!(serde_json::to_string(&weight).unwrap(), percent.to_string());
        }
        assert_eq!(Weight::from_percent(101), None);
        assert_eq!(Weight::FULL.to_string(), "100%");
        assert_eq!(Weight::ZERO, Weight::default());
    }

    #[test]
    fn refuses_everything_else() {
        for json in ["101", "-1", "25.0", "0.25", "null", "true", "\"x\"", "18446744073709551615"] {
            let message = serde_json::from_str::<Weight>(json).unwrap_err().to_string();
            assert!(message.starts_with("expected a whole percentage from 0 to 100"), "{message}");
        }
        let message = serde_json::from_str::<Weight>("\"25%\"").unwrap_err().to_string();
        assert!(message.contains("written as the number 25"), "{message}");
    }
}
