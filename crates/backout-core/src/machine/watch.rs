//! Signals under watch: windows, samples and what the judge says of them.

use serde::{Deserialize, Serialize};

use super::effect::{EffectId, SignalMeasured};
use crate::journal::SignalSeen;
use crate::judgement::{Judge, Judgement, Limit, Question, Sample, Verdict, Window, WindowVerdict};
use crate::policy::Triggers;
use crate::units::{Name, Share, Span, Time};

/// A signal as the machine needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: Name,
    /// Its limit.
    pub limit: Limit,
}

/// Signals under watch since a weight was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Watch {
    /// Start of the first window.
    pub origin: Time,
    /// Number of the next window.
    pub next: u32,
    /// The query under way.
    pub asked: Option<(EffectId, Window)>,
    /// Every signal, in the policy's order.
    pub series: Vec<Series>,
}

/// One signal under watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Series {
    candidate: Evidence,
    stable: Evidence,
    /// What the judge says of the candidate.
    pub judged: Option<Judgement>,
    /// What the judge says of the stable release.
    pub judged_stable: Option<Judgement>,
    /// The end of the newest window in which the candidate had any data.
    pub last_data: Time,
    /// What the query found, where it found nothing.
    pub note: Option<String>,
}

/// Samples of one arm, as far back as they can matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Evidence {
    samples: Vec<Sample>,
    /// Whether the sample of the same place counted, for or against.
    counted: Vec<bool>,
}

/// What the watched signals ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alarm {
    /// A signal of the candidate is over its limit.
    Bad(usize),
    /// A signal is over its limit on both arms alike.
    Shared(usize),
    /// A signal has had no data since then.
    Silent(usize, Time),
}

impl Watch {
    /// Begins to watch.
    #[must_use]
    pub fn new(origin: Time, signals: usize) -> Self {
        let series = Series {
            candidate: Evidence::default(),
            stable: Evidence::default(),
            judged: None,
            judged_stable: None,
            last_data: origin,
            note: None,
        };
        Self { origin, next: 0, asked: None, series: vec![series; signals] }
    }

    /// The next window.
    #[must_use]
    pub fn window(&self, length: Span) -> Window {
        let start = self.origin + length.saturating_mul(u64::from(self.next));
        Window { start, end: start + length }
    }

    /// Takes one window's measurements and judges everything anew.
    pub fn take(
        &mut self,
        window: Window,
        measured: Vec<SignalMeasured>,
        rules: &[Rule],
        triggers: &Triggers,
        judge: &dyn Judge,
    ) {
        self.asked = None;
        self.next += 1;
        for ((series, rule), measured) in self.series.iter_mut().zip(rules).zip(measured) {
            series.note = measured.note;
            let sample = Sample { window, measurement: measured.candidate };
            let candidate = series.candidate.judge(sample, rule, triggers, judge);
            if !matches!(candidate.newest, None | Some(WindowVerdict::Missing)) {
                series.last_data = window.end;
            }
            series.judged = Some(candidate);
            let sample = Sample { window, measurement: measured.stable };
            series.judged_stable = Some(series.stable.judge(sample, rule, triggers, judge));
        }
    }

    /// What the signals ask for, the worst first: a bad candidate, then a shared cause, then
    /// silence.
    #[must_use]
    pub fn alarm(&self, now: Time, triggers: &Triggers) -> Option<Alarm> {
        let mut shared = None;
        for (index, series) in self.series.iter().enumerate() {
            let Some(judged) = &series.judged else { continue };
            if judged.verdict != Verdict::Fail {
                continue;
            }
            if alike(judged, series.judged_stable.as_ref(), triggers.shared_cause.excess) {
                shared.get_or_insert(Alarm::Shared(index));
            } else {
                return Some(Alarm::Bad(index));
            }
        }
        shared.or_else(|| self.silent(now, triggers))
    }

    fn silent(&self, now: Time, triggers: &Triggers) -> Option<Alarm> {
        let after = triggers.no_data.after.span()?;
        self.series.iter().enumerate().find_map(|(index, series)| {
            let missing = matches!(
                series.judged.as_ref().and_then(|judged| judged.newest),
                Some(WindowVerdict::Missing)
            );
            (missing && now.since(series.last_data) >= after)
                .then_some(Alarm::Silent(index, series.last_data))
        })
    }

    /// Whether every signal of the candidate passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.series.iter().all(|series| {
            series.judged.as_ref().is_some_and(|judged| judged.verdict == Verdict::Pass)
        })
    }

    /// The first signal that does not pass, and why not.
    #[must_use]
    pub fn first_not_passing(&self) -> Option<(usize, Verdict)> {
        self.series.iter().enumerate().find_map(|(index, series)| {
            let verdict = series.judged.as_ref().map_or(Verdict::NoData, |judged| judged.verdict);
            (verdict != Verdict::Pass).then_some((index, verdict))
        })
    }

    /// The judgements, for the journal.
    #[must_use]
    pub fn seen(&self, rules: &[Rule]) -> Vec<SignalSeen> {
        self.series
            .iter()
            .zip(rules)
            .filter_map(|(series, rule)| {
                let judged = series.judged.as_ref()?;
                Some(SignalSeen {
                    signal: rule.name.clone(),
                    limit: limit_in_words(rule.limit),
                    candidate: judged.observed,
                    stable: series.judged_stable.as_ref().and_then(|stable| stable.observed),
                    requests: judged.requests,
                    verdict: judged.verdict,
                    bad_run: judged.bad_run,
                    note: series.note.clone(),
                })
            })
            .collect()
    }
}

impl Evidence {
    /// Takes one more sample and judges all that can matter.
    fn judge(
        &mut self,
        sample: Sample,
        rule: &Rule,
        triggers: &Triggers,
        judge: &dyn Judge,
    ) -> Judgement {
        self.samples.push(sample);
        let newest = &self.samples[self.samples.len() - 1..];
        let alone = judge.judge(&question(rule, triggers, newest));
        self.counted.push(matches!(alone.newest, Some(WindowVerdict::Good | WindowVerdict::Bad)));
        self.forget(triggers.consecutive);
        judge.judge(&question(rule, triggers, &self.samples))
    }

    /// Forgets what cannot change a verdict: a run is decided by the newest windows that counted,
    /// however many that did not lie between them.
    fn forget(&mut self, consecutive: u32) {
        // Hundreds of windows that never counted end by a deadline; without one, memory ends first.
        const AT_MOST: usize = 512;
        if self.samples.len() > AT_MOST {
            self.samples.drain(..AT_MOST / 2);
            self.counted.drain(..AT_MOST / 2);
        }
        let enough = usize::try_from(consecutive).unwrap_or(usize::MAX).saturating_mul(2).max(4);
        let counted = self.counted.iter().enumerate().rev().filter(|(_, counted)| **counted);
        if let Some(oldest) = counted.map(|(index, _)| index).nth(enough) {
            self.samples.drain(..=oldest);
            self.counted.drain(..=oldest);
        }
    }
}

fn question<'a>(rule: &Rule, triggers: &Triggers, samples: &'a [Sample]) -> Question<'a> {
    Question {
        limit: rule.limit,
        consecutive: triggers.consecutive,
        min_requests: triggers.min_requests,
        samples,
    }
}

/// Whether the stable release is over the limit too, and the candidate is not much worse.
fn alike(candidate: &Judgement, stable: Option<&Judgement>, excess: Share) -> bool {
    let Some(stable) = stable.filter(|stable| stable.verdict == Verdict::Fail) else {
        return false;
    };
    match (candidate.of_limit_ppm, stable.of_limit_ppm) {
        (Some(candidate), Some(stable)) => {
            let bound = 1_000_000 + u128::from(excess.as_ppm());
            u128::from(candidate) * 1_000_000 <= u128::from(stable) * bound
        }
        _ => false,
    }
}

/// A limit as people write it.
#[must_use]
pub fn limit_in_words(limit: Limit) -> String {
    match limit {
        Limit::Ratio { max } | Limit::Gauge { max } => max.to_string(),
        Limit::Quantile { q, max } => format!("{} {max}", q.label()),
    }
}
