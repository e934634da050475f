//! Reading JSON piece by piece, so that a report is never held as a whole beside its findings.

use std::marker::PhantomData;

use backout_core::units::Share;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Something that takes the fields of a JSON object one after another.
pub(super) trait Fields<'de> {
    /// Takes one field; the value must be read or skipped.
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;

    /// Is told that the object ended.
    fn end<E: Error>(&mut self) -> Result<(), E> {
        Ok(())
    }
}

/// An object whose fields are handed over; `null` has none.
pub(super) struct Object<'a, T>(pub(super) &'a mut T);

impl<'de, T: Fields<'de>> DeserializeSeed<'de> for Object<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fields<'de>> Visitor<'de> for Object<'_, T> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            self.0.field(&key, &mut map)?;
        }
        self.0.end()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A list of objects whose fields are handed over; `null` is an empty list.
pub(super) struct Objects<'a, T>(pub(super) &'a mut T);

impl<'de, T: Fields<'de>> DeserializeSeed<'de> for Objects<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Fields<'de>> Visitor<'de> for Objects<'_, T> {
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Object(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A list whose items are handed over one by one; `null` is an empty list.
pub(super) struct Items<T, F>(F, PhantomData<T>);

impl<T, F: FnMut(T) -> Result<(), String>> Items<T, F> {
    /// Hands each item to a function, which may refuse it.
    pub(super) const fn new(take: F) -> Self {
        Self(take, PhantomData)
    }
}

impl<'de, T, F> DeserializeSeed<'de> for Items<T, F>
where
    T: Deserialize<'de>,
    F: FnMut(T) -> Result<(), String>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T, F> Visitor<'de> for Items<T, F>
where
    T: Deserialize<'de>,
    F: FnMut(T) -> Result<(), String>,
{
    type Value = ();

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<T>()? {
            (self.0)(item).map_err(A::Error::custom)?;
        }
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads `null` as what a missing field would be: tools written in Go write it for empty lists.
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A score from 0 to 10, in tenths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Score(pub(super) u16);

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        Self::of(number).ok_or_else(|| D::Error::custom("expected a score from 0 to 10"))
    }
}

impl Score {
    /// Rounds a number to tenths, if it is from 0 to 10.
    pub(super) fn of(number: f64) -> Option<Self> {
        if !(0.0..=10.0).contains(&number) {
            return None;
        }
        // Through the text form, because there is no lossless way from a float to an integer.
        format!("{number:.1}").replace('.', "").parse().ok().map(Self)
    }

    /// Reads a number that is written as text, as SARIF properties are.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        text.trim().parse().ok().and_then(Self::of)
    }
}

/// A probability from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Probability(pub(super) Share);

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        Self::of(number).ok_or_else(|| D::Error::custom("expected a probability from 0 to 1"))
    }
}

impl Probability {
    /// Rounds a number to parts per million, if it is from 0 to 1.
    pub(super) fn of(number: f64) -> Option<Self> {
        if !(0.0..=1.0).contains(&number) {
            return None;
        }
        Share::from_fraction_str(&format!("{number:.6}")).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_and_bounded() {
        for (number, score) in [(0.0, Some(0)), (9.84, Some(98)), (10.0, Some(100)), (10.1, None)] {
            assert_eq!(Score::of(number).map(|score| score.0), score, "{number}");
        }
        assert_eq!(Score::of(f64::NAN), None);
        assert_eq!(Score::of_text(" 7.5 "), Some(Score(75)));
        assert_eq!(Probability::of(0.942_51), Some(Probability(Share::from_ppm(942_510))));
        assert_eq!(Probability::of(-0.1), None);
        assert!(serde_json::from_str::<Probability>("1.5").unwrap_err().is_data());
        assert!(serde_json::from_str::<Score>("NaN").is_err());
    }
}
