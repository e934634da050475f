//! The machine: runs a plan, one input at a time, and says what it wants done.
//!
//! The contract of [`Machine::step`]: the caller passes the time and one input; the machine changes
//! its state once and returns effects. The caller then stores the machine's state and the records,
//! arms the timers, and performs the effects in order; each answer comes back as an input. After a
//! crash the caller restores the stored state and passes [`Input::Restarted`]. Nothing else is
//! needed: what was under way is found out by observing, never by assuming.

mod back;
mod commands;
mod effect;
mod restart;
mod share;
mod state;
mod steps;
mod watch;
mod watching;

use std::sync::Arc;

pub use effect::{
    Command, Effect, EffectId, EffectResult, Effects, GateReport, Input, Outcome, Precondition,
    Request, SignalMeasured, TimerReason,
};
pub use share::{probes_needed, share_fits};
pub use state::{At, Judged, Phase, State, Track};
pub use watch::{Alarm, Rule, Series, Watch, limit_in_words};

use crate::journal::Event;
use crate::judgement::Judge;
use crate::plan::decide::Reached;
use crate::plan::{Action, Brief, Direction, Plan, PlanError};
use crate::snapshot::Snapshot;
use crate::units::{Limit, Span, Time};

/// Runs a plan.
#[derive(Clone, Debug)]
pub struct Machine {
    brief: Arc<Brief>,
    rules: Arc<[Rule]>,
    judge: Arc<dyn Judge>,
    state: State,
}

impl Machine {
    /// A machine before the first step of a forward plan.
    ///
    /// # Errors
    /// When a signal of the policy contradicts itself, which validation reports with its place.
    pub fn new(
        brief: Arc<Brief>,
        plan: Arc<Plan>,
        judge: Arc<dyn Judge>,
    ) -> Result<Self, PlanError> {
        let mut state = State::new(plan);
        state.reached = Reached::at_start(&brief);
        Self::restore(brief, state, judge)
    }

    /// A machine with a stored state. The caller passes [`Input::Restarted`] next.
    ///
    /// # Errors
    /// When a signal of the policy contradicts itself, or the state has another format.
    pub fn restore(
        brief: Arc<Brief>,
        state: State,
        judge: Arc<dyn Judge>,
    ) -> Result<Self, PlanError> {
        if state.format != state::FORMAT {
            return Err(PlanError::Policy(format!(
                "the stored state has format {}, this version reads {}",
                state.format,
                state::FORMAT
            )));
        }
        let rules = brief
            .signals()?
            .into_iter()
            .map(|(name, kind)| Rule { name, limit: kind.limit() })
            .collect();
        Ok(Self { brief, rules, judge, state })
    }

    /// What the machine remembers: what the caller stores.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What the plan was made for.
    #[must_use]
    pub const fn brief(&self) -> &Arc<Brief> {
        &self.brief
    }

    /// The judge that turns samples into verdicts.
    #[must_use]
    pub const fn judge(&self) -> &Arc<dyn Judge> {
        &self.judge
    }

    /// The policy's signals, in its order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Takes one input and says what is to be done. See the module for the caller's part.
    pub fn step(&mut self, now: Time, input: Input) -> Effects {
        let mut out = Effects::default();
        match input {
            Input::Start => self.start(now, &mut out),
            Input::Observed(snapshot) => self.observed(now, &snapshot, &mut out),
            Input::Done { effect, result } => self.done(now, effect, result, &mut out),
            Input::Timer(reason) => self.woken(now, reason, &mut out),
            Input::Command(command) => self.commanded(now, command, &mut out),
            Input::Restarted => self.restarted(now, &mut out),
        }
        self.state.last_step = now;
        out
    }

    fn start(&mut self, now: Time, out: &mut Effects) {
        if self.state.phase != Phase::Ready {
            return;
        }
        self.state.phase = Phase::Surveying;
        self.state.track.since = now;
        if let Limit::Within(within) = self.brief.policy.spec.deadlines.rollout {
            self.arm(now + within, TimerReason::RolloutDeadline, out);
        }
        self.ask_to_observe(now, out);
    }

    /// What was seen, asked for or not. What was read before the machine asked is not the answer,
    /// which is still on its way: it may show a third party, and nothing is decided on it. Asking
    /// again instead would never end where reading takes longer than such reads are apart.
    fn observed(&mut self, now: Time, snapshot: &Snapshot, out: &mut Effects) {
        let answers = snapshot.as_of >= self.state.asked_to_observe;
        if answers {
            self.state.pending.retain(|_, request| *request != Request::Observe);
        }
        match self.state.phase {
            Phase::Surveying if answers => {
                self.state.before = Some(Arc::new(snapshot.clone()));
                self.state.phase = Phase::Forward;
                self.plan_started(out);
                self.enter(now, out);
            }
            Phase::Forward | Phase::Back => {
                if !self.noticed_third_party(now, snapshot, out) && answers {
                    self.step_observed(now, snapshot, out);
                }
            }
            Phase::Deciding if answers => self.decide(now, snapshot, out),
            Phase::Surveying | Phase::Deciding => {}
            Phase::Ready | Phase::Holding | Phase::Held | Phase::Ended => {}
        }
    }

    fn done(&mut self, now: Time, id: EffectId, result: EffectResult, out: &mut Effects) {
        let Some(request) = self.state.pending.remove(&id) else {
            return;
        };
        if let Some(answer) = in_words(&result) {
            out.records.push(Event::Answered { effect: id, answer });
        }
        match (&request, result) {
            (Request::Query(window), result) => self.measured(now, *window, result, out),
            (Request::Observe, _) => self.observation_failed(now, out),
            (Request::RunGate(gate), result) if self.state.track.at == At::Gating(id) => {
                self.gated(now, gate, result, out);
            }
            (Request::Probe { expected, .. }, result) if self.state.track.at == At::Probing(id) => {
                self.probed(now, *expected, &result, out);
            }
            (Request::Apply(action), result) if self.state.track.at == At::Performing(id) => {
                self.applied(now, id, action, result, out);
            }
            // An answer that came too late for its step changes nothing: what it did shows up in
            // the next observation.
            (Request::RunGate(_) | Request::Probe { .. } | Request::Apply(_), _) => {}
        }
    }

    fn woken(&mut self, now: Time, reason: TimerReason, out: &mut Effects) {
        // A timer that was replaced or taken back may still ring.
        if self.state.timers.get(&reason).is_none_or(|at| *at > now) {
            return;
        }
        self.state.timers.remove(&reason);
        match reason {
            TimerReason::Poll => self.look(now, out),
            TimerReason::Window => self.query(out),
            TimerReason::StepWait => self.waited(now, out),
            TimerReason::StepDeadline => self.step_expired(now, out),
            TimerReason::RolloutDeadline => self.rollout_expired(now, out),
            TimerReason::HoldDeadline => self.hold_expired(now, out),
            TimerReason::DecisionDeadline => self.decision_expired(out),
            TimerReason::PauseDeadline => self.pause_expired(now, out),
        }
    }

    /// Asks for an observation that is at least as fresh as now.
    fn ask_to_observe(&mut self, now: Time, out: &mut Effects) {
        self.state.asked_to_observe = now;
        self.ask(Request::Observe, None, out);
    }

    /// Asks for an effect: notes it as pending, which the caller stores before performing it.
    fn ask(
        &mut self,
        request: Request,
        precondition: Option<Precondition>,
        out: &mut Effects,
    ) -> EffectId {
        let id = EffectId(self.state.next_effect);
        self.state.next_effect += 1;
        self.ask_as(id, request, precondition, out);
        id
    }

    fn ask_as(
        &mut self,
        id: EffectId,
        request: Request,
        precondition: Option<Precondition>,
        out: &mut Effects,
    ) {
        if request != Request::Observe {
            out.records.push(Event::Asked { effect: id, request: request.clone() });
        }
        self.state.pending.insert(id, request.clone());
        out.effects.push(Effect {
            id,
            plan: self.state.track.plan.id.clone(),
            generation: self.state.generation,
            request,
            precondition,
        });
    }

    fn arm(&mut self, at: Time, reason: TimerReason, out: &mut Effects) {
        self.state.timers.insert(reason, at);
        out.arms.push((at, reason));
    }

    fn disarm(&mut self, reason: TimerReason) {
        self.state.timers.remove(&reason);
    }

    /// Tells people without waiting for it.
    fn tell(&mut self, message: String, out: &mut Effects) {
        self.ask(Request::Apply(Action::Notify { message }), None, out);
    }

    fn plan_started(&self, out: &mut Effects) {
        let plan = &self.state.track.plan;
        let direction = match &plan.direction {
            Direction::Forward => "forward".to_owned(),
            Direction::Back { pattern } => format!("back ({pattern})"),
        };
        out.records.push(Event::PlanStarted {
            plan: plan.id.clone(),
            direction,
            steps: plan.steps.len(),
        });
    }

    fn is_going_back(&self) -> bool {
        self.state.phase == Phase::Back
    }

    /// Time between two looks at the world, longer after failures.
    fn poll_after(&self) -> Span {
        const SHORTEST: Span = Span::from_secs(2);
        SHORTEST.saturating_mul(1 << self.state.track.failures.min(4))
    }
}

/// What an answer says, for the journal; `None` where the machine records more than the answer.
fn in_words(result: &EffectResult) -> Option<String> {
    match result {
        EffectResult::Applied => Some("applied".to_owned()),
        EffectResult::Refused(message) => Some(format!("refused: {message}")),
        EffectResult::Failed(message) => Some(format!("failed: {message}")),
        EffectResult::Ambiguous(message) => Some(format!("not known: {message}")),
        EffectResult::Gate(report) => Some(format!("{}: {}", report.verdict, report.message)),
        EffectResult::Share { hits, probes } => {
            Some(format!("{hits} of {probes} probes reached the candidate"))
        }
        EffectResult::Measured(_) => None,
    }
}
