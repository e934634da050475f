//! Signals while the candidate serves: windows in, alarms and evidence out.

use std::sync::Arc;

use super::Machine;
use super::effect::{EffectResult, Effects, Request, TimerReason};
use super::state::{At, Judged, Phase};
use super::watch::{Alarm, Watch, limit_in_words};
use crate::journal::Event;
use crate::judgement::{Judgement, Limit as SignalLimit, Verdict, Window};
use crate::plan::{Action, Cause, Step};
use crate::policy::NoDataAction;
use crate::units::{Span, Time};

impl Machine {
    /// Watches from now on, unless signals are under watch already.
    pub(super) fn watch_from(&mut self, now: Time, out: &mut Effects) {
        if self.state.watch.is_none() {
            self.state.watch = Some(Watch::new(now, self.rules.len()));
            self.next_window(out);
        }
    }

    pub(super) fn stop_watching(&mut self) {
        self.state.watch = None;
        self.disarm(TimerReason::Window);
    }

    /// Arms the timer for the next window.
    pub(super) fn next_window(&mut self, out: &mut Effects) {
        let triggers = &self.brief.policy.spec.triggers;
        if let Some(watch) = &self.state.watch {
            let ready = watch.window(triggers.window).end + triggers.metrics_delay;
            self.arm(ready, TimerReason::Window, out);
        }
    }

    /// Asks for the window whose data is complete.
    pub(super) fn query(&mut self, out: &mut Effects) {
        let length = self.brief.policy.spec.triggers.window;
        let Some(window) = self.state.watch.as_ref().map(|watch| watch.window(length)) else {
            return;
        };
        let id = self.ask(Request::Query(window), None, out);
        if let Some(watch) = &mut self.state.watch {
            watch.asked = Some((id, window));
        }
    }

    /// A query was answered, or failed: a failed one counts as a window without data.
    pub(super) fn measured(
        &mut self,
        now: Time,
        window: Window,
        result: EffectResult,
        out: &mut Effects,
    ) {
        let Some(mut watch) = self.state.watch.take() else { return };
        if watch.asked.map(|(_, asked)| asked) != Some(window) {
            self.state.watch = Some(watch);
            return;
        }
        let measured = match result {
            EffectResult::Measured(measured) if measured.len() == self.rules.len() => measured,
            other => missing(&self.rules, super::in_words(&other).as_deref()),
        };
        let policy = Arc::clone(&self.brief.policy);
        watch.take(window, measured, &self.rules, &policy.spec.triggers, &*self.judge);
        let (weight, signals) = (self.state.weight, watch.seen(&self.rules));
        let judged = Judged { window, weight, signals: signals.clone() };
        self.state.judged = Some(Arc::new(judged));
        out.records.push(Event::Judged { window, weight, signals });
        self.state.watch = Some(watch);
        self.next_window(out);
        match self.state.phase {
            Phase::Forward => {
                if !self.alarmed(now, out) {
                    self.evidence_complete(now, out);
                }
            }
            Phase::Holding => self.holding_judged(now, out),
            Phase::Back => self.recovery_judged(now, out),
            Phase::Ready | Phase::Surveying | Phase::Deciding | Phase::Held | Phase::Ended => {}
        }
    }

    /// Traffic stays on the candidate while it should recover. If it is still bad, nobody waits for
    /// the deadline: a person is paged at once.
    fn recovery_judged(&mut self, now: Time, out: &mut Effects) {
        let policy = Arc::clone(&self.brief.policy);
        let alarm =
            self.state.watch.as_ref().and_then(|watch| watch.alarm(now, &policy.spec.triggers));
        if let Some(Alarm::Bad(index)) = alarm {
            let why = format!("the way back did not help: {}", self.bad(index));
            self.hold_for_person(why, out);
        } else {
            self.evidence_complete(now, out);
        }
    }

    /// Reacts to an alarm; says whether there was one.
    fn alarmed(&mut self, now: Time, out: &mut Effects) -> bool {
        let policy = Arc::clone(&self.brief.policy);
        let alarm =
            self.state.watch.as_ref().and_then(|watch| watch.alarm(now, &policy.spec.triggers));
        match alarm {
            None => false,
            Some(Alarm::Bad(index)) => {
                let cause = self.bad(index);
                self.go_back(now, cause, out);
                true
            }
            Some(Alarm::Shared(index)) => {
                self.hold_still(now, index, out);
                true
            }
            Some(Alarm::Silent(index, since)) => self.silent(now, index, since, out),
        }
    }

    fn silent(&mut self, now: Time, index: usize, since: Time, out: &mut Effects) -> bool {
        let cause = self.no_data(index, now.since(since));
        match self.brief.policy.spec.triggers.no_data.then {
            NoDataAction::Rollback => self.go_back(now, cause, out),
            NoDataAction::Hold => self.hold_for_person(cause.to_string(), out),
            NoDataAction::Wait => return false,
        }
        true
    }

    fn judged(&self, index: usize) -> Option<&Judgement> {
        self.state.watch.as_ref()?.series.get(index)?.judged.as_ref()
    }

    pub(super) fn bad(&self, index: usize) -> Cause {
        let rule = &self.rules[index];
        let judged = self.judged(index);
        Cause::Signal {
            signal: rule.name.clone(),
            message: measured_in_words(rule.limit, judged),
            windows: judged.map_or(0, |judged| judged.bad_run),
        }
    }

    pub(super) fn shared(&self, index: usize) -> Cause {
        let rule = &self.rules[index];
        let series = self.state.watch.as_ref().and_then(|watch| watch.series.get(index));
        let stable = series
            .and_then(|series| series.judged_stable.as_ref())
            .and_then(|stable| stable.observed)
            .map_or_else(|| "not measured".to_owned(), |observed| observed.to_string());
        let message =
            format!("{}, stable {stable}", measured_in_words(rule.limit, self.judged(index)));
        Cause::SharedCause { signal: rule.name.clone(), message }
    }

    fn no_data(&self, index: usize, after: Span) -> Cause {
        let note = self
            .state
            .watch
            .as_ref()
            .and_then(|watch| watch.series.get(index))
            .and_then(|series| series.note.clone());
        Cause::NoData {
            signal: self.rules[index].name.clone(),
            message: note.unwrap_or_else(|| "the query returned nothing".to_owned()),
            after,
        }
    }

    /// Ends a step that waits for evidence, once its time is over and every signal passes.
    pub(super) fn evidence_complete(&mut self, now: Time, out: &mut Effects) {
        let Some(step) = self.state.track.step() else { return };
        let least = match step.action {
            Action::Analyse { at_least: length } | Action::Bake { length } => length,
            Action::ConfirmRecovery => Span::ZERO,
            _ => return,
        };
        let waiting = self.state.track.at == At::Waiting;
        let passes =
            self.evidence_is_fresh(now) && self.state.watch.as_ref().is_some_and(Watch::passes);
        if waiting && passes && self.state.track.elapsed(now) >= least {
            self.step_done(now, "every signal passes", out);
            return;
        }
        if !waiting {
            return;
        }
        let lacking = self.state.watch.as_ref().and_then(Watch::first_not_passing);
        if let Some((index, verdict)) = lacking {
            let name = &self.rules[index].name;
            self.state.track.waiting_for = match verdict {
                Verdict::NoData | Verdict::NotEvaluated => format!("data of {name}"),
                Verdict::Inconclusive | Verdict::Pass => format!("enough requests for {name}"),
                Verdict::Fail => format!("{name} to recover"),
            };
        }
    }

    /// Whether every window whose data is complete has been judged. After a restart there may be
    /// many that have not.
    fn evidence_is_fresh(&self, now: Time) -> bool {
        let triggers = &self.brief.policy.spec.triggers;
        self.state.watch.as_ref().is_some_and(|watch| {
            let ready = watch.window(triggers.window).end + triggers.metrics_delay;
            watch.asked.is_none() && ready > now
        })
    }

    /// Why a step that waits for evidence did not get it.
    pub(super) fn evidence_missing(&self, within: Span, step: &Step) -> Cause {
        let Some(watch) = &self.state.watch else { return self.late(within, step) };
        match watch.first_not_passing() {
            Some((index, Verdict::NoData | Verdict::NotEvaluated)) => self.no_data(index, within),
            Some((index, Verdict::Fail)) => self.bad(index),
            Some((index, _)) => Cause::Inconclusive {
                signal: self.rules[index].name.clone(),
                message: self.judged(index).map_or_else(String::new, |judged| {
                    format!(
                        "{} of {} windows counted, {} requests in the newest, {} are needed",
                        judged.judged,
                        judged.judged + judged.skipped,
                        judged.requests,
                        self.brief.policy.spec.triggers.min_requests
                    )
                }),
                after: within,
            },
            None => self.late(within, step),
        }
    }
}

/// What was measured, against the limit.
fn measured_in_words(limit: SignalLimit, judged: Option<&Judgement>) -> String {
    let observed = judged
        .and_then(|judged| judged.observed)
        .map_or_else(|| "not measured".to_owned(), |observed| observed.to_string());
    match limit {
        SignalLimit::Ratio { .. } | SignalLimit::Gauge { .. } => {
            format!("{observed} > {}", limit_in_words(limit))
        }
        SignalLimit::Quantile { q, max } => format!("({}) {observed} > {max}", q.label()),
    }
}

/// A window without any data.
fn missing(rules: &[super::Rule], why: Option<&str>) -> Vec<super::SignalMeasured> {
    use crate::judgement::Measurement;
    rules
        .iter()
        .map(|rule| {
            let nothing = match rule.limit {
                SignalLimit::Ratio { .. } => Measurement::Ratio { bad: None, total: None },
                SignalLimit::Quantile { .. } => Measurement::Histogram { buckets: None },
                SignalLimit::Gauge { .. } => Measurement::Gauge { levels: None },
            };
            super::SignalMeasured {
                candidate: nothing.clone(),
                stable: nothing,
                note: why.map(str::to_owned),
            }
        })
        .collect()
}
