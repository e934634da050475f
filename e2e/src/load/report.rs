//! What a load's users saw.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status came to its end.
    Answered(u16),
    /// No connection was made, and why.
    NotConnected(String),
    /// The connection ended before the answer did, and why.
    Cut(String),
    /// No answer came in time.
    Late,
    /// The request could not be built; a mistake in the plan.
    NotAsked(String),
}

impl Outcome {
    /// Whether a user would call it a failure: no whole answer, or one of 500 and above.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        !matches!(self, Self::Answered(status) if *status < 500)
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it was sent.
    pub sent: Instant,
    /// The index of its target in the plan.
    pub target: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// The answer's `x-release` header.
    pub release: Option<String>,
    /// From sending to the end of the answer.
    pub latency: Duration,
}

impl Record {
    /// When it ended.
    #[must_use]
    pub fn ended(&self) -> Instant {
        self.sent + self.latency
    }
}

/// A request that failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// When it was sent, after the load's start.
    pub after: Duration,
    /// When it was sent.
    pub sent: Instant,
    /// The name of its target.
    pub target: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The release that answered, if one did.
    pub release: Option<String>,
}

/// When answers of a release came.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first.
    pub first: Instant,
    /// The last.
    pub last: Instant,
    /// How many.
    pub answers: u64,
}

/// What one target's users saw.
#[derive(Clone, Debug, Default)]
pub struct TargetReport {
    /// Requests that ended.
    pub requests: u64,
    /// Those among them that failed.
    pub failures: u64,
    /// Answers by release.
    pub by_release: BTreeMap<String, u64>,
}

/// What a load's users saw.
#[derive(Clone, Debug)]
pub struct Report {
    /// When the load began.
    pub started: Instant,
    /// Every request that ended, in the order of their ends.
    pub records: Vec<Arc<Record>>,
    /// What the generator could not send, as too much was under way: says nothing about targets,
    /// but that the load was less than planned.
    pub not_sent: u64,
    targets: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        started: Instant,
        targets: Vec<String>,
        records: Vec<Arc<Record>>,
        not_sent: u64,
    ) -> Self {
        Self { started, records, not_sent, targets }
    }

    /// Requests that ended.
    #[must_use]
    pub fn total(&self) -> usize {
        self.records.len()
    }

    /// What each target's users saw, by its name.
    #[must_use]
    pub fn by_target(&self) -> BTreeMap<String, TargetReport> {
        let mut targets: BTreeMap<String, TargetReport> = BTreeMap::new();
        for record in &self.records {
            let entry = targets.entry(self.name(record)).or_default();
            entry.requests += 1;
            entry.failures += u64::from(record.outcome.is_failure());
            if let Some(release) = &record.release {
                *entry.by_release.entry(release.clone()).or_default() += 1;
            }
        }
        targets
    }

    /// When answers of each release came, and how many.
    #[must_use]
    pub fn releases(&self) -> BTreeMap<String, Span> {
        let mut releases: BTreeMap<String, Span> = BTreeMap::new();
        for record in &self.records {
            let Some(release) = &record.release else { continue };
            let ended = record.ended();
            let span = releases.entry(release.clone()).or_insert(Span {
                first: ended,
                last: ended,
                answers: 0,
            });
            span.first = span.first.min(ended);
            span.last = span.last.max(ended);
            span.answers += 1;
        }
        releases
    }

    /// The share of a release (0 to 1) in what was answered by requests sent since then; nothing
    /// if no release answered.
    #[must_use]
    pub fn share(&self, release: &str, since: Instant) -> Option<f64> {
        let (mut all, mut own) = (0_u32, 0_u32);
        for record in self.since(since) {
            if let Some(found) = &record.release {
                all += 1;
                own += u32::from(found == release);
            }
        }
        (all > 0).then(|| f64::from(own) / f64::from(all))
    }

    /// The requests sent since then.
    pub fn since(&self, since: Instant) -> impl Iterator<Item = &Record> {
        self.records.iter().map(AsRef::as_ref).filter(move |record: &&Record| record.sent >= since)
    }

    /// The requests that failed.
    #[must_use]
    pub fn failures(&self) -> Vec<Failed> {
        let failed = self.records.iter().filter(|record| record.outcome.is_failure());
        failed
            .map(|record| Failed {
                after: record.sent - self.started,
                sent: record.sent,
                target: self.name(record),
                outcome: record.outcome.clone(),
                release: record.release.clone(),
            })
            .collect()
    }

    /// The latency that so many of a thousand requests do not exceed (500 is the median).
    #[must_use]
    pub fn latency(&self, per_thousand: usize) -> Option<Duration> {
        let mut all: Vec<Duration> = self.records.iter().map(|record| record.latency).collect();
        all.sort_unstable();
        let rank = (all.len() * per_thousand).div_ceil(1_000);
        all.get(rank.saturating_sub(1)).copied()
    }

    /// Requests, failures with the first few, shares and latencies, in a line for a person.
    #[must_use]
    pub fn summary(&self) -> String {
        let failures = self.failures();
        let mut text = format!("{} requests, {} failed", self.total(), failures.len());
        for failed in failures.iter().take(3) {
            let after_s = failed.after.as_secs_f64();
            let _infallible =
                write!(text, " [{after_s:.3} s {} {:?}]", failed.target, failed.outcome);
        }
        for (release, span) in self.releases() {
            let _infallible = write!(text, ", {} from {release}", span.answers);
        }
        for (name, per_thousand) in [("median", 500), ("p99", 990)] {
            if let Some(latency) = self.latency(per_thousand) {
                let _infallible = write!(text, ", {name} {latency:?}");
            }
        }
        if self.not_sent > 0 {
            let _infallible = write!(text, ", {} not sent by the generator", self.not_sent);
        }
        text
    }

    fn name(&self, record: &Record) -> String {
        self.targets.get(record.target).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(started: Instant, at_ms: u64, release: &str, status: u16) -> Record {
        Record {
            sent: started + Duration::from_millis(at_ms),
            target: 0,
            outcome: Outcome::Answered(status),
            release: Some(release.to_owned()),
            latency: Duration::from_millis(at_ms),
        }
    }

    fn report() -> Report {
        let started = Instant::now();
        let records = vec![
            record(started, 1, "old", 200),
            record(started, 2, "new", 503),
            record(started, 3, "old", 404),
            record(started, 4, "old", 200),
        ];
        let records = records.into_iter().map(Arc::new).collect();
        Report::new(started, vec!["shop".to_owned()], records, 0)
    }

    #[test]
    fn shares_count_from_the_given_time() {
        let report = report();
        let since = report.started + Duration::from_millis(3);
        assert_eq!(report.share("old", report.started), Some(0.75));
        assert_eq!(report.share("new", since), Some(0.0));
        assert_eq!(report.share("new", since + Duration::from_secs(1)), None);
    }

    #[test]
    fn only_answers_of_500_and_above_are_failures() {
        let failures = report().failures();
        assert_eq!(failures.len(), 1);
        assert_eq!(failures[0].release.as_deref(), Some("new"));
    }

    #[test]
    fn quantiles_are_latencies_that_occurred() {
        let report = report();
        assert_eq!(report.latency(500), Some(Duration::from_millis(2)));
        assert_eq!(report.latency(990), Some(Duration::from_millis(4)));
        assert_eq!(report.latency(1_000), Some(Duration::from_millis(4)));
    }
}
