//! Times as people read them: in UTC, and how far off they are.

use backout_core::units::{Span, Time};
use jiff::{SignedDuration, Timestamp};

use crate::render::words::span;

/// A moment, to the second.
pub(super) fn utc(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

/// A moment of a run that began then.
pub(super) fn moment(began: Timestamp, at: Time) -> Timestamp {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    began.checked_add(SignedDuration::from_millis(millis)).unwrap_or(Timestamp::MAX)
}

/// How long ago a moment was, as an object's status writes it; a clock that is ahead makes it no
/// time at all.
pub(super) fn since(written: &str, now: Timestamp) -> Option<Span> {
    let at: Timestamp = written.parse().ok()?;
    let millis = now.duration_since(at).as_millis();
    Some(Span::from_millis(u64::try_from(millis).unwrap_or(0)))
}

/// A moment that an object's status has, and how long ago it was.
pub(super) fn ago(written: &str, now: Timestamp) -> String {
    match since(written, now) {
        Some(passed) => format!("{} ago, at {written}", span(passed)),
        None => written.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_utc_and_by_their_distance() {
        let began: Timestamp = "2026-01-01T23:59:58.5Z".parse().unwrap();
        let later = moment(began, Time::from_millis(3_600));
        assert_eq!(utc(later), "2026-01-02T00:00:02Z");
        assert_eq!(ago("2026-01-01T23:57:58Z", later), "2m04s ago, at 2026-01-01T23:57:58Z");
        assert_eq!(ago("2026-01-03T00:00:00Z", later), "0s ago, at 2026-01-03T00:00:00Z");
        assert_eq!(ago("yesterday", later), "yesterday");
        assert_eq!(moment(began, Time::from_millis(u64::MAX)), Timestamp::MAX);
    }
}
