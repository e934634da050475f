//! Running one step: observe, check, perform, observe again, verify.

use super::Machine;
use super::effect::{EffectId, EffectResult, Effects, Outcome, Precondition, Request, TimerReason};
use super::share::{probes_needed, share_fits};
use super::state::{At, Phase};
use super::watch::Watch;
use crate::journal::Event;
use crate::judgement::Verdict;
use crate::plan::{
    Action, Cause, Direction, Expiry, Pattern, Progress, Step, Verification, residue,
};
use crate::policy::Gate;
use crate::snapshot::Snapshot;
use crate::units::{Limit, Span, Time, Weight};

impl Machine {
    /// Begins the step at hand, or ends the plan when there is none.
    pub(super) fn enter(&mut self, now: Time, out: &mut Effects) {
        self.enter_seen(now, None, out);
    }

    /// Begins the step at hand on what was just seen, if it was: no second look stands between a
    /// decision and the write that it asks for.
    pub(super) fn enter_seen(&mut self, now: Time, seen: Option<&Snapshot>, out: &mut Effects) {
        let Some(step) = self.state.track.step().cloned() else {
            self.plan_done(out);
            return;
        };
        let track = &mut self.state.track;
        (track.since, track.performed, track.reuse, track.failures) = (now, false, None, 0);
        track.vanished = 0;
        track.waiting_for.clear();
        track.probed = None;
        out.records
            .push(Event::StepStarted { step: step.name.clone(), what: step.action.to_string() });
        for reason in [TimerReason::Poll, TimerReason::StepWait, TimerReason::StepDeadline] {
            self.disarm(reason);
        }
        if let Limit::Within(within) = step.deadline.within {
            self.arm(now + within, TimerReason::StepDeadline, out);
        }
        self.begin(now, &step, seen, out);
    }

    fn begin(&mut self, now: Time, step: &Step, seen: Option<&Snapshot>, out: &mut Effects) {
        match &step.action {
            Action::Gate { gate } => {
                let id = self.ask(Request::RunGate(gate.clone()), None, out);
                self.state.track.at = At::Gating(id);
            }
            Action::Analyse { at_least: length } | Action::Bake { length } => {
                self.wait_for(now, *length, out);
                self.watch_from(now, out);
            }
            Action::ConfirmRecovery => {
                self.state.watch = None;
                self.wait_for(now, Span::ZERO, out);
                self.watch_from(now, out);
            }
            Action::KeepPrevious { length } => {
                self.stop_watching();
                self.wait_for(now, *length, out);
            }
            Action::Settle { length } => {
                self.wait_for(now, *length, out);
                self.arm(now + Span::from_secs(10), TimerReason::Poll, out);
            }
            Action::Approve { question } => {
                // Waiting for a person is not the rollout's own time.
                self.state.track.at = At::Waiting;
                self.state.track.waiting_for = format!("a person's answer: {question}");
                let question = question.clone();
                self.tell(question, out);
            }
            Action::Notify { .. } => {
                let id = self.ask(Request::Apply(step.action.clone()), None, out);
                self.state.track.at = At::Performing(id);
            }
            Action::SetModule { .. }
            | Action::Migrate { .. }
            | Action::SetFlag { .. }
            | Action::CreateSet { .. }
            | Action::Scale { .. }
            | Action::SetWeight { .. }
            | Action::MarkKnownGood { .. }
            | Action::SetConfig { .. }
            | Action::Quarantine { .. }
            | Action::CheckResidue => match seen {
                Some(snapshot) => {
                    self.state.track.at = At::Observing;
                    self.step_observed(now, snapshot, out);
                }
                None => self.observe(now, out),
            },
        }
    }

    fn wait_for(&mut self, now: Time, length: Span, out: &mut Effects) {
        self.state.track.at = At::Waiting;
        if !length.is_zero() {
            self.arm(now + length, TimerReason::StepWait, out);
        }
    }

    /// Observes for the step at hand.
    pub(super) fn observe(&mut self, now: Time, out: &mut Effects) {
        self.state.track.at = At::Observing;
        self.ask_to_observe(now, out);
    }

    fn poll(&mut self, now: Time, waiting_for: String, out: &mut Effects) {
        let after = self.poll_after();
        let track = &mut self.state.track;
        track.at = At::Polling;
        if track.waiting_for != waiting_for {
            track.waiting_for.clone_from(&waiting_for);
            if let Some(step) = track.step() {
                out.records.push(Event::Waiting { step: step.name.clone(), for_what: waiting_for });
            }
        }
        self.arm(now + after, TimerReason::Poll, out);
    }

    /// A poll rang.
    pub(super) fn look(&mut self, now: Time, out: &mut Effects) {
        match (&self.state.phase, self.state.track.at) {
            (Phase::Deciding, _) => self.ask_to_observe(now, out),
            (Phase::Forward | Phase::Back, At::Polling) => self.observe(now, out),
            (Phase::Back, At::Waiting) => {
                // Settling: keep an eye on the route.
                self.ask_to_observe(now, out);
                self.arm(now + Span::from_secs(10), TimerReason::Poll, out);
            }
            _ => {}
        }
    }

    pub(super) fn observation_failed(&mut self, now: Time, out: &mut Effects) {
        self.state.track.failures += 1;
        if self.state.track.at == At::Observing {
            self.poll(now, "the world could not be read".to_owned(), out);
        } else {
            let after = self.poll_after();
            self.arm(now + after, TimerReason::Poll, out);
        }
    }

    pub(super) fn step_observed(&mut self, now: Time, snapshot: &Snapshot, out: &mut Effects) {
        if self.state.track.at != At::Observing {
            return;
        }
        let Some(step) = self.state.track.step().cloned() else { return };
        if step.action == Action::CheckResidue {
            self.check_residue(now, snapshot, out);
            return;
        }
        match step.action.progress(snapshot) {
            Progress::Met => self.met(now, &step, out),
            Progress::Never(why) => self.impossible(now, &step, why, true, out),
            Progress::NotYet(why) if self.state.track.performed => {
                if step.action.shows_at_once() {
                    // It was applied and is gone again: someone else wrote over it.
                    // Once it is put back at once; whoever takes it away every time, or a read
                    // that never shows it, must not keep the engine busy without a pause.
                    out.records.push(Event::ThirdParty { what: format!("{why} any more") });
                    self.state.track.vanished += 1;
                    if self.state.track.vanished > 1 {
                        self.state.track.performed = false;
                        self.poll(now, why, out);
                    } else {
                        self.perform(now, &step, snapshot, out);
                    }
                } else {
                    self.poll(now, why, out);
                }
            }
            Progress::NotYet(_) | Progress::NoTrace => self.perform(now, &step, snapshot, out),
            Progress::Unknown(why) => self.poll(now, why, out),
        }
    }

    /// The observation shows what was asked for.
    fn met(&mut self, now: Time, step: &Step, out: &mut Effects) {
        // Found as wanted without having been asked for: it counts all the same.
        self.note_reach(&step.action);
        match (&step.action, step.verification) {
            (Action::SetWeight { candidate }, Verification::ObservedAndProbed) => {
                let probes = probes_needed(*candidate);
                let request = Request::Probe { expected: *candidate, probes };
                let id = self.ask(request, None, out);
                self.state.track.at = At::Probing(id);
            }
            _ => self.step_done(now, "observed", out),
        }
    }

    fn perform(&mut self, now: Time, step: &Step, snapshot: &Snapshot, out: &mut Effects) {
        for condition in &step.requires {
            if let Err(why) = condition.check(snapshot) {
                self.poll(now, why, out);
                return;
            }
        }
        self.note_reach(&step.action);
        if matches!(step.action, Action::SetWeight { .. }) {
            self.state.wrote_route = Some(now);
        }
        let precondition = precondition(&step.action, snapshot);
        let request = Request::Apply(step.action.clone());
        let id = match self.state.track.reuse.take() {
            Some(id) => {
                self.ask_as(id, request, precondition, out);
                id
            }
            None => self.ask(request, precondition, out),
        };
        self.state.track.at = At::Performing(id);
    }

    /// Notes how far the rollout has come, before the effect is performed: from the moment that
    /// something is asked for, it may have happened.
    fn note_reach(&mut self, action: &Action) {
        if self.is_going_back() {
            if let Action::SetWeight { candidate } = action {
                self.state.weight = *candidate;
            }
            return;
        }
        let reached = &mut self.state.reached;
        match action {
            Action::SetWeight { candidate } => {
                self.state.weight = *candidate;
                reached.exposed |= *candidate > Weight::ZERO;
            }
            Action::Migrate { id } => drop(reached.migrations.insert(id.clone())),
            Action::SetModule { name, .. } => drop(reached.modules.insert(name.clone())),
            Action::SetFlag { key, .. } => drop(reached.flags.insert(key.clone())),
            Action::MarkKnownGood { .. } => reached.promoted = true,
            _ => {}
        }
    }

    pub(super) fn applied(
        &mut self,
        now: Time,
        id: EffectId,
        action: &Action,
        result: EffectResult,
        out: &mut Effects,
    ) {
        if matches!(action, Action::Notify { .. }) {
            self.step_done(now, "sent", out);
            return;
        }
        let is_written = matches!(result, EffectResult::Applied | EffectResult::Ambiguous(_));
        if is_written && matches!(action, Action::SetWeight { .. }) {
            // Until now an observation may have read the route as it was before.
            self.state.wrote_route = Some(now);
        }
        match result {
            EffectResult::Applied => {
                self.state.track.performed = true;
                self.state.track.failures = 0;
                self.observe(now, out);
            }
            EffectResult::Ambiguous(_) => {
                self.state.track.reuse = Some(id);
                self.observe(now, out);
            }
            EffectResult::Refused(message) if !self.is_going_back() => {
                let Some(step) = self.state.track.step().cloned() else { return };
                let blames_image = matches!(action, Action::CreateSet { .. });
                self.impossible(now, &step, message, blames_image, out);
            }
            EffectResult::Refused(message) | EffectResult::Failed(message) => {
                self.state.track.failures += 1;
                self.poll(now, message, out);
            }
            EffectResult::Gate(_) | EffectResult::Share { .. } | EffectResult::Measured(_) => {
                self.state.track.failures += 1;
                self.poll(now, "the answer does not fit the request".to_owned(), out);
            }
        }
    }

    pub(super) fn gated(
        &mut self,
        now: Time,
        gate: &Gate,
        result: EffectResult,
        out: &mut Effects,
    ) {
        let (message, blames_image) = match result {
            EffectResult::Gate(report) if report.verdict == Verdict::Pass => {
                self.step_done(now, &report.message, out);
                return;
            }
            EffectResult::Gate(report) => (report.message, report.blames_image),
            other => (
                super::in_words(&other).unwrap_or_else(|| "the gate did not answer".to_owned()),
                false,
            ),
        };
        let cause = Cause::Gate { gate: gate.clone(), message, blames_image };
        self.go_back(now, cause, out);
    }

    pub(super) fn probed(
        &mut self,
        now: Time,
        expected: Weight,
        result: &EffectResult,
        out: &mut Effects,
    ) {
        let EffectResult::Share { hits, probes } = *result else {
            let why = match result {
                EffectResult::Failed(why)
                | EffectResult::Refused(why)
                | EffectResult::Ambiguous(why) => format!(": {why}"),
                _ => String::new(),
            };
            self.poll(now, format!("the share of traffic is not known{why}"), out);
            return;
        };
        self.state.track.probed = Some((hits, probes));
        if share_fits(expected, hits, probes) {
            self.step_done(now, &format!("{hits} of {probes} probes reach the candidate"), out);
        } else {
            let why = format!("probes to show {expected}: {hits} of {probes} reach the candidate");
            self.poll(now, why, out);
        }
    }

    /// A wait that the plan asks for is over.
    pub(super) fn waited(&mut self, now: Time, out: &mut Effects) {
        let Some(step) = self.state.track.step() else { return };
        match step.action {
            Action::Analyse { .. } | Action::Bake { .. } | Action::ConfirmRecovery => {
                self.evidence_complete(now, out);
            }
            Action::KeepPrevious { .. } | Action::Settle { .. } => {
                self.step_done(now, "the time passed", out);
            }
            _ => {}
        }
    }

    pub(super) fn step_done(&mut self, now: Time, known_by: &str, out: &mut Effects) {
        let Some(step) = self.state.track.step().cloned() else { return };
        out.records
            .push(Event::StepDone { step: step.name.clone(), known_by: known_by.to_owned() });
        for reason in [TimerReason::Poll, TimerReason::StepWait, TimerReason::StepDeadline] {
            self.disarm(reason);
        }
        if !self.is_going_back() {
            self.forward_step_done(now, &step.action, out);
        }
        self.state.track.cursor += 1;
        self.state.track.at = At::Start;
        if self.state.paused && !self.is_going_back() {
            self.state.track.at = At::Paused;
            self.state.track.waiting_for = "a person paused the rollout".to_owned();
            return;
        }
        self.enter(now, out);
    }

    fn forward_step_done(&mut self, now: Time, action: &Action, out: &mut Effects) {
        match action {
            Action::SetWeight { candidate } if *candidate > Weight::ZERO => {
                // Evidence of another weight says nothing about this one.
                self.state.watch = Some(Watch::new(now, self.rules.len()));
                self.next_window(out);
            }
            Action::Approve { .. } => {
                let waited = self.state.track.elapsed(now);
                if let Some(at) = self.state.timers.get(&TimerReason::RolloutDeadline).copied() {
                    self.arm(at + waited, TimerReason::RolloutDeadline, out);
                }
            }
            Action::MarkKnownGood { .. } => {
                self.state.reached.promoted = true;
                self.state.outcome = Some(Outcome::Promoted);
                self.disarm(TimerReason::RolloutDeadline);
                out.records.push(Event::Ended { outcome: Outcome::Promoted, residue: Vec::new() });
            }
            _ => {}
        }
    }

    fn check_residue(&mut self, now: Time, snapshot: &Snapshot, out: &mut Effects) {
        if let Some(before) = &self.state.before {
            self.state.residue = residue(&self.brief, before, snapshot);
        }
        self.step_done(now, "listed", out);
    }

    fn plan_done(&mut self, out: &mut Effects) {
        self.stop_watching();
        self.state.timers.clear();
        self.state.phase = Phase::Ended;
        let Direction::Back { pattern } = self.state.track.plan.direction else { return };
        let outcome = match pattern {
            Pattern::Cancel => Outcome::Cancelled,
            _ => Outcome::RolledBack(pattern),
        };
        self.end(outcome, out);
    }

    pub(super) fn end(&mut self, outcome: Outcome, out: &mut Effects) {
        out.records
            .push(Event::Ended { outcome: outcome.clone(), residue: self.state.residue.clone() });
        self.state.outcome = Some(outcome);
    }

    fn impossible(
        &mut self,
        now: Time,
        step: &Step,
        message: String,
        blames_image: bool,
        out: &mut Effects,
    ) {
        if self.is_going_back() {
            self.state.track.failures += 1;
            self.poll(now, message, out);
            return;
        }
        let cause = Cause::Impossible { step: step.name.clone(), message, blames_image };
        self.go_back(now, cause, out);
    }

    /// The current step's time is over.
    pub(super) fn step_expired(&mut self, now: Time, out: &mut Effects) {
        let Some(step) = self.state.track.step().cloned() else { return };
        match step.deadline.then {
            Expiry::Rollback => {
                let cause = self.expiry_cause(now, &step);
                self.go_back(now, cause, out);
            }
            Expiry::Hold => {
                let why = self.expiry_cause(now, &step).to_string();
                self.hold_for_person(why, out);
            }
            Expiry::Fail => {
                let why = format!("{}: {}", step.action, self.state.track.waiting_for);
                self.fail(why, out);
            }
            Expiry::Continue => {
                let why = self.state.track.waiting_for.clone();
                out.records.push(Event::LeftUndone { step: step.name, why });
                self.state.track.cursor += 1;
                self.enter(now, out);
            }
        }
    }

    /// Why the step did not get done in time.
    fn expiry_cause(&self, now: Time, step: &Step) -> Cause {
        let within = self.state.track.elapsed(now);
        match &step.action {
            Action::Approve { question } => Cause::NotApproved { question: question.clone() },
            Action::Analyse { .. } | Action::Bake { .. } | Action::ConfirmRecovery => {
                self.evidence_missing(within, step)
            }
            Action::SetWeight { candidate } => match self.state.track.probed {
                Some((hits, probes)) => {
                    Cause::NotFlipped { asked: *candidate, hits, probes, within }
                }
                None => self.late(within, step),
            },
            _ => self.late(within, step),
        }
    }

    pub(super) fn late(&self, within: Span, step: &Step) -> Cause {
        let waiting_for = if self.state.track.waiting_for.is_empty() {
            step.action.to_string()
        } else {
            self.state.track.waiting_for.clone()
        };
        Cause::Deadline { step: step.name.clone(), waiting_for, within }
    }

    /// Page a person: the way back did not work.
    pub(super) fn fail(&mut self, why: String, out: &mut Effects) {
        self.stop_watching();
        self.state.timers.clear();
        self.state.phase = Phase::Ended;
        self.tell(format!("PAGE: the way back failed: {why}"), out);
        self.end(Outcome::RollbackFailed(why), out);
    }
}

/// What must still be true of the object that is destroyed or moved.
pub(super) fn precondition(action: &Action, snapshot: &Snapshot) -> Option<Precondition> {
    match action {
        Action::SetWeight { .. } => snapshot
            .route
            .value()
            .map(|route| Precondition { uid: 0, resource_version: route.resource_version }),
        Action::Scale { arm, .. } if action.is_destructive() => snapshot
            .set(*arm)
            .map(|set| Precondition { uid: set.uid, resource_version: set.resource_version }),
        _ => None,
    }
}
