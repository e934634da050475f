//! The method `windows`: exactly k consecutive disjoint windows over the limit fail.
//!
//! - A window counts as bad or as good when it has requests enough and its measurement can tell.
//!   A bad one ends the run of good ones, and the other way round. A window that does not count
//!   (too few requests, buckets that cannot tell, no series) ends neither run and lengthens
//!   neither: missing data is never a success and never a failure.
//! - `fail`: the run of bad windows is at least k now.
//! - `pass`: the run of good windows is at least k, and the newest window of all is good.
//! - `no data`: no window ever had data.
//! - `inconclusive`: anything else.
//!
//! k windows of length W take k times W to fail, even when every request fails and the step starts
//! on an edge.

use backout_core::judgement::{
    Judge, Judgement, Observed, Question, Verdict, Window, WindowVerdict,
};
use backout_core::units::Time;

use crate::reading::{Reading, Value, read};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

/// Exactly k consecutive disjoint windows over the limit fail.
///
/// Windows are counted in the order in which they are given. A window that starts before the end
/// of the last one that counted, or that has no length, does not count: overlapping windows are
/// nearly the same sample twice, and would reach k on the evidence of one. A window that did not count takes no time away from
/// others, because nothing of it was counted yet.
///
/// A [`Question::consecutive`] of 0 is read as 1, so that no verdict is given without evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows;

impl Judge for Windows {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn judge(&self, question: &Question<'_>) -> Judgement {
        let mut tally = Tally::default();
        for sample in question.samples {
            let reading = read(question.limit, question.min_requests, &sample.measurement);
            tally.add(sample.window, reading);
        }
        tally.judgement(question.consecutive.max(1))
    }
}

/// What the windows so far add up to.
#[derive(Debug, Default)]
struct Tally {
    /// Bad windows in a row.
    bad_run: u32,
    /// Good windows in a row.
    good_run: u32,
    /// Windows that counted.
    judged: u32,
    /// Windows that did not.
    skipped: u32,
    /// Whether any window held a series.
    any_data: bool,
    /// The end of the last window that counted.
    last_judged: Option<Time>,
    /// The value of the last window that counted.
    judged_value: Option<Value>,
    /// The value of the last window that had one without counting.
    skipped_value: Option<Value>,
    /// The window that ends last, and what it says.
    newest: Option<(Time, Reading)>,
}

impl Tally {
    /// Adds one window.
    fn add(&mut self, window: Window, mut reading: Reading) {
        self.any_data |= reading.verdict != WindowVerdict::Missing;
        if !self.is_apart(window) && reading.verdict != WindowVerdict::Missing {
            reading.verdict = WindowVerdict::Insufficient;
        }
        match reading.verdict {
            WindowVerdict::Bad => {
                self.bad_run = self.bad_run.saturating_add(1);
                self.good_run = 0;
            }
            WindowVerdict::Good => {
                self.good_run = self.good_run.saturating_add(1);
                self.bad_run = 0;
            }
            WindowVerdict::Insufficient | WindowVerdict::Missing => {}
        }
        let counts = matches!(reading.verdict, WindowVerdict::Bad | WindowVerdict::Good);
        if counts {
            self.judged = self.judged.saturating_add(1);
            self.last_judged = Some(window.end);
            self.judged_value = reading.value;
        } else {
            self.skipped = self.skipped.saturating_add(1);
            self.skipped_value = reading.value.or(self.skipped_value);
        }
        // A window given late must not hide a newer one. Of two that end together the one that
        // counted stands, whichever came first.
        let is_newest =
            self.newest.is_none_or(|(end, _)| window.end > end || (counts && window.end == end));
        if is_newest {
            self.newest = Some((window.end, reading));
        }
    }

    /// Whether a window has a length and shares no instant with one that counted.
    fn is_apart(&self, window: Window) -> bool {
        window.start < window.end && self.last_judged.is_none_or(|end| window.start >= end)
    }

    /// The judgement when `k` windows in a row decide.
    fn judgement(self, k: u32) -> Judgement {
        // Only a value that counted explains a verdict. One that did not, say of three requests,
        // is shown while there is nothing better.
        let value = self.judged_value.or(self.skipped_value);
        let observed: Option<Observed> = value.map(|value| value.observed);
        Judgement {
            verdict: self.verdict(k),
            observed,
            of_limit_ppm: value.map(|value| value.of_limit_ppm),
            requests: self.newest.map_or(0, |(_, reading)| reading.requests),
            bad_run: self.bad_run,
            good_run: self.good_run,
            judged: self.judged,
            skipped: self.skipped,
            last_judged: self.last_judged,
            newest: self.newest.map(|(_, reading)| reading.verdict),
        }
    }

    /// The verdict when `k` windows in a row decide.
    fn verdict(&self, k: u32) -> Verdict {
        let newest_is_good =
            self.newest.is_some_and(|(_, reading)| reading.verdict == WindowVerdict::Good);
        if !self.any_data {
            Verdict::NoData
        } else if self.bad_run >= k {
            Verdict::Fail
        } else if self.good_run >= k && newest_is_good {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        }
    }
}
