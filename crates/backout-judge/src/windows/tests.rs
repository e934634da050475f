//! One example for each rule, so that a rule that changes names itself.

use backout_core::judgement::{
    Bucket, Judge, Judgement, Limit, Measurement, Observed, Question, Sample, Verdict, Window,
    WindowVerdict,
};
use backout_core::units::{Latency, Quantile, Share, Time};

use super::Windows;
use crate::merge;

/// At most 1 % of requests may be bad.
const ONE_PERCENT: Limit = Limit::Ratio { max: Share::from_ppm(10_000) };
/// A CPU may be used up to 80 %.
const LEVEL: Limit = Limit::Gauge { max: Share::from_ppm(800_000) };

fn p99(max_ms: u64) -> Limit {
    quantile(990_000, max_ms)
}

fn quantile(ppm: u32, max_ms: u64) -> Limit {
    let q = Quantile::from_ppm(ppm).expect("a quantile of a test is between 0 and 1");
    Limit::Quantile { q, max: Latency::from_millis(max_ms) }
}

fn ratio(bad: impl Into<Option<u64>>, total: impl Into<Option<u64>>) -> Measurement {
    Measurement::Ratio { bad: bad.into(), total: total.into() }
}

fn gauge(levels_ppm: &[u32]) -> Measurement {
    Measurement::Gauge { levels: Some(levels_ppm.iter().copied().map(Share::from_ppm).collect()) }
}

/// Buckets from pairs of an edge in milliseconds and a cumulative count; 0 is `+Inf`.
fn buckets(pairs: &[(u64, u64)]) -> Vec<Bucket> {
    pairs
        .iter()
        .map(|(le, count)| Bucket {
            le: (*le > 0).then(|| Latency::from_millis(*le)),
            count: *count,
        })
        .collect()
}

fn histogram(pairs: &[(u64, u64)]) -> Measurement {
    Measurement::Histogram { buckets: Some(buckets(pairs)) }
}

fn window(start_s: u64, end_s: u64) -> Window {
    Window { start: Time::from_millis(start_s * 1_000), end: Time::from_millis(end_s * 1_000) }
}

fn sample(start_s: u64, end_s: u64, measurement: Measurement) -> Sample {
    Sample { window: window(start_s, end_s), measurement }
}

fn judge(limit: Limit, consecutive: u32, min_requests: u64, samples: &[Sample]) -> Judgement {
    Windows.judge(&Question { limit, consecutive, min_requests, samples })
}

/// Judges a single window that counts from the first request.
fn one(limit: Limit, measurement: Measurement) -> Judgement {
    judge(limit, 1, 0, &[sample(0, 60, measurement)])
}

/// Judges windows of a minute each, written as letters: Bad, Good, Insufficient, Missing.
fn letters(consecutive: u32, text: &str) -> Judgement {
    let samples: Vec<Sample> = (0..)
        .zip(text.chars())
        .map(|(minute, letter)| {
            let measurement = match letter {
                'B' => ratio(2, 100),
                'G' => ratio(1, 100),
                'I' => ratio(99, 99),
                _ => ratio(None, None),
            };
            sample(minute * 60, minute * 60 + 60, measurement)
        })
        .collect();
    judge(ONE_PERCENT, consecutive, 100, &samples)
}

#[test]
fn is_named_as_a_policy_writes_it() {
    assert_eq!(Windows.name(), "windows");
}

#[test]
fn runs_decide() {
    use Verdict::{Fail, Inconclusive, NoData, Pass};
    for (k, text, verdict, bad_run, good_run) in [
        (2, "", NoData, 0, 0),
        (2, "MM", NoData, 0, 0),
        (2, "I", Inconclusive, 0, 0),
        (2, "MIM", Inconclusive, 0, 0),
        (2, "B", Inconclusive, 1, 0),
        (2, "BB", Fail, 2, 0),
        (2, "BBB", Fail, 3, 0),
        (3, "BB", Inconclusive, 2, 0),
        (1, "B", Fail, 1, 0),
        (2, "G", Inconclusive, 0, 1),
        (2, "GG", Pass, 0, 2),
        (2, "BGB", Inconclusive, 1, 0),
        (2, "BGBG", Inconclusive, 0, 1),
        (2, "GGB", Inconclusive, 1, 0),
        (2, "GGBB", Fail, 2, 0),
        // The run counts as it stands now: an old run that a good window ended is over.
        (2, "BBG", Inconclusive, 0, 1),
        (2, "BBGG", Pass, 0, 2),
        // What does not count ends no run and lengthens none.
        (2, "BIB", Fail, 2, 0),
        (2, "BMB", Fail, 2, 0),
        (2, "BBM", Fail, 2, 0),
        (2, "BBI", Fail, 2, 0),
        (2, "GIMG", Pass, 0, 2),
        // Unknown is never a pass: the newest window must be good itself.
        (2, "GGM", Inconclusive, 0, 2),
        (2, "GGI", Inconclusive, 0, 2),
        (2, "GGIG", Pass, 0, 3),
        // No windows in a row would decide without evidence, so 0 is read as 1.
        (0, "", NoData, 0, 0),
        (0, "I", Inconclusive, 0, 0),
        (0, "G", Pass, 0, 1),
        (0, "B", Fail, 1, 0),
    ] {
        let judgement = letters(k, text);
        let found = (judgement.verdict, judgement.bad_run, judgement.good_run);
        assert_eq!(found, (verdict, bad_run, good_run), "k = {k}, windows {text:?}");
    }
}

#[test]
fn numbers_explain_the_verdict() {
    let judgement = letters(2, "GMBIB");
    assert_eq!(
        judgement,
        Judgement {
            verdict: Verdict::Fail,
            observed: Some(Observed::Share(Share::from_ppm(20_000))),
            of_limit_ppm: Some(2_000_000),
            requests: 100,
            bad_run: 2,
            good_run: 0,
            judged: 3,
            skipped: 2,
            last_judged: Some(Time::from_millis(300_000)),
            newest: Some(WindowVerdict::Bad),
        }
    );
}

#[test]
fn no_samples_say_nothing() {
    assert_eq!(
        letters(2, ""),
        Judgement {
            verdict: Verdict::NoData,
            observed: None,
            of_limit_ppm: None,
            requests: 0,
            bad_run: 0,
            good_run: 0,
            judged: 0,
            skipped: 0,
            last_judged: None,
            newest: None,
        }
    );
}

#[test]
fn a_value_that_counted_is_shown_before_one_that_did_not() {
    let after_a_good_one = letters(2, "GI");
    assert_eq!(after_a_good_one.observed, Some(Observed::Share(Share::from_ppm(10_000))));
    assert_eq!(after_a_good_one.of_limit_ppm, Some(1_000_000));
    assert_eq!(after_a_good_one.requests, 99, "the requests are the newest window's");
    assert_eq!(after_a_good_one.newest, Some(WindowVerdict::Insufficient));

    let alone = letters(2, "IM");
    assert_eq!(alone.observed, Some(Observed::Share(Share::WHOLE)));
    assert_eq!(alone.of_limit_ppm, Some(100_000_000));
    assert_eq!((alone.requests, alone.last_judged), (0, None));
}

#[test]
fn overlapping_windows_count_once() {
    let overlapping = [
        sample(0, 60, ratio(2, 100)),
        sample(30, 90, ratio(2, 100)),
        sample(59, 119, ratio(2, 100)),
    ];
    let judgement = judge(ONE_PERCENT, 2, 100, &overlapping);
    assert_eq!((judgement.verdict, judgement.bad_run), (Verdict::Inconclusive, 1));
    assert_eq!((judgement.judged, judgement.skipped), (1, 2));
    assert_eq!(judgement.newest, Some(WindowVerdict::Insufficient));
    assert_eq!(judgement.last_judged, Some(Time::from_millis(60_000)));

    let touching = [sample(0, 60, ratio(2, 100)), sample(60, 120, ratio(2, 100))];
    assert_eq!(judge(ONE_PERCENT, 2, 100, &touching).verdict, Verdict::Fail);
}

#[test]
fn overlap_is_with_windows_that_counted_only() {
    let samples = [sample(0, 60, ratio(None, None)), sample(30, 90, ratio(2, 100))];
    let judgement = judge(ONE_PERCENT, 1, 100, &samples);
    assert_eq!((judgement.verdict, judgement.judged), (Verdict::Fail, 1));
}

#[test]
fn an_overlapping_window_without_series_is_still_missing() {
    let samples = [sample(0, 60, ratio(0, 100)), sample(30, 90, ratio(None, None))];
    assert_eq!(judge(ONE_PERCENT, 1, 100, &samples).newest, Some(WindowVerdict::Missing));
}

#[test]
fn a_window_given_late_or_twice_does_not_count_again() {
    let late = [
        sample(60, 120, ratio(0, 100)),
        sample(120, 180, ratio(0, 100)),
        sample(0, 60, ratio(2, 100)),
        sample(120, 180, ratio(0, 100)),
    ];
    let judgement = judge(ONE_PERCENT, 2, 100, &late);
    assert_eq!((judgement.good_run, judgement.skipped), (2, 2));
    assert_eq!(judgement.newest, Some(WindowVerdict::Good), "an older window hides no newer one");
    assert_eq!(judgement.verdict, Verdict::Pass);
}

#[test]
fn a_window_asked_for_again_can_be_answered_at_last() {
    let samples = [sample(0, 60, ratio(None, None)), sample(0, 60, ratio(0, 100))];
    let judgement = judge(ONE_PERCENT, 1, 100, &samples);
    assert_eq!(judgement.newest, Some(WindowVerdict::Good));
    assert_eq!(judgement.verdict, Verdict::Pass);
}

#[test]
fn a_window_without_length_does_not_count() {
    for (start, end) in [(60, 60), (120, 60)] {
        let judgement = judge(ONE_PERCENT, 1, 0, &[sample(start, end, ratio(100, 100))]);
        assert_eq!((judgement.verdict, judgement.judged), (Verdict::Inconclusive, 0));
    }
}

#[test]
fn ratio_is_bad_only_strictly_above_the_limit() {
    for (bad, total, verdict, of_limit_ppm) in [
        (0, 100, WindowVerdict::Good, 0),
        (1, 100, WindowVerdict::Good, 1_000_000),
        (2, 100, WindowVerdict::Bad, 2_000_000),
        // A whole division would call this exactly the limit.
        (10_000_001, 1_000_000_000, WindowVerdict::Bad, 1_000_001),
        (u64::MAX, u64::MAX, WindowVerdict::Bad, 100_000_000),
    ] {
        let judgement = one(ONE_PERCENT, ratio(bad, total));
        assert_eq!(judgement.newest, Some(verdict), "{bad} of {total}");
        assert_eq!(judgement.of_limit_ppm, Some(of_limit_ppm), "{bad} of {total}");
    }
}

#[test]
fn absent_series_of_a_ratio() {
    let no_bad_one = one(ONE_PERCENT, ratio(None, 100));
    assert_eq!(no_bad_one.newest, Some(WindowVerdict::Good));
    assert_eq!(no_bad_one.observed, Some(Observed::Share(Share::ZERO)));
    for measurement in [ratio(None, None), ratio(5, None)] {
        let judgement = one(ONE_PERCENT, measurement);
        assert_eq!(judgement.newest, Some(WindowVerdict::Missing));
        assert_eq!((judgement.verdict, judgement.requests), (Verdict::NoData, 0));
        assert_eq!((judgement.observed, judgement.of_limit_ppm), (None, None));
    }
}

#[test]
fn more_bad_requests_than_requests_are_still_bad() {
    let judgement = one(ONE_PERCENT, ratio(103, 100));
    assert_eq!(judgement.newest, Some(WindowVerdict::Bad));
    assert_eq!(judgement.observed, Some(Observed::Share(Share::WHOLE)));
    assert_eq!(judgement.of_limit_ppm, Some(103_000_000));
}

#[test]
fn requests_below_the_minimum_do_not_count() {
    for (total, min_requests, newest) in [
        (99, 100, WindowVerdict::Insufficient),
        (100, 100, WindowVerdict::Bad),
        (1, 0, WindowVerdict::Bad),
        (1, 1, WindowVerdict::Bad),
        (0, 0, WindowVerdict::Insufficient),
        (0, 1, WindowVerdict::Insufficient),
    ] {
        let samples = [sample(0, 60, ratio(total, total))];
        let judgement = judge(ONE_PERCENT, 1, min_requests, &samples);
        assert_eq!(judgement.newest, Some(newest), "{total} requests, minimum {min_requests}");
        assert_eq!(judgement.requests, total);

        let samples = [sample(0, 60, histogram(&[(400, 0), (0, total)]))];
        let judgement = judge(p99(400), 1, min_requests, &samples);
        assert_eq!(judgement.newest, Some(newest), "{total} requests, minimum {min_requests}");
        assert_eq!(judgement.requests, total);
    }
}

#[test]
fn no_requests_have_no_value() {
    for (limit, measurement) in [
        (ONE_PERCENT, ratio(0, 0)),
        (ONE_PERCENT, ratio(3, 0)),
        (p99(400), histogram(&[(400, 0), (0, 0)])),
    ] {
        let judgement = one(limit, measurement);
        assert_eq!(judgement.verdict, Verdict::Inconclusive, "a series is there, so it is data");
        assert_eq!((judgement.observed, judgement.of_limit_ppm), (None, None));
    }
}

#[test]
fn a_limit_of_zero_permits_nothing() {
    let none = Limit::Ratio { max: Share::ZERO };
    let clean = one(none, ratio(0, 100));
    assert_eq!((clean.verdict, clean.of_limit_ppm), (Verdict::Pass, Some(0)));
    let not_clean = one(none, ratio(1, 1_000_000_000));
    assert_eq!((not_clean.verdict, not_clean.of_limit_ppm), (Verdict::Fail, Some(u64::MAX)));

    let idle = Limit::Gauge { max: Share::ZERO };
    assert_eq!(one(idle, gauge(&[0])).of_limit_ppm, Some(0));
    assert_eq!(one(idle, gauge(&[1])).of_limit_ppm, Some(u64::MAX));
}

#[test]
fn an_edge_on_the_limit_is_exact() {
    for (within, verdict, of_limit_ppm, observed) in [
        (990, WindowVerdict::Good, 1_000_000, Some(400)),
        (989, WindowVerdict::Bad, 1_100_000, Some(800)),
        (1_000, WindowVerdict::Good, 0, Some(400)),
        (0, WindowVerdict::Bad, 100_000_000, Some(800)),
    ] {
        let measured = histogram(&[(200, 0), (400, within), (800, 1_000), (0, 1_000)]);
        let judgement = one(p99(400), measured);
        assert_eq!(judgement.newest, Some(verdict), "{within} within");
        assert_eq!(judgement.of_limit_ppm, Some(of_limit_ppm), "{within} within");
        assert_eq!(judgement.observed, Some(Observed::AtMost(observed.map(Latency::from_millis))));
        assert_eq!(judgement.requests, 1_000);
    }
}

#[test]
fn edges_around_the_limit_bracket_it() {
    for (lower, upper, verdict, of_limit_ppm) in [
        (990, 995, WindowVerdict::Good, 500_000),
        (989, 990, WindowVerdict::Insufficient, 1_000_000),
        (0, 1_000, WindowVerdict::Insufficient, 0),
        (900, 989, WindowVerdict::Bad, 1_100_000),
    ] {
        let measured = histogram(&[(300, lower), (500, upper), (0, 1_000)]);
        let judgement = one(p99(400), measured);
        assert_eq!(judgement.newest, Some(verdict), "{lower} to {upper} within");
        assert_eq!(judgement.of_limit_ppm, Some(of_limit_ppm), "{lower} to {upper} within");
    }
}

#[test]
fn a_limit_outside_the_edges_is_told_when_it_can_be() {
    // Below the first edge nothing is certain but that some requests are above it.
    assert_eq!(
        one(p99(100), histogram(&[(200, 980), (0, 1_000)])).newest,
        Some(WindowVerdict::Bad)
    );
    assert_eq!(
        one(p99(100), histogram(&[(200, 990), (0, 1_000)])).newest,
        Some(WindowVerdict::Insufficient)
    );
    // Beyond the last edge nothing can be told to be over the limit.
    assert_eq!(
        one(p99(400), histogram(&[(200, 990), (0, 1_000)])).newest,
        Some(WindowVerdict::Good)
    );
    let beyond = one(p99(400), histogram(&[(200, 0), (0, 1_000)]));
    assert_eq!(beyond.newest, Some(WindowVerdict::Insufficient));
    assert_eq!(beyond.observed, Some(Observed::AtMost(None)));
    assert_eq!(beyond.verdict, Verdict::Inconclusive);
}

#[test]
fn a_median_is_a_quantile_too() {
    let measured = histogram(&[(100, 499), (200, 500), (0, 1_000)]);
    assert_eq!(one(quantile(500_000, 200), measured.clone()).verdict, Verdict::Pass);
    let over = one(quantile(500_000, 100), measured);
    assert_eq!((over.verdict, over.of_limit_ppm), (Verdict::Fail, Some(1_002_000)));
}

#[test]
fn without_inf_the_last_bucket_is_all_requests() {
    let judgement = one(p99(400), histogram(&[(400, 980), (800, 1_000)]));
    assert_eq!((judgement.newest, judgement.requests), (Some(WindowVerdict::Bad), 1_000));
}

#[test]
fn buckets_are_put_in_order() {
    let ordered = one(p99(400), histogram(&[(200, 10), (400, 989), (800, 995), (0, 1_000)]));
    let shuffled = one(p99(400), histogram(&[(0, 1_000), (800, 995), (200, 10), (400, 989)]));
    assert_eq!(shuffled, ordered);
    let doubled = histogram(&[(200, 4), (200, 6), (400, 989), (800, 995), (0, 400), (0, 600)]);
    assert_eq!(one(p99(400), doubled), ordered, "equal edges are series of different replicas");
}

#[test]
fn counts_that_fall_are_raised() {
    let skewed = one(p99(400), histogram(&[(200, 995), (400, 980), (0, 1_000)]));
    assert_eq!(skewed.newest, Some(WindowVerdict::Good));
    let short = one(p99(400), histogram(&[(200, 500), (400, 1_000), (0, 900)]));
    assert_eq!((short.newest, short.requests), (Some(WindowVerdict::Good), 1_000));
}

#[test]
fn absent_and_empty_histograms_are_missing() {
    for buckets in [None, Some(vec![])] {
        let judgement = one(p99(400), Measurement::Histogram { buckets });
        assert_eq!(judgement.newest, Some(WindowVerdict::Missing));
        assert_eq!(judgement.verdict, Verdict::NoData);
    }
}

#[test]
fn the_worst_replica_decides_a_gauge() {
    let over = one(LEVEL, gauge(&[100_000, 800_001, 300_000]));
    assert_eq!((over.verdict, over.of_limit_ppm), (Verdict::Fail, Some(1_000_002)));
    assert_eq!(over.observed, Some(Observed::Share(Share::from_ppm(800_001))));
    let within = one(LEVEL, gauge(&[800_000, 0]));
    assert_eq!((within.verdict, within.of_limit_ppm), (Verdict::Pass, Some(1_000_000)));
    assert_eq!(one(LEVEL, gauge(&[1_500_000])).verdict, Verdict::Fail, "a level can exceed 100 %");
}

#[test]
fn a_gauge_has_no_requests_and_needs_none() {
    let judgement = judge(LEVEL, 1, u64::MAX, &[sample(0, 60, gauge(&[900_000]))]);
    assert_eq!((judgement.verdict, judgement.requests), (Verdict::Fail, 0));
}

#[test]
fn absent_and_empty_gauges_are_missing() {
    for levels in [None, Some(vec![])] {
        let judgement = one(LEVEL, Measurement::Gauge { levels });
        assert_eq!(judgement.newest, Some(WindowVerdict::Missing));
    }
}

#[test]
fn a_measurement_of_another_kind_is_missing() {
    for (limit, measurement) in [
        (ONE_PERCENT, gauge(&[0])),
        (p99(400), ratio(0, 1_000)),
        (LEVEL, histogram(&[(400, 1_000), (0, 1_000)])),
    ] {
        assert_eq!(one(limit, measurement).newest, Some(WindowVerdict::Missing));
    }
}

#[test]
fn nothing_and_mixed_kinds_do_not_merge() {
    assert_eq!(merge([]), None);
    assert_eq!(merge([&ratio(1, 2), &gauge(&[1])]), None);
    assert_eq!(merge([&gauge(&[1]), &histogram(&[(0, 1)])]), None);
}

#[test]
fn ratios_are_summed_and_absent_only_together() {
    let merged = merge([&ratio(None, 100), &ratio(3, 50), &ratio(None, None)]);
    assert_eq!(merged, Some(ratio(3, 150)));
    assert_eq!(merge([&ratio(None, 1), &ratio(None, 2)]), Some(ratio(None, 3)));
    assert_eq!(merge([&ratio(None, None)]), Some(ratio(None, None)));
    assert_eq!(merge([&ratio(1, u64::MAX), &ratio(1, 1)]), Some(ratio(2, u64::MAX)));
}

#[test]
fn gauges_are_put_side_by_side() {
    let absent = Measurement::Gauge { levels: None };
    assert_eq!(merge([&gauge(&[1]), &absent, &gauge(&[3, 2])]), Some(gauge(&[1, 3, 2])));
    assert_eq!(merge([&absent, &absent]), Some(absent.clone()));
}

#[test]
fn identical_edges_are_summed_exactly() {
    let first = histogram(&[(100, 5), (200, 8), (0, 10)]);
    let second = histogram(&[(100, 1), (200, 2), (0, 4)]);
    let sum = histogram(&[(100, 6), (200, 10), (0, 14)]);
    assert_eq!(merge([&first, &second]), Some(sum.clone()));
    for buckets in [None, Some(vec![])] {
        let absent = Measurement::Histogram { buckets };
        assert_eq!(merge([&first, &absent, &second]), Some(sum.clone()));
    }
    let absent = Measurement::Histogram { buckets: None };
    assert_eq!(merge([&absent]), Some(absent.clone()));
}

#[test]
fn of_different_edges_the_common_ones_are_kept() {
    let first = histogram(&[(100, 5), (200, 8), (0, 10)]);
    let second = histogram(&[(100, 1), (300, 3), (0, 4)]);
    assert_eq!(merge([&first, &second]), Some(histogram(&[(100, 6), (0, 14)])));
    let third = histogram(&[(50, 7), (0, 7)]);
    assert_eq!(merge([&first, &third]), Some(histogram(&[(0, 17)])));
}

#[test]
fn a_last_edge_that_is_not_common_loses_no_request() {
    // Dropping the 500 ms edge must not make 100 ms the last bucket, and thereby all requests.
    let merged = merge([&histogram(&[(100, 5), (500, 10)]), &histogram(&[(100, 1), (400, 10)])]);
    assert_eq!(merged, Some(histogram(&[(100, 6), (0, 20)])));
}
