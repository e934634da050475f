//! What one measurement says about one limit.

use backout_core::judgement::{Bucket, Limit, Measurement, Observed, WindowVerdict};
use backout_core::units::{Latency, Quantile, Share};

use crate::cumulative::{Cumulative, reaches};

/// Parts per million in a whole.
pub(crate) const MILLION: u128 = 1_000_000;

/// What one window says, with the numbers that explain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// What the window says.
    pub(crate) verdict: WindowVerdict,
    /// What was measured; `None` when nothing could be.
    pub(crate) value: Option<Value>,
    /// Requests in the window; 0 for a gauge.
    pub(crate) requests: u64,
}

/// A measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// The value, for people to read.
    pub(crate) observed: Observed,
    /// The value in parts per million of the limit, rounded up: above 1,000,000 exactly when the
    /// value is above the limit, however close it is.
    pub(crate) of_limit_ppm: u64,
}

impl Reading {
    /// The reading when no series matched.
    const MISSING: Self = Self { verdict: WindowVerdict::Missing, value: None, requests: 0 };
}

/// Reads one measurement.
///
/// A measurement of another kind than the limit holds nothing that the limit can be compared with,
/// so it is missing. It must not be good, as unknown is never a pass.
pub(crate) fn read(limit: Limit, min_requests: u64, measurement: &Measurement) -> Reading {
    match (limit, measurement) {
        (Limit::Ratio { max }, Measurement::Ratio { bad, total: Some(total) }) => {
            // A series of bad requests is born with the first one, so an absent series beside a
            // present total is no bad request at all.
            read_ratio(max, min_requests, bad.unwrap_or(0), *total)
        }
        (Limit::Quantile { q, max }, Measurement::Histogram { buckets: Some(buckets) }) => {
            read_quantile(q, max, min_requests, buckets)
        }
        (Limit::Gauge { max }, Measurement::Gauge { levels: Some(levels) }) => {
            read_gauge(max, levels)
        }
        _ => Reading::MISSING,
    }
}

/// Bad requests over all requests; bad when strictly above `max`.
///
/// Numerator and denominator are scraped apart, so `bad` can exceed `total`. Such a window is
/// still compared as it is, but a person is shown 100 %.
fn read_ratio(max: Share, min_requests: u64, bad: u64, total: u64) -> Reading {
    let value = Share::of(bad.min(total), total).map(|share| Value {
        observed: Observed::Share(share),
        of_limit_ppm: of_limit(u128::from(bad) * MILLION, ppm(max) * u128::from(total)),
    });
    let over = u128::from(bad) * MILLION > ppm(max) * u128::from(total);
    Reading { verdict: counted(over, total, min_requests), value, requests: total }
}

/// A latency quantile from bucket counts; bad when it is certainly above `max`, good when it is
/// certainly not, and insufficient when the edges leave it open.
fn read_quantile(q: Quantile, max: Latency, min_requests: u64, buckets: &[Bucket]) -> Reading {
    let Some(histogram) = Cumulative::new(buckets) else {
        return Reading::MISSING;
    };
    let total = histogram.total();
    let (at_least, at_most) = histogram.at_or_below(max);
    let verdict = if reaches(at_least, q, total) {
        counted(false, total, min_requests)
    } else if reaches(at_most, q, total) {
        // `max` lies between two edges, and so does the quantile. Where in between, the counts do
        // not say, and a guess would be an interpolation.
        WindowVerdict::Insufficient
    } else {
        counted(true, total, min_requests)
    };
    let above = u128::from(total - at_most);
    let permitted = MILLION.saturating_sub(u128::from(q.as_ppm()));
    let value = (total > 0).then(|| Value {
        observed: Observed::AtMost(histogram.quantile(q)),
        of_limit_ppm: of_limit(above * MILLION, permitted * u128::from(total)),
    });
    Reading { verdict, value, requests: total }
}

/// The worst replica's level; bad when strictly above `max`. A gauge counts no requests, so no
/// minimum applies to it.
fn read_gauge(max: Share, levels: &[Share]) -> Reading {
    let Some(worst) = levels.iter().copied().max() else {
        return Reading::MISSING;
    };
    let verdict = if worst > max { WindowVerdict::Bad } else { WindowVerdict::Good };
    let of_limit_ppm = of_limit(ppm(worst), ppm(max));
    let value = Some(Value { observed: Observed::Share(worst), of_limit_ppm });
    Reading { verdict, value, requests: 0 }
}

/// The verdict of a window whose value is known, if it has requests enough to count. A window
/// without requests never counts, whatever the minimum: nothing over nothing is no share.
const fn counted(over: bool, requests: u64, min_requests: u64) -> WindowVerdict {
    if requests == 0 || requests < min_requests {
        WindowVerdict::Insufficient
    } else if over {
        WindowVerdict::Bad
    } else {
        WindowVerdict::Good
    }
}

/// `value / limit` in parts per million, rounded up. A limit of zero has no parts: nothing is 0 of
/// it, and anything else is [`u64::MAX`], which also stands for what does not fit.
fn of_limit(value: u128, limit: u128) -> u64 {
    if limit == 0 {
        return if value == 0 { 0 } else { u64::MAX };
    }
    u64::try_from(value.saturating_mul(MILLION).div_ceil(limit)).unwrap_or(u64::MAX)
}

/// A share in parts per million, wide enough to multiply by a count.
fn ppm(share: Share) -> u128 {
    u128::from(share.as_ppm())
}
