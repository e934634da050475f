//! Signals under watch: windows, samples and what the judge says of them.

use serde::{Deserialize, Serialize};

use super::effect::{EffectId, SignalMeasured};
use crate::journal::SignalSeen;
use crate::judgement::{Judge, Judgement, Limit, Question, Sample, Verdict, Window, WindowVerdict};
use crate::policy::Triggers;
use crate::units::{Name, Share, Span, Time};

/// Samples that are kept per signal and arm. Older ones cannot change a verdict: a run of windows
/// is decided by the newest ones.
const KEPT: usize = 64;

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
    candidate: Vec<Sample>,
    stable: Vec<Sample>,
    /// What the judge says of the candidate.
    pub judged: Option<Judgement>,
    /// What the judge says of the stable release.
    pub judged_stable: Option<Judgement>,
    /// The end of the newest window in which the candidate had any data.
    pub last_data: Time,
    /// What the query found, where it found nothing.
    pub note: Option<String>,
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
            candidate: Vec::new(),
            stable: Vec::new(),
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
            push(&mut series.candidate, Sample { window, measurement: measured.candidate });
            push(&mut series.stable, Sample { window, measurement: measured.stable });
            let candidate = judge.judge(&question(rule, triggers, &series.candidate));
            if !matches!(candidate.newest, None | Some(WindowVerdict::Missing)) {
                series.last_data = window.end;
            }
            series.judged = Some(candidate);
            series.judged_stable = Some(judge.judge(&question(rule, triggers, &series.stable)));
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

fn push(samples: &mut Vec<Sample>, sample: Sample) {
    if samples.len() >= KEPT {
        samples.drain(..KEPT / 2);
    }
    samples.push(sample);
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
