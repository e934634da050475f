//! S2: no promotion without fresh, sufficient evidence.
//!
//! Why: unknown is not good, and a candidate that nobody looked at becomes what others go back to.
//! Mutants: a judge that lets everything pass; a plan without its analyses.

use backout_core::journal::Event as Entry;
use backout_core::judgement::{Limit, Measurement, Window};
use backout_core::machine::{EffectResult, Input, Outcome, Request, SignalMeasured};
use backout_core::plan::{Action, Brief};
use backout_core::policy::Triggers;
use backout_core::units::{Latency, Name, Time, Weight};

use super::{About, Oracle, UNSEEN, View, Violation};
use crate::world::{Event, Happening};

const ABOUT: About =
    About { number: "S2", property: "no promotion without fresh, sufficient evidence" };

/// Share of the candidate that is all traffic, in parts per million.
const FULL: u32 = 1_000_000;

/// S2: no promotion without fresh, sufficient evidence, and no rise of the weight without any.
///
/// Stands for K10: an inconclusive background analysis was promoted
/// (argoproj/argo-rollouts#3850), and an analysis succeeded although its job had failed
/// (argoproj/argo-rollouts#4393).
///
/// The judge and the machine's own watch are not asked: the oracle reads the measurements that
/// the world gave, and counts the windows in a row that have requests enough and are within the
/// limit. Where the buckets of a histogram leave it open it counts in favour of the engine, so that
/// it never asks for more than any honest judge does.
///
/// Fresh means that the newest good window ended at most three windows and the metrics' delay ago.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The policy's signals.
    signals: Vec<Tally>,
    /// Share that the engine last asked for, and when; evidence counts from there on.
    routed: Option<(u32, Time)>,
    /// When somebody else last wrote the route.
    by_others: Option<Time>,
    /// Whether every signal passed at some time since then.
    passed: bool,
    /// Whether promotion was asked for on good evidence.
    proven: bool,
    begun: bool,
    reported: bool,
}

/// Windows of one signal.
#[derive(Debug)]
struct Tally {
    signal: Name,
    limit: Limit,
    /// Good windows in a row.
    run: u32,
    /// The end of the newest good one.
    newest: Time,
}

impl Oracle for Evidence {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        self.begin(&view.world.brief);
        self.measure(view);
        let by_others = |news| matches!(news, &Happening::Routed { by_engine: false, .. });
        if view.news.iter().any(by_others) {
            self.by_others = Some(view.now);
        }
        let what = self.asks(view).or_else(|| self.promoted_unasked(view));
        self.follow(view);
        let what = what.filter(|_| !self.reported)?;
        self.reported = true;
        Some(ABOUT.breach(view.now, what))
    }
}

impl Evidence {
    fn begin(&mut self, brief: &Brief) {
        if !self.begun {
            self.begun = true;
            // A machine is made only for signals that agree with themselves.
            self.signals = brief
                .signals()
                .unwrap_or_default()
                .into_iter()
                .map(|(signal, kind)| Tally {
                    signal,
                    limit: kind.limit(),
                    run: 0,
                    newest: Time::ZERO,
                })
                .collect();
        }
    }

    /// Takes the measurements that were just judged.
    fn measure(&mut self, view: &View<'_>) {
        let Event::Deliver(Input::Done { result: EffectResult::Measured(measured), .. }) =
            view.event
        else {
            return;
        };
        let judged = view.effects.records.iter().find_map(|record| {
            if let Entry::Judged { window, .. } = record { Some(*window) } else { None }
        });
        let (Some(window), Some((_, since))) = (judged, self.routed) else { return };
        if window.start >= since {
            self.count(window, measured, &view.world.brief.policy.spec.triggers);
        }
    }

    fn count(&mut self, window: Window, measured: &[SignalMeasured], triggers: &Triggers) {
        for (tally, measured) in self.signals.iter_mut().zip(measured) {
            match is_good(tally.limit, triggers.min_requests, &measured.candidate) {
                Some(true) => (tally.run, tally.newest) = (tally.run + 1, window.end),
                Some(false) => tally.run = 0,
                None => {}
            }
        }
        self.passed |= self.lacking(triggers.consecutive).is_none();
    }

    /// The first signal without enough good windows in a row; none without any signal either.
    fn lacking(&self, consecutive: u32) -> Option<String> {
        if self.signals.is_empty() {
            return Some("no signal is watched".to_owned());
        }
        let least = consecutive.max(1);
        self.signals.iter().find(|tally| tally.run < least).map(|tally| {
            format!("{} has {} good windows in a row, not {least}", tally.signal, tally.run)
        })
    }

    /// What the engine asks for without evidence.
    fn asks(&mut self, view: &View<'_>) -> Option<String> {
        view.effects.effects.iter().find_map(|effect| {
            let Request::Apply(action) = &effect.request else { return None };
            if let Action::SetWeight { candidate } = action {
                self.rises(view, *candidate)
            } else if let Action::MarkKnownGood { release } = action
                && *release == view.world.brief.candidate.metadata.name
            {
                let unproven = self.unproven(view);
                self.proven |= unproven.is_none();
                unproven.map(|why| format!("the candidate is promoted: {why}"))
            } else {
                None
            }
        })
    }

    /// A rise of the weight, after the first one, on nothing.
    fn rises(&self, view: &View<'_>, weight: Weight) -> Option<String> {
        let (before, _) = self.routed.filter(|(before, _)| *before > 0)?;
        if self.passed || u32::from(weight.as_percent()) * 10_000 <= before {
            return None;
        }
        let lacking = self.lacking(view.world.brief.policy.spec.triggers.consecutive)?;
        Some(format!("the weight rises to {weight}: {lacking}"))
    }

    /// Why there is no ground for a promotion now.
    fn unproven(&self, view: &View<'_>) -> Option<String> {
        let triggers = &view.world.brief.policy.spec.triggers;
        let unseen = self.by_others.is_some_and(|at| view.now.since(at) <= UNSEEN);
        let at_full = self.routed.is_some_and(|(ppm, _)| ppm == FULL);
        if !at_full || (view.world.gateway.asked_ppm != FULL && !unseen) {
            return Some("it does not have all traffic".to_owned());
        }
        self.lacking(triggers.consecutive).or_else(|| {
            let fresh = triggers.window.saturating_mul(3).saturating_add(triggers.metrics_delay);
            let oldest = self.signals.iter().map(|tally| tally.newest).min()?;
            let age = view.now.since(oldest);
            (age > fresh).then(|| format!("the newest good window ended {age} ago"))
        })
    }

    /// Promoted without ever having asked on good evidence.
    fn promoted_unasked(&self, view: &View<'_>) -> Option<String> {
        if self.proven {
            return None;
        }
        let says = matches!(view.state.outcome, Some(Outcome::Promoted));
        let is = !view.news.is_empty()
            && view.world.known_good == view.world.brief.candidate.metadata.name;
        (says || is).then(|| "the candidate is promoted without evidence".to_owned())
    }

    /// Evidence of another weight says nothing about a new one.
    fn follow(&mut self, view: &View<'_>) {
        for news in view.news {
            if let Happening::Routed { ppm, by_engine: true, .. } = news {
                (self.routed, self.by_others) = (Some((*ppm, view.now)), None);
                self.passed = false;
                for tally in &mut self.signals {
                    tally.run = 0;
                }
            }
        }
    }
}

/// Whether a window is within the limit; nothing when it has too little to say.
fn is_good(limit: Limit, min_requests: u64, measured: &Measurement) -> Option<bool> {
    let enough = |requests: u64| requests >= min_requests.max(1);
    match (limit, measured) {
        (Limit::Ratio { max }, Measurement::Ratio { bad, total: Some(total) }) => {
            let (bad, max) = (u128::from(bad.unwrap_or(0)), u128::from(max.as_ppm()));
            enough(*total).then(|| bad * 1_000_000 <= max * u128::from(*total))
        }
        (Limit::Quantile { q, max }, Measurement::Histogram { buckets: Some(buckets) }) => {
            let total = buckets.iter().map(|bucket| bucket.count).max()?;
            // The edge at the limit, or else the next one: what lies between may be below it.
            let edge = |edge: Option<Latency>| edge.is_none_or(|edge| edge >= max);
            let within = buckets.iter().filter(|bucket| edge(bucket.le)).map(|b| b.count).min()?;
            let (within, q) = (u128::from(within), u128::from(q.as_ppm()));
            enough(total).then(|| within * 1_000_000 >= q * u128::from(total))
        }
        (Limit::Gauge { max }, Measurement::Gauge { levels: Some(levels) }) => {
            levels.iter().max().map(|worst| *worst <= max)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backout_core::judgement::{Judge, Judgement, Question, Verdict, WindowVerdict};
    use backout_core::machine::{Input, Machine};
    use backout_core::plan::Action;
    use backout_core::units::Time;
    use backout_judge::Windows;

    use super::super::testing::{Bug, Case, assert_clean, assert_found, leave_out};

    /// Lets everything pass, with numbers to match.
    #[derive(Debug)]
    struct Lenient;

    impl Judge for Lenient {
        fn name(&self) -> &'static str {
            "lenient"
        }

        fn judge(&self, question: &Question<'_>) -> Judgement {
            Judgement {
                verdict: Verdict::Pass,
                bad_run: 0,
                good_run: question.consecutive,
                last_judged: question.samples.last().map(|sample| sample.window.end),
                newest: Some(WindowVerdict::Good),
                ..Windows.judge(question)
            }
        }
    }

    /// Runs the plan without its analyses.
    #[derive(Clone)]
    struct Blind;

    impl Bug for Blind {
        fn hear(&mut self, machine: &mut Machine, _: Time, input: Input) -> Option<Input> {
            if input == Input::Start {
                leave_out(machine, |action| {
                    matches!(action, Action::Analyse { .. } | Action::Bake { .. })
                });
            }
            Some(input)
        }
    }

    #[test]
    fn the_machine_promotes_on_evidence_only() {
        assert_clean(&Case::healthy().run());
        assert_clean(&Case::fault("metrics-absent").run());
        assert_clean(&Case::fault("too-few-requests").run());
    }

    #[test]
    fn a_judge_that_lets_everything_pass_is_caught() {
        for fault in ["metrics-absent", "error-rate", "latency", "saturation"] {
            let record = Case::fault(fault).judged_by(Arc::new(Lenient)).run();
            assert_found(&record, "S2");
        }
    }

    #[test]
    fn a_plan_without_analyses_is_caught() {
        assert_found(&Case::healthy().run_with(Blind), "S2");
    }
}
