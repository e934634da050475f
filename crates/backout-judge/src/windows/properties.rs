//! What holds for all samples.

use backout_core::judgement::{
    Bucket, Judge, Judgement, Limit, Measurement, Observed, Question, Sample, Verdict, Window,
    WindowVerdict,
};
use backout_core::units::{Latency, Quantile, Share, Time};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::Windows;
use crate::merge;

/// One window of one signal, as its replicas measured it and as a whole.
#[derive(Clone, Debug)]
struct Parted {
    whole: Measurement,
    parts: Vec<Measurement>,
}

/// A limit and the windows to judge by it.
#[derive(Clone, Debug)]
struct Case {
    limit: Limit,
    consecutive: u32,
    min_requests: u64,
    windows: Vec<Parted>,
}

impl Case {
    fn judge(&self, measurements: impl IntoIterator<Item = Measurement>) -> Judgement {
        self.judge_samples(&disjoint(measurements))
    }

    fn judge_samples(&self, samples: &[Sample]) -> Judgement {
        Windows.judge(&Question {
            limit: self.limit,
            consecutive: self.consecutive,
            min_requests: self.min_requests,
            samples,
        })
    }

    fn wholes(&self) -> impl Iterator<Item = Measurement> {
        self.windows.iter().map(|window| window.whole.clone())
    }
}

fn window(minute: u64) -> Window {
    Window {
        start: Time::from_millis(minute * 60_000),
        end: Time::from_millis((minute + 1) * 60_000),
    }
}

fn disjoint(measurements: impl IntoIterator<Item = Measurement>) -> Vec<Sample> {
    (0..)
        .zip(measurements)
        .map(|(minute, measurement)| Sample { window: window(minute), measurement })
        .collect()
}

/// Cumulative buckets, `+Inf` last, from the requests between one edge and the next.
fn cumulate(edges: &[Latency], between: &[u64]) -> Vec<Bucket> {
    let les = edges.iter().copied().map(Some).chain([None]);
    let mut count = 0;
    les.zip(between)
        .map(|(le, requests)| {
            count += requests;
            Bucket { le, count }
        })
        .collect()
}

fn whole_ppm(range: std::ops::Range<u32>) -> impl Strategy<Value = Share> {
    range.prop_map(Share::from_ppm)
}

fn ratio_window() -> impl Strategy<Value = Parted> {
    // An absent part, a part without bad requests (which has no series of them), or both counts.
    let part = (0..4_u64, 0..200_u64).prop_map(|(bad, good)| match (bad, good) {
        (0, 0) => (None, None),
        (0, _) => (None, Some(good)),
        (_, _) => (Some(bad), Some(bad + good)),
    });
    vec(part, 1..4).prop_map(|parts| {
        let sum = |counts: Vec<Option<u64>>| counts.into_iter().flatten().reduce(|a, b| a + b);
        let bad = sum(parts.iter().map(|(bad, _)| *bad).collect());
        let total = sum(parts.iter().map(|(_, total)| *total).collect());
        let parts = parts.into_iter().map(|(bad, total)| Measurement::Ratio { bad, total });
        Parted { whole: Measurement::Ratio { bad, total }, parts: parts.collect() }
    })
}

fn edges() -> impl Strategy<Value = Vec<Latency>> {
    btree_set(1..8_u64, 0..5).prop_map(|set| set.into_iter().map(Latency::from_millis).collect())
}

fn histogram_window() -> impl Strategy<Value = Parted> {
    let part = |edges: usize| proptest::option::weighted(0.9, vec(0..50_u64, edges + 1));
    edges().prop_flat_map(move |edges| (vec(part(edges.len()), 1..4), Just(edges))).prop_map(
        |(parts, edges)| {
            let histogram = |between: Option<&Vec<u64>>| Measurement::Histogram {
                buckets: between.map(|between| cumulate(&edges, between)),
            };
            let sum = parts
                .iter()
                .flatten()
                .cloned()
                .reduce(|a, b| a.iter().zip(&b).map(|(a, b)| a + b).collect());
            Parted {
                whole: histogram(sum.as_ref()),
                parts: parts.iter().map(|part| histogram(part.as_ref())).collect(),
            }
        },
    )
}

fn gauge_window() -> impl Strategy<Value = Parted> {
    let part = proptest::option::weighted(0.9, vec(whole_ppm(0..1_200_000), 0..3));
    vec(part, 1..4).prop_map(|parts| Parted {
        whole: Measurement::Gauge {
            levels: Some(parts.iter().flatten().flatten().copied().collect()),
        },
        parts: parts.into_iter().map(|levels| Measurement::Gauge { levels }).collect(),
    })
}

fn case(
    limit: impl Strategy<Value = Limit>,
    window: impl Strategy<Value = Parted>,
) -> impl Strategy<Value = Case> {
    (limit, 0..4_u32, 0..200_u64, vec(window, 0..8)).prop_map(
        |(limit, consecutive, min_requests, windows)| Case {
            limit,
            consecutive,
            min_requests,
            windows,
        },
    )
}

fn ratio_case() -> impl Strategy<Value = Case> {
    case(whole_ppm(0..30_000).prop_map(|max| Limit::Ratio { max }), ratio_window())
}

fn latency_case() -> impl Strategy<Value = Case> {
    let quantile = (1..1_000_000_u32)
        .prop_map(|ppm| Quantile::from_ppm(ppm).expect("a quantile of a test is between 0 and 1"));
    // Half milliseconds put the limit on an edge, between two, below the first or beyond the last.
    let max = (1..18_u64).prop_map(|halves| Latency::from_micros(halves * 500));
    let limit = (quantile, max).prop_map(|(q, max)| Limit::Quantile { q, max });
    case(limit, histogram_window())
}

fn gauge_case() -> impl Strategy<Value = Case> {
    case(whole_ppm(0..1_200_000).prop_map(|max| Limit::Gauge { max }), gauge_window())
}

fn any_case() -> impl Strategy<Value = Case> {
    prop_oneof![ratio_case(), latency_case(), gauge_case()]
}

/// Windows as bad, good, insufficient or missing, by a limit of 1 % and a minimum of 100 requests.
fn of_kind(kind: WindowVerdict) -> Measurement {
    let (bad, total) = match kind {
        WindowVerdict::Bad => (Some(2), Some(100)),
        WindowVerdict::Good => (Some(1), Some(100)),
        WindowVerdict::Insufficient => (Some(99), Some(99)),
        WindowVerdict::Missing => (None, None),
    };
    Measurement::Ratio { bad, total }
}

fn kinds_case(consecutive: u32) -> Case {
    let limit = Limit::Ratio { max: Share::from_ppm(10_000) };
    Case { limit, consecutive, min_requests: 100, windows: vec![] }
}

fn counted() -> impl Strategy<Value = WindowVerdict> {
    prop_oneof![Just(WindowVerdict::Bad), Just(WindowVerdict::Good)]
}

fn uncounted() -> impl Strategy<Value = WindowVerdict> {
    prop_oneof![Just(WindowVerdict::Insufficient), Just(WindowVerdict::Missing)]
}

fn any_kind() -> impl Strategy<Value = WindowVerdict> {
    prop_oneof![3 => counted(), 1 => uncounted()]
}

/// The length of the run of `kind` at the end of the windows that count.
fn trailing(kinds: &[WindowVerdict], kind: WindowVerdict) -> usize {
    kinds
        .iter()
        .rev()
        .filter(|seen| matches!(seen, WindowVerdict::Bad | WindowVerdict::Good))
        .take_while(|seen| **seen == kind)
        .count()
}

/// Multiplies every count.
fn times(measurement: &Measurement, factor: u64) -> Measurement {
    match measurement {
        Measurement::Ratio { bad, total } => Measurement::Ratio {
            bad: bad.map(|count| count * factor),
            total: total.map(|count| count * factor),
        },
        Measurement::Histogram { buckets } => Measurement::Histogram {
            buckets: buckets.as_ref().map(|buckets| {
                buckets
                    .iter()
                    .map(|bucket| Bucket { le: bucket.le, count: bucket.count * factor })
                    .collect()
            }),
        },
        Measurement::Gauge { .. } => measurement.clone(),
    }
}

/// Changes the latency of every edge.
fn with_edges(measurement: &Measurement, change: impl Fn(Latency) -> Latency) -> Measurement {
    match measurement {
        Measurement::Histogram { buckets: Some(buckets) } => Measurement::Histogram {
            buckets: Some(
                buckets
                    .iter()
                    .map(|bucket| Bucket { le: bucket.le.map(&change), count: bucket.count })
                    .collect(),
            ),
        },
        Measurement::Histogram { .. } | Measurement::Ratio { .. } | Measurement::Gauge { .. } => {
            measurement.clone()
        }
    }
}

fn scaled(latency: Latency, factor: u64) -> Latency {
    Latency::from_micros(latency.as_micros() * factor)
}

/// Milliseconds as Prometheus writes them in a bucket's label, in seconds.
fn seconds_label(latency: Latency) -> String {
    format!("{}.{:06}", latency.as_micros() / 1_000_000, latency.as_micros() % 1_000_000)
}

/// Turns up to `count` good requests into bad ones: an error, a slow answer, or a fuller replica.
fn worsened(measurement: &Measurement, count: u64) -> Measurement {
    match measurement {
        Measurement::Ratio { bad, total: Some(total) } => Measurement::Ratio {
            bad: Some((bad.unwrap_or(0) + count).min(*total)),
            total: Some(*total),
        },
        Measurement::Histogram { buckets: Some(buckets) } => Measurement::Histogram {
            buckets: Some(
                buckets
                    .iter()
                    .map(|bucket| Bucket {
                        le: bucket.le,
                        count: if bucket.le.is_some() {
                            bucket.count.saturating_sub(count)
                        } else {
                            bucket.count
                        },
                    })
                    .collect(),
            ),
        },
        Measurement::Gauge { levels: Some(levels) } => Measurement::Gauge {
            levels: Some(
                levels
                    .iter()
                    .map(|level| {
                        let more = u32::try_from(count * 10_000).unwrap_or(u32::MAX);
                        Share::from_ppm(level.as_ppm().saturating_add(more))
                    })
                    .collect(),
            ),
        },
        Measurement::Ratio { .. } | Measurement::Histogram { .. } | Measurement::Gauge { .. } => {
            measurement.clone()
        }
    }
}

proptest! {
    #[test]
    fn replicas_add_up_to_the_whole(case in any_case()) {
        let merged = case.windows.iter().map(|window| {
            merge(&window.parts).expect("a window has at least one part of one kind")
        });
        prop_assert_eq!(case.judge(merged), case.judge(case.wholes()));
    }

    #[test]
    fn the_order_of_replicas_does_not_matter(
        (case, shuffled) in any_case().prop_flat_map(|case| {
            let shuffled: Vec<_> = case
                .windows
                .iter()
                .map(|window| Just(window.parts.clone()).prop_shuffle())
                .collect();
            (Just(case), shuffled)
        }),
    ) {
        let merged = |parts: &Vec<Measurement>| {
            merge(parts).expect("a window has at least one part of one kind")
        };
        let ordered = case.windows.iter().map(|window| merged(&window.parts));
        prop_assert_eq!(case.judge(shuffled.iter().map(merged)), case.judge(ordered));
    }

    #[test]
    fn the_order_of_buckets_does_not_matter(
        (case, buckets) in latency_case().prop_flat_map(|case| {
            let shuffled: Vec<_> = case
                .windows
                .iter()
                .map(|window| match &window.whole {
                    Measurement::Histogram { buckets: Some(buckets) } => {
                        Just(buckets.clone()).prop_shuffle().prop_map(Some).boxed()
                    }
                    Measurement::Histogram { buckets: None }
                    | Measurement::Ratio { .. }
                    | Measurement::Gauge { .. } => Just(None).boxed(),
                })
                .collect();
            (Just(case), shuffled)
        }),
    ) {
        let shuffled = buckets.into_iter().map(|buckets| Measurement::Histogram { buckets });
        prop_assert_eq!(case.judge(shuffled), case.judge(case.wholes()));
    }

    #[test]
    fn the_unit_of_latency_does_not_matter(case in latency_case(), factor in 1..1_000_000_u64) {
        let before = case.judge(case.wholes());
        let mut larger = case.clone();
        if let Limit::Quantile { q, max } = case.limit {
            larger.limit = Limit::Quantile { q, max: scaled(max, factor) };
        }
        let after = larger
            .judge(case.wholes().map(|whole| with_edges(&whole, |edge| scaled(edge, factor))));
        let observed = match before.observed {
            Some(Observed::AtMost(edge)) => {
                Some(Observed::AtMost(edge.map(|edge| scaled(edge, factor))))
            }
            other => other,
        };
        prop_assert_eq!(after, Judgement { observed, ..before });
    }

    #[test]
    fn edges_in_seconds_and_in_milliseconds_are_the_same(case in latency_case()) {
        let in_seconds = case.wholes().map(|whole| {
            with_edges(&whole, |edge| {
                Latency::from_secs_str(&seconds_label(edge))
                    .expect("a label of a test is a number")
                    .expect("a label of a test is finite")
            })
        });
        prop_assert_eq!(case.judge(in_seconds), case.judge(case.wholes()));
    }

    #[test]
    fn more_traffic_of_the_same_kind_does_not_matter(
        mut case in any_case(),
        factor in 1..1_000_000_u64,
    ) {
        case.min_requests = 0;
        let before = case.judge(case.wholes());
        let after = case.judge(case.wholes().map(|whole| times(&whole, factor)));
        let requests = before.requests * factor;
        prop_assert_eq!(after, Judgement { requests, ..before });
    }

    #[test]
    fn turning_requests_bad_never_ends_a_fail(
        case in any_case(),
        counts in vec(0..20_u64, 8),
    ) {
        let before = case.judge(case.wholes());
        let after =
            case.judge(case.wholes().zip(&counts).map(|(whole, count)| worsened(&whole, *count)));
        prop_assert!(before.verdict != Verdict::Fail || after.verdict == Verdict::Fail);
        prop_assert!(before.verdict == Verdict::Pass || after.verdict != Verdict::Pass);
        prop_assert!(after.bad_run >= before.bad_run);
    }

    #[test]
    fn adding_bad_requests_never_ends_a_fail(
        mut case in ratio_case(),
        counts in vec(0..20_u64, 8),
    ) {
        // With a minimum, requests of any kind can make a window count that did not count before.
        case.min_requests = 0;
        let worse = case.wholes().zip(&counts).map(|(whole, more)| {
            let added = Measurement::Ratio { bad: Some(*more), total: Some(*more) };
            merge([&whole, &added]).expect("both are ratios")
        });
        let (before, after) = (case.judge(case.wholes()), case.judge(worse));
        prop_assert!(before.verdict != Verdict::Fail || after.verdict == Verdict::Fail);
        prop_assert!(before.verdict == Verdict::Pass || after.verdict != Verdict::Pass);
    }

    #[test]
    fn windows_that_do_not_count_change_no_run(
        kinds in vec(counted(), 0..8),
        inserted in vec((any::<prop::sample::Index>(), uncounted(), 0..10_u64, 0..4_u64), 0..8),
        consecutive in 1..4_u32,
    ) {
        let case = kinds_case(consecutive);
        let without = disjoint(kinds.into_iter().map(of_kind));
        let mut with = without.clone();
        for (at, kind, start, minutes) in inserted {
            // Their place in time does not matter either: they may overlap anything.
            let (start, end) = (window(start).start, window(start + minutes).start);
            let sample = Sample { window: Window { start, end }, measurement: of_kind(kind) };
            with.insert(at.index(with.len() + 1), sample);
        }
        let (before, after) = (case.judge_samples(&without), case.judge_samples(&with));
        prop_assert_eq!((after.bad_run, after.good_run), (before.bad_run, before.good_run));
        prop_assert_eq!((after.judged, after.last_judged), (before.judged, before.last_judged));
        prop_assert_eq!(after.verdict == Verdict::Fail, before.verdict == Verdict::Fail);
        prop_assert!(before.verdict == Verdict::Pass || after.verdict != Verdict::Pass);
        if before.judged > 0 {
            prop_assert_eq!(after.observed, before.observed);
        }
    }

    #[test]
    fn exactly_k_windows_in_a_row_decide(
        kinds in vec(any_kind(), 0..12),
        consecutive in 1..5_u32,
    ) {
        let judgement = kinds_case(consecutive).judge(kinds.iter().copied().map(of_kind));
        let bad_run = trailing(&kinds, WindowVerdict::Bad);
        let good_run = trailing(&kinds, WindowVerdict::Good);
        let k = usize::try_from(consecutive)?;
        let expected = if kinds.iter().all(|kind| *kind == WindowVerdict::Missing) {
            Verdict::NoData
        } else if bad_run >= k {
            Verdict::Fail
        } else if good_run >= k && kinds.last() == Some(&WindowVerdict::Good) {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        };
        prop_assert_eq!(judgement.verdict, expected);
        prop_assert_eq!(usize::try_from(judgement.bad_run)?, bad_run);
        prop_assert_eq!(usize::try_from(judgement.good_run)?, good_run);
        prop_assert_eq!(usize::try_from(judgement.judged + judgement.skipped)?, kinds.len());
    }

    #[test]
    fn fewer_than_k_bad_windows_never_fail(
        consecutive in 1..8_u32,
        inserted in vec(uncounted(), 0..8),
    ) {
        let case = kinds_case(consecutive);
        let bad = vec![WindowVerdict::Bad; usize::try_from(consecutive)?];
        let short = bad.iter().skip(1).chain(&inserted).copied().map(of_kind);
        prop_assert_ne!(case.judge(short).verdict, Verdict::Fail);
        let enough = bad.iter().chain(&inserted).copied().map(of_kind);
        prop_assert_eq!(case.judge(enough).verdict, Verdict::Fail);
    }

    #[test]
    fn giving_every_window_twice_changes_no_verdict(case in any_case()) {
        let once = disjoint(case.wholes());
        let twice: Vec<_> =
            once.iter().flat_map(|sample| [sample.clone(), sample.clone()]).collect();
        let (before, after) = (case.judge_samples(&once), case.judge_samples(&twice));
        let skipped = after.skipped;
        prop_assert_eq!(after, Judgement { skipped, ..before });
    }

    #[test]
    fn windows_that_counted_share_no_instant(
        spans in vec((0..20_u64, 0..4_u64), 0..12),
        consecutive in 1..4_u32,
    ) {
        let samples: Vec<_> = spans
            .iter()
            .map(|(start, minutes)| Sample {
                window: Window { start: window(*start).start, end: window(start + minutes).start },
                measurement: of_kind(WindowVerdict::Bad),
            })
            .collect();
        let judgement = kinds_case(consecutive).judge_samples(&samples);
        // Greedy choice by the end finds the most disjoint windows that there can be.
        let mut by_end: Vec<Window> = samples.iter().map(|sample| sample.window).collect();
        by_end.retain(|window| window.start < window.end);
        by_end.sort_by_key(|window| window.end);
        let mut most = 0;
        let mut until = Time::from_millis(0);
        for window in by_end {
            if window.start >= until {
                most += 1;
                until = window.end;
            }
        }
        prop_assert!(judgement.bad_run <= most);
        prop_assert_eq!(judgement.verdict == Verdict::Fail, judgement.bad_run >= consecutive);
    }

    #[test]
    fn the_value_is_above_the_limit_exactly_when_bad(mut case in any_case()) {
        case.min_requests = 0;
        let judgement = case.judge(case.wholes());
        match (judgement.newest, judgement.of_limit_ppm) {
            (Some(WindowVerdict::Bad), of_limit) => prop_assert!(of_limit > Some(1_000_000)),
            (Some(WindowVerdict::Good), of_limit) => {
                prop_assert!(of_limit.is_some_and(|ppm| ppm <= 1_000_000));
            }
            _ => {}
        }
    }

    #[test]
    fn buckets_never_say_what_the_requests_deny(
        replicas in vec((edges(), vec(0..9_000_u64, 0..40)), 1..4),
        q in 1..1_000_000_u32,
        max in 1..9_000_u64,
    ) {
        let measured: Vec<Measurement> = replicas
            .iter()
            .map(|(edges, latencies)| {
                let les = edges.iter().copied().map(Some).chain([None]);
                let buckets = les.map(|le| {
                    let within = latencies
                        .iter()
                        .filter(|micros| le.is_none_or(|le| **micros <= le.as_micros()));
                    Bucket { le, count: within.count().try_into().unwrap_or(u64::MAX) }
                });
                Measurement::Histogram { buckets: Some(buckets.collect()) }
            })
            .collect();
        let latencies: Vec<u64> =
            replicas.iter().flat_map(|(_, latencies)| latencies).copied().collect();
        let within = u64::try_from(latencies.iter().filter(|micros| **micros <= max).count())?;
        let truly_good = within * 1_000_000 >= u64::from(q) * u64::try_from(latencies.len())?;

        let quantile = Quantile::from_ppm(q).expect("a quantile of a test is between 0 and 1");
        let limit = Limit::Quantile { q: quantile, max: Latency::from_micros(max) };
        let case = Case { limit, consecutive: 1, min_requests: 0, windows: vec![] };
        let judgement = case.judge(merge(&measured));
        match judgement.newest {
            Some(WindowVerdict::Good) => prop_assert!(truly_good),
            Some(WindowVerdict::Bad) => prop_assert!(!truly_good),
            Some(WindowVerdict::Insufficient | WindowVerdict::Missing) | None => {}
        }
        prop_assert_eq!(judgement.requests, u64::try_from(latencies.len())?);
    }

    #[test]
    fn no_count_is_too_large(
        bad: Option<u64>,
        total: Option<u64>,
        counts in vec((proptest::option::of(any::<u64>()), any::<u64>()), 0..4),
        ppm: u32,
        min_requests: u64,
    ) {
        let ratio = Measurement::Ratio { bad, total };
        let buckets = counts
            .iter()
            .map(|(le, count)| Bucket { le: le.map(Latency::from_micros), count: *count })
            .collect();
        let histogram = Measurement::Histogram { buckets: Some(buckets) };
        let q = Quantile::from_ppm(ppm % 999_999 + 1).expect("between 0 and 1");
        let max = Share::from_ppm(ppm);
        for limit in [
            Limit::Ratio { max },
            Limit::Quantile { q, max: Latency::from_micros(u64::from(ppm)) },
            Limit::Gauge { max },
        ] {
            let case = Case { limit, consecutive: u32::MAX, min_requests, windows: vec![] };
            let judgement = case.judge([ratio.clone(), histogram.clone()]);
            prop_assert!(matches!(judgement.verdict, Verdict::Inconclusive | Verdict::NoData));
        }
        prop_assert!(merge([&ratio, &ratio]).is_some());
        prop_assert!(merge([&histogram, &histogram]).is_some());
    }
}
