//! Cumulative bucket counts, put in order.
//!
//! Latency is judged on the counts themselves. Interpolating between edges, as
//! `histogram_quantile` does, reports latencies that never happened.

use backout_core::judgement::Bucket;
use backout_core::units::{Latency, Quantile};

use crate::reading::MILLION;

/// A histogram whose edges ascend and whose counts never fall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cumulative {
    /// Requests at or below each finite edge, ascending, each edge once.
    edges: Vec<(Latency, u64)>,
    /// All requests: the count of the `+Inf` bucket, or of the last bucket when there is none.
    total: u64,
}

impl Cumulative {
    /// Puts buckets in order; `None` when there are none at all, which is an absent series.
    ///
    /// Buckets with the same edge are added, because they are series of different replicas. A
    /// count that falls behind an earlier edge is raised to it: replicas are not scraped at the
    /// same instant, so a sum over them can be skewed although no replica's counts ever fall.
    pub(crate) fn new(buckets: &[Bucket]) -> Option<Self> {
        if buckets.is_empty() {
            return None;
        }
        let finite = |bucket: &Bucket| bucket.le.map(|edge| (edge, bucket.count));
        let mut edges: Vec<(Latency, u64)> = buckets.iter().filter_map(finite).collect();
        edges.sort_by_key(|(edge, _)| *edge);
        edges.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
        let infinite = buckets
            .iter()
            .filter(|bucket| bucket.le.is_none())
            .fold(0_u64, |sum, bucket| sum.saturating_add(bucket.count));
        let mut highest = 0;
        for (_, count) in &mut edges {
            highest = highest.max(*count);
            *count = highest;
        }
        Some(Self { edges, total: infinite.max(highest) })
    }

    /// All requests.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// Bounds on the requests at or below `latency`: the count at the nearest edge that is not
    /// above it, and at the nearest that is not below. They are equal when `latency` is an edge.
    pub(crate) fn at_or_below(&self, latency: Latency) -> (u64, u64) {
        let below = self.edges.partition_point(|(edge, _)| *edge <= latency);
        let above = self.edges.partition_point(|(edge, _)| *edge < latency);
        let count = |index: usize| self.edges.get(index).map(|(_, count)| *count);
        (below.checked_sub(1).and_then(count).unwrap_or(0), count(above).unwrap_or(self.total))
    }

    /// The smallest edge at or below which the quantile lies; `None` when only `+Inf` is.
    pub(crate) fn quantile(&self, q: Quantile) -> Option<Latency> {
        self.edges.iter().find(|(_, count)| reaches(*count, q, self.total)).map(|(edge, _)| *edge)
    }

    /// Adds the requests of another histogram, and drops the edges that only one of them has.
    ///
    /// A cumulative count at a common edge is exact whatever the other edges are. At any other
    /// edge one of the two counts is unknown, and an edge dropped says "cannot tell" where an
    /// edge kept would say something wrong.
    pub(crate) fn add(&mut self, other: &Self) {
        self.edges.retain_mut(|(edge, count)| {
            let theirs = other.edges.binary_search_by_key(edge, |(edge, _)| *edge);
            if let Ok(index) = theirs {
                *count = count.saturating_add(other.edges[index].1);
            }
            theirs.is_ok()
        });
        self.total = self.total.saturating_add(other.total);
    }

    /// The histogram as buckets: ascending edges, then `+Inf`.
    pub(crate) fn into_buckets(self) -> Vec<Bucket> {
        let finite = self.edges.into_iter().map(|(edge, count)| Bucket { le: Some(edge), count });
        finite.chain([Bucket { le: None, count: self.total }]).collect()
    }
}

/// Whether `count` of `total` requests is at least the share `q`.
pub(crate) fn reaches(count: u64, q: Quantile, total: u64) -> bool {
    u128::from(count) * MILLION >= u128::from(q.as_ppm()) * u128::from(total)
}
