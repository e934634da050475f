//! What counters counted within a window, from their raw samples.
//!
//! Every sample's growth belongs to the window that the sample lies in. So what is counted between
//! a window's last scrape and its end belongs to the next window, and disjoint windows add up to
//! the whole: nothing is extrapolated, lost or counted twice.
//!
//! A series that was not there before it is first seen counted from zero. That is what makes a new
//! pod's first errors count, which the server's own `increase` leaves out.

use std::collections::BTreeMap;

use backout_core::judgement::Window;
use backout_core::units::Span;

use super::answer::{Labels, Sample, Series};

/// How long before a window samples are read at least, to find what a series had counted when the
/// window began. It is how long Prometheus itself remembers a series that is not scraped.
const LOOKBACK: Span = Span::from_mins(5);

/// How long before a window samples are read: a window more than `LOOKBACK`, for series that are
/// scraped more rarely than windows are long, but never more than an hour.
#[must_use]
pub fn lookback(window: Window) -> Span {
    let length = window.end.since(window.start);
    length.saturating_add(LOOKBACK).min(Span::from_hours(1))
}

/// What a series counted within a window; `None` when it has no sample there.
///
/// `earlier` is the last value before the samples that are given, if there was one. Without any
/// sample before the window the series counted from zero. Where the value falls, the counter
/// began anew. Values that are no counts, such as NaN, are ignored.
#[must_use]
pub fn growth(samples: &[Sample], earlier: Option<f64>, window: Window) -> Option<u64> {
    let mut before = earlier.and_then(count);
    let mut grown = None;
    for sample in samples.iter().filter(|sample| sample.at < window.end) {
        let Some(now) = count(sample.value) else { continue };
        if sample.at >= window.start {
            let step = before.map_or(now, |before| now.checked_sub(before).unwrap_or(now));
            grown = Some(grown.unwrap_or(0_u64).saturating_add(step));
        }
        before = Some(now);
    }
    grown
}

/// Whether a series is first seen within the window, so that what it counted before has to be
/// looked up further back, or it counted from zero.
#[must_use]
pub fn is_new(series: &Series, window: Window) -> bool {
    let first = series.samples.iter().find(|sample| count(sample.value).is_some());
    first.is_some_and(|first| first.at >= window.start && first.at < window.end)
}

/// What each series counted within a window, by its labels. Series without a sample in the window
/// are left out.
#[must_use]
pub fn grown(
    series: &[Series],
    earlier: &BTreeMap<Labels, f64>,
    window: Window,
) -> Vec<(Labels, u64)> {
    let counted = series.iter().filter_map(|series| {
        let earlier = earlier.get(&nameless(&series.labels)).copied();
        Some((series.labels.clone(), growth(&series.samples, earlier, window)?))
    });
    counted.collect()
}

/// Labels without the metric's name, which functions of PromQL drop.
#[must_use]
pub fn nameless(labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    labels.remove("__name__");
    labels
}

/// A value as a count, rounded; `None` for what no counter says.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is finite and not negative; what is too large stops at the largest count"
)]
pub(super) fn count(value: f64) -> Option<u64> {
    (value.is_finite() && value >= 0.0).then(|| value.round() as u64)
}

#[cfg(test)]
mod tests {
    use backout_core::units::Time;
    use proptest::prelude::*;

    use super::*;

    fn window(start: u64, end: u64) -> Window {
        Window { start: Time::from_millis(start), end: Time::from_millis(end) }
    }

    fn samples(values: &[(u64, f64)]) -> Vec<Sample> {
        values
            .iter()
            .map(|(at, value)| Sample { at: Time::from_millis(*at), value: *value })
            .collect()
    }

    #[test]
    fn growth_is_counted_where_its_sample_lies() {
        for (values, expected, why) in [
            (&[(90, 5.0), (110, 7.0), (190, 9.0)][..], Some(4), "growth since before the window"),
            (&[(110, 3.0), (190, 4.0)], Some(4), "a new series counts from zero"),
            (&[(110, 3.0)], Some(3), "one sample is enough"),
            (&[(90, 5.0), (110, 2.0), (190, 3.0)], Some(3), "a reset begins at zero"),
            (&[(90, 5.0)], None, "gone before the window"),
            (&[(90, 5.0), (110, 6.0)], Some(1), "gone within the window"),
            (&[(90, 5.0), (110, f64::NAN), (120, 8.0)], Some(3), "NaN says nothing"),
            (&[(110, f64::NAN)], None, "NaN alone is no data"),
            (&[(90, 5.0), (100, 6.0), (200, 9.0)], Some(1), "the start belongs to it, the end not"),
            (&[(90, 5.0), (110, 5.0)], Some(0), "zero is not missing"),
            (&[(90, 5.0), (110, -1.0), (120, f64::INFINITY)], None, "no counts"),
            (&[], None, "nothing"),
        ] {
            assert_eq!(growth(&samples(values), None, window(100, 200)), expected, "{why}");
        }
        assert_eq!(growth(&samples(&[(110, 9.0)]), Some(7.0), window(100, 200)), Some(2));
    }

    #[test]
    fn series_that_are_first_seen_in_the_window_are_new() {
        let seen = |values| {
            let series = Series { samples: samples(values), ..Series::default() };
            is_new(&series, window(100, 200))
        };
        assert!(seen(&[(100, 1.0)]));
        assert!(seen(&[(90, f64::NAN), (100, 1.0)]));
        assert!(!seen(&[(99, 1.0), (100, 1.0)]));
        assert!(!seen(&[(200, 1.0)]));
        assert!(!seen(&[]));
    }

    proptest! {
        /// Whatever the scrape times, births and restarts: windows side by side add up.
        #[test]
        fn disjoint_windows_add_up_to_the_whole(
            gaps in proptest::collection::vec((1_u64..90_000, 0_u64..1_000, 0_u8..10), 1..60),
            born in 0_u64..300_000,
            lengths in proptest::collection::vec(5_000_u64..120_000, 1..100),
        ) {
            let (mut at, mut value, mut total) = (born, 0, 0);
            let mut all = Vec::new();
            for (gap, step, restart) in gaps {
                at += gap;
                if restart == 0 {
                    // What a process counts up to its restart and was not scraped is lost. A
                    // restart shows only if the value falls.
                    value = if step < value { total += step; step } else { total += step - value; step };
                } else {
                    value += step;
                    total += step;
                }
                all.push(Sample { at: Time::from_millis(at), value: f64::from(u32::try_from(value).unwrap()) });
            }
            let (mut start, mut sum, mut lengths) = (0, 0, lengths.into_iter().cycle());
            while start <= at {
                let end = start + lengths.next().unwrap();
                let window = window(start, end);
                // Only what is read for a window: its lookback, and nothing after its end.
                let from = start.saturating_sub(lookback(window).as_millis());
                let read: Vec<_> = all
                    .iter()
                    .filter(|sample| (from..end).contains(&sample.at.as_millis()))
                    .copied()
                    .collect();
                sum += growth(&read, None, window).unwrap_or(0);
                start = end;
            }
            prop_assert_eq!(sum, total);
        }
    }
}
