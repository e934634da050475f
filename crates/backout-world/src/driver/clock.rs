//! The time of a run: milliseconds since it began, which never go back.

use backout_core::units::{Span, Time};
use jiff::Timestamp;
use tokio::time::Instant;

/// Tells the time of a run. The wall clock is asked once; from then on time passes by the steady
/// clock, so that a run does not notice when the wall clock is set.
#[derive(Debug)]
pub struct Clock {
    started_ms: i64,
    anchor: Instant,
    at_anchor: Time,
}

impl Clock {
    /// The clock of a run that began at this time. `latest` is the newest time that the run knows
    /// of, from its stored state: the wall clock of another machine may be behind it.
    #[must_use]
    pub fn new(started: Timestamp, latest: Time) -> Self {
        let started_ms = started.as_millisecond();
        let elapsed_ms = Timestamp::now().as_millisecond().saturating_sub(started_ms);
        let elapsed = Time::from_millis(u64::try_from(elapsed_ms).unwrap_or(0));
        Self { started_ms, anchor: Instant::now(), at_anchor: elapsed.max(latest) }
    }

    /// Now, as a time of the run.
    #[must_use]
    pub fn now(&self) -> Time {
        let passed_ms = u64::try_from(self.anchor.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at_anchor + Span::from_millis(passed_ms)
    }

    /// A time of the run in milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(&self, time: Time) -> i64 {
        self.started_ms.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_never_goes_back() {
        let future = Timestamp::now() + jiff::SignedDuration::from_secs(3_600);
        let known = Time::from_millis(7_000);
        let clock = Clock::new(future, known);
        assert_eq!(clock.now(), known);
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        assert_eq!(clock.now(), Time::from_millis(9_000));
    }

    #[test]
    fn a_time_of_the_run_is_an_instant() {
        let started = Timestamp::from_millisecond(1_700_000_000_000).expect("a time");
        let clock = Clock::new(started, Time::ZERO);
        assert_eq!(clock.unix_ms(Time::from_millis(2_000)), 1_700_000_002_000);
        assert!(clock.now() > Time::ZERO);
    }
}
