//! Latency histograms: how many requests of a window were at or below each edge.
//!
//! Series that have the same edges are summed exactly. Where edges differ, the sum is over all
//! edges of any, and a series without an edge counts there with what it has at its next lower
//! edge. That is the least it can have, so a quantile is never taken for better than it is.

use std::collections::BTreeMap;

use backout_core::judgement::{Bucket, Window};
use backout_core::policy::BucketUnit;
use backout_core::units::Latency;

use super::answer::{Labels, NativeSample, Series};
use super::counters::count;

/// An edge, in rising order: the last one, which has none, is `None` in a [`Bucket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    At(Latency),
    Infinite,
}

/// Counts at or below each edge, of one series.
type Cumulative = BTreeMap<Edge, u64>;

/// Sums classic buckets, each given with the labels of its series and what it counted.
///
/// # Errors
/// When a series has no label `le`, or one that is no number.
pub fn classic(buckets: &[(Labels, u64)], unit: BucketUnit) -> Result<Vec<Bucket>, String> {
    let mut by_series: BTreeMap<Labels, Cumulative> = BTreeMap::new();
    for (labels, counted) in buckets {
        let mut labels = labels.clone();
        let le = labels.remove("le").ok_or(
            "the series have no label `le`: select the metric's `_bucket` series, and sum by (le)",
        )?;
        let edge = edge(&le, unit)?;
        let known = by_series.entry(labels).or_default().entry(edge).or_default();
        *known = known.saturating_add(*counted);
    }
    Ok(merged(&by_series.into_values().map(rising).collect::<Vec<_>>()))
}

/// What native histograms counted within a window, summed; nothing when none has a sample there.
///
/// As for counters, the growth of each sample belongs to the window that it lies in, a series that
/// is new counted from zero, and a histogram whose count falls began anew.
#[must_use]
pub fn native(series: &[Series], window: Window, unit: BucketUnit) -> Option<Vec<Bucket>> {
    let grown: Vec<_> = series
        .iter()
        .filter_map(|series| native_growth(&series.histograms, window, unit))
        .collect();
    (!grown.is_empty()).then(|| merged(&grown))
}

/// Sums native histograms that the server computed.
#[must_use]
pub fn computed(histograms: &[NativeSample], times: f64, unit: BucketUnit) -> Vec<Bucket> {
    let scaled = histograms.iter().map(|histogram| {
        let mut scaled = histogram.clone();
        scaled.count *= times;
        scaled.buckets.iter_mut().for_each(|bucket| bucket.count *= times);
        cumulative(&scaled, unit)
    });
    merged(&scaled.collect::<Vec<_>>())
}

fn native_growth(
    histograms: &[NativeSample],
    window: Window,
    unit: BucketUnit,
) -> Option<Cumulative> {
    let mut before: Option<Cumulative> = None;
    let mut grown: Option<Cumulative> = None;
    for histogram in histograms.iter().filter(|histogram| histogram.at < window.end) {
        if count(histogram.count).is_none() {
            continue;
        }
        let now = cumulative(histogram, unit);
        if histogram.at >= window.start {
            let total = grown.get_or_insert_default();
            let step = step(before.as_ref(), &now);
            *total = sum(total, &step);
        }
        before = Some(now);
    }
    grown
}

/// What was counted between two samples.
fn step(before: Option<&Cumulative>, now: &Cumulative) -> Cumulative {
    let Some(before) = before else { return now.clone() };
    if at(now, Edge::Infinite) < at(before, Edge::Infinite) {
        return now.clone();
    }
    let edges = before.keys().chain(now.keys());
    let grown =
        edges.map(|edge| (*edge, at(now, *edge).saturating_sub(at(before, *edge)))).collect();
    rising(grown)
}

fn cumulative(histogram: &NativeSample, unit: BucketUnit) -> Cumulative {
    // Summed before it is rounded, because computed histograms have fractions of requests.
    let mut counts: BTreeMap<Edge, f64> = BTreeMap::new();
    for bucket in histogram.buckets.iter().filter(|bucket| bucket.count.is_finite()) {
        *counts.entry(native_edge(bucket.upper, unit)).or_default() += bucket.count;
    }
    let mut sum = 0.0;
    let mut all: Cumulative = BTreeMap::new();
    for (edge, counted) in counts {
        sum += counted;
        all.insert(edge, count(sum).unwrap_or(0));
    }
    all.insert(Edge::Infinite, count(histogram.count).unwrap_or(0));
    rising(all)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is checked to be in range"
)]
fn native_edge(upper: f64, unit: BucketUnit) -> Edge {
    let micros = match unit {
        BucketUnit::Seconds => upper * 1e6,
        BucketUnit::Milliseconds => upper * 1e3,
    };
    // Rounded up: a request that is at or below the edge stays so.
    let micros = micros.ceil();
    if micros <= 0.0 {
        // No request takes less than no time; a bucket below zero is a measuring error.
        Edge::At(Latency::from_micros(0))
    } else if micros < 9e15 {
        Edge::At(Latency::from_micros(micros as u64))
    } else {
        Edge::Infinite
    }
}

/// The edge of a classic bucket from its label, such as `0.4`, `1e+01` or `+Inf`.
fn edge(le: &str, unit: BucketUnit) -> Result<Edge, String> {
    let seconds = match unit {
        BucketUnit::Seconds => Some(le.to_owned()),
        BucketUnit::Milliseconds if le.ends_with("Inf") => Some(le.to_owned()),
        // Milliseconds are seconds with a smaller exponent, so no digit is lost.
        BucketUnit::Milliseconds => match le.split_once(['e', 'E']) {
            None => Some(format!("{le}e-3")),
            Some((digits, exponent)) => exponent
                .parse::<i32>()
                .ok()
                .map(|exponent| format!("{digits}e{}", exponent.saturating_sub(3))),
        },
    };
    let refused = || format!("the bucket le={le:?} is no latency");
    let latency = Latency::from_secs_str(&seconds.ok_or_else(refused)?).map_err(|_| refused())?;
    Ok(latency.map_or(Edge::Infinite, Edge::At))
}

/// Counts at higher edges are never lower. Scrapes are not atomic, so buckets of one histogram may
/// disagree by a few requests.
fn rising(counts: Cumulative) -> Cumulative {
    let mut highest = 0;
    let raise = |(edge, count): (Edge, u64)| {
        highest = highest.max(count);
        (edge, highest)
    };
    counts.into_iter().map(raise).collect()
}

/// What is known to be at or below an edge: the count at the next lower edge that there is.
fn at(counts: &Cumulative, edge: Edge) -> u64 {
    counts.range(..=edge).next_back().map_or(0, |(_, count)| *count)
}

fn sum(one: &Cumulative, other: &Cumulative) -> Cumulative {
    let edges = one.keys().chain(other.keys());
    edges.map(|edge| (*edge, at(one, *edge).saturating_add(at(other, *edge)))).collect()
}

fn merged(all: &[Cumulative]) -> Vec<Bucket> {
    let edges: std::collections::BTreeSet<Edge> =
        all.iter().flat_map(|counts| counts.keys().copied()).chain([Edge::Infinite]).collect();
    let bucket = |edge: Edge| Bucket {
        le: match edge {
            Edge::At(latency) => Some(latency),
            Edge::Infinite => None,
        },
        count: all.iter().fold(0_u64, |sum, counts| sum.saturating_add(at(counts, edge))),
    };
    edges.into_iter().map(bucket).collect()
}

#[cfg(test)]
mod tests {
    use backout_core::units::Time;
    use proptest::prelude::*;

    use super::*;
    use crate::prometheus::answer::NativeBucket;

    fn le(pod: &str, le: &str, count: u64) -> (Labels, u64) {
        let labels = [("le", le), ("pod", pod)].map(|(name, value)| (name.into(), value.into()));
        (labels.into(), count)
    }

    fn flat(buckets: &[Bucket]) -> Vec<(Option<u64>, u64)> {
        buckets.iter().map(|bucket| (bucket.le.map(Latency::as_micros), bucket.count)).collect()
    }

    #[test]
    fn edges_are_read_as_prometheus_prints_them() {
        use BucketUnit::{Milliseconds, Seconds};
        for (text, unit, micros) in [
            ("0.4", Seconds, Some(400_000)),
            ("1e+01", Seconds, Some(10_000_000)),
            ("1e-05", Seconds, Some(10)),
            ("+Inf", Seconds, None),
            ("0.5", Milliseconds, Some(500)),
            ("250", Milliseconds, Some(250_000)),
            ("1e+06", Milliseconds, Some(1_000_000_000)),
            ("3.6e+06", Milliseconds, Some(3_600_000_000)),
            ("+Inf", Milliseconds, None),
        ] {
            let expected = micros.map_or(Edge::Infinite, |m| Edge::At(Latency::from_micros(m)));
            assert_eq!(edge(text, unit), Ok(expected), "{text}");
        }
        for text in ["", "NaN", "a", "-1", "1e", "1e99999999999"] {
            assert!(edge(text, Seconds).is_err() && edge(text, Milliseconds).is_err(), "{text}");
        }
    }

    #[test]
    fn equal_edges_are_summed_and_dents_repaired() {
        let buckets = [
            le("a", "0.1", 5),
            le("a", "+Inf", 9),
            le("a", "0.4", 4),
            le("b", "0.1", 1),
            le("b", "0.4", 2),
            le("b", "+Inf", 3),
        ];
        let merged = classic(&buckets, BucketUnit::Seconds).unwrap();
        assert_eq!(flat(&merged), [(Some(100_000), 6), (Some(400_000), 7), (None, 12)]);
    }

    #[test]
    fn foreign_edges_count_with_what_is_certain() {
        let buckets =
            [le("a", "0.1", 5), le("a", "+Inf", 9), le("b", "0.2", 4), le("b", "+Inf", 4)];
        let merged = classic(&buckets, BucketUnit::Seconds).unwrap();
        assert_eq!(flat(&merged), [(Some(100_000), 5), (Some(200_000), 9), (None, 13)]);
    }

    #[test]
    fn series_without_edges_are_no_histogram() {
        let problem = classic(&[(Labels::new(), 1)], BucketUnit::Seconds).unwrap_err();
        assert!(problem.contains("sum by (le)"), "{problem}");
    }

    fn sample(at: u64, buckets: &[(f64, f64)]) -> NativeSample {
        NativeSample {
            at: Time::from_millis(at),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets: buckets
                .iter()
                .map(|(upper, count)| NativeBucket { upper: *upper, count: *count })
                .collect(),
        }
    }

    #[test]
    fn native_histograms_grow_like_counters() {
        let window = Window { start: Time::from_millis(100), end: Time::from_millis(200) };
        let of = |histograms: Vec<NativeSample>| {
            let series = [Series { histograms, ..Series::default() }];
            native(&series, window, BucketUnit::Seconds).map(|buckets| flat(&buckets))
        };
        assert_eq!(of(vec![sample(90, &[(0.1, 5.0)])]), None);
        assert_eq!(
            of(vec![sample(90, &[(0.1, 5.0)]), sample(110, &[(0.1, 6.0), (0.2, 2.0)])]),
            Some(vec![(Some(100_000), 1), (Some(200_000), 3), (None, 3)])
        );
        assert_eq!(
            of(vec![sample(90, &[(0.1, 5.0)]), sample(110, &[(0.1, 1.0)])]),
            Some(vec![(Some(100_000), 1), (None, 1)]),
            "a reset begins at zero"
        );
        assert_eq!(
            of(vec![sample(110, &[(-0.1, 1.0), (0.001, 1.0), (f64::INFINITY, 1.0)])]),
            Some(vec![(Some(0), 1), (Some(1_000), 2), (None, 3)]),
            "a new one counts from zero"
        );
    }

    proptest! {
        #[test]
        fn counts_always_rise(
            counts in proptest::collection::vec((0_u8..3, 0_u32..8, 0_u64..100), 0..40),
        ) {
            let buckets: Vec<_> = counts
                .iter()
                .map(|(pod, edge, count)| le(&pod.to_string(), &format!("{edge}.5"), *count))
                .collect();
            let merged = classic(&buckets, BucketUnit::Seconds).unwrap();
            prop_assert!(merged.is_sorted_by(|a, b| a.count <= b.count));
            prop_assert_eq!(merged.last().unwrap().le, None);
        }
    }
}
