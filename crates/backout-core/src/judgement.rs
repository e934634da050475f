//! Measurements of a signal, and what a judge says about them.
//!
//! The machine gathers one [`Sample`] per window, signal and arm, and hands all samples of a step
//! to a [`Judge`]. A judge is a pure function: it keeps no state, so that a restart or a replay
//! gives the same verdict.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::{Latency, Quantile, Share, Span, Time};

/// What is known after a check. Unknown is never a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Enough evidence, and it is within the limit.
    Pass,
    /// Enough evidence, and it is over the limit.
    Fail,
    /// There is data, but too little of it to say.
    Inconclusive,
    /// There is no data at all.
    NoData,
    /// The check was not made.
    NotEvaluated,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::NoData => "no data",
            Self::NotEvaluated => "not evaluated",
        })
    }
}

/// A span of time over which a signal is measured: `start` included, `end` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// First instant that belongs to the window.
    pub start: Time,
    /// First instant that does not.
    pub end: Time,
}

/// Requests of one histogram bucket. `count` is cumulative, as Prometheus exposes it: all
/// requests at or below `le`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Upper edge, inclusive; `None` is `+Inf`.
    pub le: Option<Latency>,
    /// Requests at or below the edge, within the window.
    pub count: u64,
}

/// What one query returned for one window. Absent series are `None`, never zero.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Measurement {
    /// Numerator and denominator, asked for separately.
    Ratio {
        /// Requests that count as bad; `None` when no series matched.
        bad: Option<u64>,
        /// All requests; `None` when no series matched.
        total: Option<u64>,
    },
    /// Cumulative bucket counts, ascending by edge; `None` when no series matched.
    Histogram {
        /// The buckets, summed over replicas.
        buckets: Option<Vec<Bucket>>,
    },
    /// One level per replica; `None` when no series matched.
    Gauge {
        /// The highest level that each replica reached within the window.
        levels: Option<Vec<Share>>,
    },
}

/// One window of one signal on one arm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// The window that was measured.
    pub window: Window,
    /// What was found.
    pub measurement: Measurement,
}

/// How a signal is measured, and its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Limit {
    /// Bad requests over all requests; bad when strictly above `max`.
    Ratio {
        /// Highest share that is still good.
        max: Share,
    },
    /// A latency quantile; bad when strictly above `max`.
    Quantile {
        /// Which quantile.
        q: Quantile,
        /// Highest latency that is still good.
        max: Latency,
    },
    /// A level; bad when the worst replica is strictly above `max`.
    Gauge {
        /// Highest level that is still good.
        max: Share,
    },
}

/// What a judge is asked.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The signal's limit.
    pub limit: Limit,
    /// Bad windows in a row that make a verdict `fail`, and good ones in a row that make a `pass`.
    pub consecutive: u32,
    /// Requests that a window needs before it counts at all.
    pub min_requests: u64,
    /// All samples since the evidence was last reset, ascending and disjoint.
    pub samples: &'a [Sample],
}

/// What one window says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowVerdict {
    /// Over the limit.
    Bad,
    /// Within the limit.
    Good,
    /// There are requests, but fewer than the minimum, or the buckets cannot tell.
    Insufficient,
    /// No series matched.
    Missing,
}

/// A measured value, for people to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Observed {
    /// A share or a level.
    Share(Share),
    /// The bucket edge at or below which the quantile lies; `None` is beyond the last edge.
    AtMost(Option<Latency>),
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => f.write_str(&share.display_rounded()),
            Self::AtMost(Some(edge)) => write!(f, "up to {edge}"),
            Self::AtMost(None) => f.write_str("beyond the last bucket"),
        }
    }
}

/// What a judge answers, with the numbers that explain it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The newest value that could be measured.
    pub observed: Option<Observed>,
    /// The same value in parts per million of the limit (1,000,000 is exactly the limit), which
    /// lets two arms be compared whatever the unit. For latency it is the share of requests over
    /// the limit against the share that the quantile permits.
    pub of_limit_ppm: Option<u64>,
    /// Requests in the newest window.
    pub requests: u64,
    /// Bad windows in a row, windows that do not count left out.
    pub bad_run: u32,
    /// Good windows in a row, windows that do not count left out.
    pub good_run: u32,
    /// Windows that counted.
    pub judged: u32,
    /// Windows that did not: too few requests, or no series.
    pub skipped: u32,
    /// The end of the newest window that counted.
    pub last_judged: Option<Time>,
    /// What the newest window says.
    pub newest: Option<WindowVerdict>,
}

/// A method that turns samples into a verdict.
pub trait Judge: fmt::Debug + Send + Sync {
    /// The method's name, as a policy and a journal write it.
    fn name(&self) -> &'static str;
    /// Judges all samples of one signal on one arm.
    fn judge(&self, question: &Question<'_>) -> Judgement;
}

/// How long `windows` windows of length `window` take when the first starts on an edge.
#[must_use]
pub fn time_to_judge(window: Span, windows: u32) -> Span {
    window.saturating_mul(u64::from(windows))
}
