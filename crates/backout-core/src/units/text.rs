//! One serde visitor for every unit that is written as text.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Visitor};

/// Deserialises a unit from a string, and answers any bare scalar with the same helpful message.
///
/// The visitor asks for any value rather than for a string, because a YAML reader would otherwise
/// turn the bare number `90` into the text `90` and the author would get a less useful message.
pub(super) fn deserialize<'de, T, D>(
    deserializer: D,
    expecting: &'static str,
    bare: &'static str,
) -> Result<T, D::Error>
where
    T: FromStr,
    T::Err: fmt::Display,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(TextVisitor { expecting, bare, target: PhantomData })
}

/// The visitor behind [`deserialize`].
struct TextVisitor<T> {
    /// Completes the phrase "expected ..." for a list or a mapping.
    expecting: &'static str,
    /// The whole message for a number, a boolean or null.
    bare: &'static str,
    target: PhantomData<T>,
}

impl<T> Visitor<'_> for TextVisitor<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.expecting)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        Err(E::custom(self.bare))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Err(E::custom(self.bare))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<T, E> {
        Err(E::custom(self.bare))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<T, E> {
        Err(E::custom(self.bare))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<T, E> {
        Err(E::custom(self.bare))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Err(E::custom(self.bare))
    }

    fn visit_none<E: Error>(self) -> Result<T, E> {
        Err(E::custom(self.bare))
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Err(E::custom(self.bare))
    }
}

/// Makes texts that the pattern in the schema of a type allows.
#[cfg(test)]
pub(super) fn schema_texts<T: schemars::JsonSchema>()
-> impl proptest::strategy::Strategy<Value = String> {
    let schema = schemars::schema_for!(T);
    let pattern = schema.get("pattern").and_then(|pattern| pattern.as_str()).unwrap();
    let pattern = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).unwrap();
    proptest::string::string_regex(pattern).unwrap()
}
