//! Going back, holding, and noticing that someone else moved things.

use std::sync::Arc;

use super::Machine;
use super::effect::{Effects, Outcome, Request, TimerReason};
use super::state::{At, Phase, State, Track};
use super::steps::precondition;
use super::watch::{Alarm, Watch};
use crate::journal::Event;
use crate::plan::decide::decide;
use crate::plan::{Action, Brief, Cause, Choice, Decision, Plan, Stage, back};
use crate::policy::OnDeadline;
use crate::snapshot::Snapshot;
use crate::units::{Limit, Time, Weight};

/// How often traffic is moved back again before a person is paged.
const REASSERT_AT_MOST: u32 = 20;

impl State {
    /// The way back that would be decided on this snapshot, with its plan if anything would be done
    /// without a person. The machine asks the same when something goes wrong, so that what is shown
    /// before is what is done later.
    #[must_use]
    pub fn way_back(
        &self,
        brief: &Brief,
        snapshot: &Snapshot,
        cause: &Cause,
    ) -> (Decision, Option<Plan>) {
        let mut reached = self.reached.clone();
        // Traffic that someone else sent to the candidate is exposure too.
        reached.exposed |= snapshot.weight().is_some_and(|weight| weight > Weight::ZERO);
        let decision = decide(brief, &reached, snapshot, cause);
        let parent = &self.forward.as_ref().unwrap_or(&self.track).plan;
        let plan = back::plan(brief, parent, &reached, snapshot, cause, &decision);
        (decision, plan)
    }
}

impl Machine {
    /// Begins the way back: reads the world afresh, then decides.
    pub(super) fn go_back(&mut self, now: Time, cause: Cause, out: &mut Effects) {
        out.records.push(Event::Triggered { cause: cause.clone() });
        self.state.cause = Some(cause);
        self.state.phase = Phase::Deciding;
        self.state.paused = false;
        self.stop_watching();
        self.state.timers.clear();
        self.state.track.failures = 0;
        let within = self.brief.policy.spec.rollback.within.saturating_mul(5);
        self.arm(now + within, TimerReason::DecisionDeadline, out);
        self.ask_to_observe(now, out);
    }

    /// Decides on a fresh snapshot, and begins what was decided.
    pub(super) fn decide(&mut self, now: Time, snapshot: &Snapshot, out: &mut Effects) {
        let cause = self.state.cause.clone().unwrap_or(Cause::Planned);
        // Traffic that someone else sent to the candidate is exposure too.
        if let Some(weight) = snapshot.weight() {
            self.state.reached.exposed |= weight > Weight::ZERO;
            self.state.weight = weight;
        }
        let (decision, plan) = self.state.way_back(&self.brief, snapshot, &cause);
        out.records.push(Event::Decided { decision: Box::new(decision.clone()) });
        self.disarm(TimerReason::DecisionDeadline);
        self.disarm(TimerReason::Poll);
        let held = match &decision.choice {
            Choice::Hold(reason) => Some(reason.to_string()),
            Choice::Back(_) | Choice::FlagOff(_) => None,
        };
        self.state.decision = Some(Arc::new(decision));
        let Some(plan) = plan else {
            let why = held.unwrap_or_else(|| "no plan leads back".to_owned());
            self.hold_for_person(why, out);
            return;
        };
        let track = Track::new(Arc::new(plan), now);
        let former = std::mem::replace(&mut self.state.track, track);
        self.state.forward.get_or_insert(former);
        self.state.generation += 1;
        self.state.phase = Phase::Back;
        self.state.outcome = None;
        self.state.residue.clear();
        self.plan_started(out);
        self.enter_seen(now, Some(snapshot), out);
    }

    /// Both arms degrade alike: stands still and goes on watching.
    pub(super) fn hold_still(&mut self, now: Time, index: usize, out: &mut Effects) {
        let cause = self.shared(index);
        let why = cause.to_string();
        self.state.cause = Some(cause);
        self.state.phase = Phase::Holding;
        for reason in [TimerReason::StepDeadline, TimerReason::StepWait, TimerReason::Poll] {
            self.disarm(reason);
        }
        let until = match self.brief.policy.spec.triggers.shared_cause.hold {
            Limit::Within(within) => {
                self.arm(now + within, TimerReason::HoldDeadline, out);
                Some(now + within)
            }
            Limit::None => None,
        };
        out.records.push(Event::Held { why: why.clone(), until });
        self.tell(format!("held: {why}; the release is not shown to be the cause"), out);
    }

    /// A window was judged while standing still.
    pub(super) fn holding_judged(&mut self, now: Time, out: &mut Effects) {
        let policy = Arc::clone(&self.brief.policy);
        let Some(watch) = &self.state.watch else { return };
        match watch.alarm(now, &policy.spec.triggers) {
            Some(Alarm::Bad(_)) => {
                self.state.phase = Phase::Forward;
                self.disarm(TimerReason::HoldDeadline);
                self.rejudge(now, out);
            }
            None if watch.passes() => {
                self.resume(now, "both releases are well again", out);
            }
            Some(Alarm::Shared(_) | Alarm::Silent(..)) | None => {}
        }
    }

    /// The candidate turned out worse than the shared cause explains.
    fn rejudge(&mut self, now: Time, out: &mut Effects) {
        let policy = Arc::clone(&self.brief.policy);
        let alarm =
            self.state.watch.as_ref().and_then(|watch| watch.alarm(now, &policy.spec.triggers));
        if let Some(Alarm::Bad(index)) = alarm {
            let cause = self.bad(index);
            self.go_back(now, cause, out);
        }
    }

    /// Goes on with the step at hand, with fresh evidence.
    pub(super) fn resume(&mut self, now: Time, why: &str, out: &mut Effects) {
        self.disarm(TimerReason::HoldDeadline);
        out.records.push(Event::Resumed { why: why.to_owned() });
        self.state.phase = Phase::Forward;
        self.state.cause = None;
        self.state.outcome = None;
        if self.state.watch.is_some() {
            self.state.watch = Some(Watch::new(now, self.rules.len()));
            self.next_window(out);
        }
        // A person's pause outlasts the hold.
        if !(self.state.paused && self.state.track.at == At::Paused) {
            self.enter(now, out);
        }
    }

    pub(super) fn hold_expired(&mut self, now: Time, out: &mut Effects) {
        if self.state.phase != Phase::Holding {
            return;
        }
        match self.brief.policy.spec.triggers.shared_cause.then {
            OnDeadline::Rollback => {
                // Going back does not mend the cause, but it takes the candidate out of question.
                let cause = Cause::Operator { command: "the policy's sharedCause.then".to_owned() };
                self.go_back(now, cause, out);
            }
            OnDeadline::Hold => {
                let why = self.state.cause.as_ref().map_or_else(String::new, Cause::to_string);
                self.hold_for_person(why, out);
            }
        }
    }

    /// Ends the automatic part: a person is needed.
    pub(super) fn hold_for_person(&mut self, why: String, out: &mut Effects) {
        self.stop_watching();
        self.state.timers.clear();
        self.state.phase = Phase::Held;
        self.state.paused = false;
        out.records.push(Event::Held { why: why.clone(), until: None });
        self.tell(format!("PAGE: a decision is needed: {why}"), out);
        self.end(Outcome::Held(why), out);
    }

    pub(super) fn rollout_expired(&mut self, now: Time, out: &mut Effects) {
        let waiting = matches!(
            self.state.track.step().map(|step| &step.action),
            Some(Action::Approve { .. })
        ) && self.state.track.at == At::Waiting;
        match self.state.phase {
            // The time of a person is not the rollout's: an approval has its own limit, a pause is
            // the person's own doing, and a hold has its own deadline.
            Phase::Forward if waiting || self.state.paused => {
                let again = now + crate::units::Span::from_mins(1);
                self.arm(again, TimerReason::RolloutDeadline, out);
            }
            Phase::Holding => {
                let again = now + crate::units::Span::from_mins(1);
                self.arm(again, TimerReason::RolloutDeadline, out);
            }
            Phase::Forward | Phase::Surveying => {
                let within = match self.brief.policy.spec.deadlines.rollout {
                    Limit::Within(within) => within,
                    Limit::None => return,
                };
                let cause = match self.state.track.step().cloned() {
                    Some(step) => self.late(within, &step),
                    None => Cause::Planned,
                };
                self.go_back(now, cause, out);
            }
            _ => {}
        }
    }

    pub(super) fn decision_expired(&mut self, out: &mut Effects) {
        if self.state.phase == Phase::Deciding {
            self.fail("the world could not be read to decide the way back".to_owned(), out);
        }
    }

    /// Someone else changed what the plan rests on; says whether the step at hand is dealt with.
    pub(super) fn noticed_third_party(
        &mut self,
        now: Time,
        snapshot: &Snapshot,
        out: &mut Effects,
    ) -> bool {
        let Some(route) = snapshot.route.value() else { return false };
        let seen_before = self.state.wrote_route.is_some_and(|wrote| snapshot.as_of <= wrote);
        let same = route.candidate_weight == self.state.weight;
        if same || seen_before || self.is_moving_traffic() {
            return false;
        }
        let what = format!(
            "{} set the candidate's weight to {}, the plan has {}",
            route.written_by, route.candidate_weight, self.state.weight
        );
        if self.is_going_back() {
            self.reassert(now, snapshot, &what, out)
        } else {
            out.records.push(Event::ThirdParty { what: what.clone() });
            let step = self.state.track.step().map_or_else(String::new, |step| step.name.clone());
            let cause = Cause::Impossible { step, message: what, blames_image: false };
            self.go_back(now, cause, out);
            true
        }
    }

    /// While a weight is being set, the route may show the one before.
    fn is_moving_traffic(&self) -> bool {
        matches!(self.state.track.step().map(|step| &step.action), Some(Action::SetWeight { .. }))
    }

    /// Moves traffic back again at once, and goes on: what is still to be made stick is what keeps
    /// it from moving again. Settling begins anew, and ends with another look at the share.
    fn reassert(&mut self, now: Time, snapshot: &Snapshot, what: &str, out: &mut Effects) -> bool {
        let plan = Arc::clone(&self.state.track.plan);
        let back = Action::SetWeight { candidate: Weight::ZERO };
        let moving =
            plan.steps.iter().position(|step| step.stage == Stage::Return && step.action == back);
        if moving.is_some_and(|moving| moving >= self.state.track.cursor) {
            return false;
        }
        out.records.push(Event::ThirdParty { what: what.to_owned() });
        self.state.reasserted += 1;
        if self.state.reasserted > REASSERT_AT_MOST {
            self.fail(format!("{what}, {REASSERT_AT_MOST} times over"), out);
            return true;
        }
        if moving.is_none() {
            // This way back does not move traffic, because none had been sent. Now there is some.
            let cause = self.state.cause.clone().unwrap_or(Cause::Planned);
            self.go_back(now, cause, out);
            return true;
        }
        self.state.wrote_route = Some(now);
        let precondition = precondition(&back, snapshot);
        self.ask(Request::Apply(back), precondition, out);
        let settling = matches!(self.state.track.step(), Some(step) if matches!(step.action, Action::Settle { .. }));
        if settling {
            self.enter(now, out);
        }
        settling
    }
}
