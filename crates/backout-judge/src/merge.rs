//! Adding up the measurements of several replicas.

use backout_core::judgement::{Bucket, Measurement};

use crate::cumulative::Cumulative;

/// Adds up what several replicas measured in the same window, in any order.
///
/// - Ratio: counts are summed. An absent count stays absent only when every replica lacks it,
///   because a replica that served no bad request has no series of bad requests.
/// - Histogram: counts are summed edge by edge, exactly when all replicas have the same edges. Of
///   different edges only the common ones are kept. A replica without `+Inf` counts its last
///   bucket as all its requests, and the result always ends with `+Inf`.
/// - Gauge: the levels of all replicas side by side, since the worst one decides.
///
/// Returns `None` when there is nothing to merge, or when the measurements are of different kinds
/// and so cannot belong to one signal.
#[must_use]
pub fn merge<'a>(measurements: impl IntoIterator<Item = &'a Measurement>) -> Option<Measurement> {
    let mut measurements = measurements.into_iter();
    let first = canonical(measurements.next()?);
    measurements.try_fold(first, add)
}

/// One replica's measurement in the form that a sum has, so that one replica and many read alike.
fn canonical(measurement: &Measurement) -> Measurement {
    match measurement {
        Measurement::Ratio { .. } | Measurement::Gauge { .. } => measurement.clone(),
        Measurement::Histogram { buckets } => Measurement::Histogram {
            buckets: ordered(buckets.as_deref()).map(Cumulative::into_buckets),
        },
    }
}

/// Adds one replica's measurement to a sum; `None` when they are of different kinds.
fn add(sum: Measurement, next: &Measurement) -> Option<Measurement> {
    match (sum, next) {
        (
            Measurement::Ratio { bad, total },
            Measurement::Ratio { bad: next_bad, total: next_total },
        ) => Some(Measurement::Ratio {
            bad: both(bad, *next_bad, u64::saturating_add),
            total: both(total, *next_total, u64::saturating_add),
        }),
        (Measurement::Histogram { buckets }, Measurement::Histogram { buckets: next }) => {
            let sum = both(ordered(buckets.as_deref()), ordered(next.as_deref()), |mut a, b| {
                a.add(&b);
                a
            });
            Some(Measurement::Histogram { buckets: sum.map(Cumulative::into_buckets) })
        }
        (Measurement::Gauge { levels }, Measurement::Gauge { levels: next }) => {
            let levels = both(levels, next.clone(), |a, b| [a, b].concat());
            Some(Measurement::Gauge { levels })
        }
        _ => None,
    }
}

/// The buckets in order; absent and empty are the same, as neither holds a series.
fn ordered(buckets: Option<&[Bucket]>) -> Option<Cumulative> {
    buckets.and_then(Cumulative::new)
}

/// Combines two values of which either may be absent; absent only when both are.
fn both<T>(a: Option<T>, b: Option<T>, combine: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(combine(a, b)),
        (some, None) | (None, some) => some,
    }
}
