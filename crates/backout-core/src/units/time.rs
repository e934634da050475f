//! Moments in time.

use std::fmt;
use std::ops::Add;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Span;

/// A moment, in milliseconds since an epoch that the driver chooses.
///
/// The engine has no clock of its own, so a moment means nothing but its distance from another.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Time(u64);

impl Time {
    /// The epoch itself.
    pub const ZERO: Self = Self(0);

    /// Makes the moment so many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Returns the span since an earlier moment, or zero when that moment is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Time {
    type Output = Self;

    /// Moves the moment on, stopping at the last moment that can be held.
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis()))
    }
}

impl fmt::Display for Time {
    /// Writes the offset from the epoch as `+00:02:05.000`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, millis) = (self.0 / 1_000, self.0 % 1_000);
        let (mins, secs) = (secs / 60, secs % 60);
        let (hours, mins) = (mins / 60, mins % 60);
        formatter.pad(&format!("+{hours:02}:{mins:02}:{secs:02}.{millis:03}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_an_offset() {
        assert_eq!(Time::ZERO.to_string(), "+00:00:00.000");
        assert_eq!(Time::from_millis(125_000).to_string(), "+00:02:05.000");
        assert_eq!((Time::ZERO + Span::from_hours(100)).to_string(), "+100:00:00.000");
    }

    #[test]
    fn adds_and_subtracts_without_overflow() {
        let later = Time::ZERO + Span::from_secs(5);
        assert_eq!(later.since(Time::ZERO), Span::from_secs(5));
        assert_eq!(Time::ZERO.since(later), Span::ZERO);
        let last = Time::from_millis(u64::MAX);
        assert_eq!(last + Span::from_secs(1), last);
    }

    #[test]
    fn is_a_plain_number_in_json() {
        assert_eq!(serde_json::to_string(&Time::from_millis(7)).unwrap(), "7");
        assert_eq!(serde_json::from_str::<Time>("7").unwrap().as_millis(), 7);
    }
}
