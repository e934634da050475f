//! One rehearsal: the engine against the world, event by event, with the oracles looking on.

use std::sync::Arc;

use backout_core::journal::{self, Entry, Header, Rehearsal};
use backout_core::machine::{At, Command, Effects, Input, Outcome, Phase, Request, State};
use backout_core::plan::{Action, Brief, Cause, Pattern, Plan};
use backout_core::snapshot::Arm;
use backout_core::units::{Span, Time, Weight};

use crate::engine::Engine;
use crate::faults::{CrashAt, CrashPoint, Fault};
use crate::oracles::{Finale, Oracle, View, Violation};
use crate::scenario::{FaultPlan, Trigger};
use crate::world::{Event, World};

/// How long a run may go on without an outcome before it is cut off and called wedged. The time
/// that people have for their answers comes on top.
const HORIZON: Span = Span::from_hours(24);

/// The controller's crash, if the fault plan has one.
#[derive(Clone, Copy, Debug)]
struct Crash {
    at: CrashAt,
    point: CrashPoint,
    down: Span,
}

/// A rehearsal under way.
#[derive(Clone, Debug)]
pub struct Run<E> {
    /// The engine.
    pub engine: E,
    /// The world.
    pub world: World,
    plan: Arc<Plan>,
    faults: Arc<FaultPlan>,
    crash: Option<Crash>,
    down: bool,
    stored: Option<Box<State>>,
    effects: u32,
    asked_person: Option<usize>,
    log_read: usize,
    exposed: bool,
    full: bool,
    forks: bool,
    forked_at: Option<(u32, usize)>,
    record: Record,
}

/// What is known about a run when it is over.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// How it ended; absent when it was cut off.
    pub outcome: Option<Outcome>,
    /// What made the engine go back or hold.
    pub cause: Option<Cause>,
    /// When that was.
    pub triggered: Option<Time>,
    /// Whether any user traffic had been sent to the candidate by then.
    pub exposed_before: bool,
    /// Share of the candidate that was asked for by then.
    pub triggered_weight: Weight,
    /// The step of the forward plan at which it was.
    pub triggered_at_step: Option<usize>,
    /// When a fault struck.
    pub struck: Option<Time>,
    /// Since when no user is served badly, after the trigger.
    pub safe: Option<Time>,
    /// When the outcome was reached.
    pub ended: Option<Time>,
    /// Bad requests that the release cost users.
    pub bad_requests: u64,
    /// Effects that were asked for.
    pub effects: u32,
    /// Events that happened.
    pub events: u32,
    /// When a run without an outcome is cut off.
    pub horizon: Span,
    /// Whether the run was cut off without an outcome.
    pub cut_off: bool,
    /// What the engine still waited for when it was cut off.
    pub waiting_for: String,
    /// The step that it waited in.
    pub waiting_in: Option<usize>,
    /// What the oracles found.
    pub violations: Vec<Violation>,
    /// The journal, if it was kept.
    pub journal: Option<Vec<Entry>>,
    /// When user traffic was first sent to the candidate.
    pub exposed_at: Option<Time>,
}

impl Record {
    /// The pattern of the way back, if one was taken.
    #[must_use]
    pub const fn pattern(&self) -> Option<Pattern> {
        match &self.outcome {
            Some(Outcome::RolledBack(pattern)) => Some(*pattern),
            Some(Outcome::Cancelled) => Some(Pattern::Cancel),
            _ => None,
        }
    }
}

/// The header of a run's journal.
#[must_use]
pub fn header(brief: &Brief, scenario: &str, seed: u64) -> Header {
    Header {
        format: journal::FORMAT.to_owned(),
        policy: brief.policy.metadata.name.clone(),
        environment: brief.environment.clone(),
        stable: brief.stable.reference(),
        candidate: brief.candidate.reference(),
        strategy: brief.strategy_in_words(),
        rehearsal: Some(Rehearsal { scenario: scenario.to_owned(), seed }),
        live: None,
    }
}

impl<E: Engine> Run<E> {
    /// A rehearsal before its first event.
    #[must_use]
    pub fn new(engine: E, world: World, plan: Arc<Plan>, faults: Arc<FaultPlan>) -> Self {
        let crash = faults.faults.iter().find_map(|planned| match &planned.fault {
            Fault::ControllerCrash(crash) => {
                Some(Crash { at: crash.at, point: crash.point, down: crash.down })
            }
            _ => None,
        });
        Self {
            engine,
            world,
            plan,
            faults,
            crash,
            down: false,
            stored: None,
            effects: 0,
            asked_person: None,
            log_read: 0,
            exposed: false,
            full: false,
            forks: false,
            forked_at: None,
            record: Record::default(),
        }
    }

    /// The forward plan.
    #[must_use]
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    /// Forks at every new step, to see that a rollback from there would reach a safe state (L3).
    #[must_use]
    pub const fn with_forks(mut self) -> Self {
        self.forks = true;
        self
    }

    /// Keeps a journal.
    #[must_use]
    pub fn with_journal(mut self) -> Self {
        self.record.journal = Some(Vec::new());
        self
    }

    /// Runs to the end, with the oracles looking on after every event.
    pub fn to_end(mut self, oracles: &mut [Box<dyn Oracle>]) -> Record {
        self.begin(oracles);
        while self.advance(oracles) {}
        self.finish(oracles)
    }

    /// The first input.
    pub fn begin(&mut self, oracles: &mut [Box<dyn Oracle>]) {
        self.arm_faults(|trigger| match trigger {
            Trigger::Start {} => Some(Span::ZERO),
            Trigger::Elapsed { after } => Some(after),
            Trigger::Exposed { .. } | Trigger::FullWeight { .. } => None,
        });
        let horizon = horizon(&self.plan);
        self.record.horizon = horizon;
        self.world.schedule(horizon, Event::Horizon);
        self.strike_now();
        let effects = self.engine.step(self.world.now, Input::Start);
        self.carry_out(&effects, oracles, &Event::ControllerBack);
    }

    /// Faults at the start strike before the first input.
    fn strike_now(&mut self) {
        let faults = Arc::clone(&self.faults);
        for planned in &faults.faults {
            if planned.when == (Trigger::Start {}) {
                let what = planned.fault.strike(&mut self.world);
                self.record.struck.get_or_insert(self.world.now);
                self.tell_world(what);
            }
        }
    }

    fn arm_faults(&mut self, after: impl Fn(Trigger) -> Option<Span>) {
        let faults = Arc::clone(&self.faults);
        for (index, planned) in faults.faults.iter().enumerate() {
            if planned.when == (Trigger::Start {}) {
                continue;
            }
            if let Some(after) = after(planned.when) {
                self.world.schedule(after, Event::Strike { index });
            }
        }
    }

    /// Lets the next event happen; says whether the run goes on.
    pub fn advance(&mut self, oracles: &mut [Box<dyn Oracle>]) -> bool {
        let Some((at, event)) = self.world.pop() else { return false };
        self.world.advance(at);
        self.record.events += 1;
        match &event {
            Event::Horizon => {
                // A promoted release may still keep the previous one for days; that is no wait.
                // A pause that a person asked for has its own deadline.
                let bounded = self.world.brief.policy.spec.deadlines.pause.span().is_some();
                if bounded && self.engine.state().paused {
                    self.world.schedule(HORIZON, Event::Horizon);
                } else if self.engine.state().outcome.is_none() {
                    self.record.cut_off = true;
                    return false;
                }
            }
            Event::Deliver(input) if !self.down => {
                self.deliver(input.clone(), oracles, &event);
            }
            Event::Person(command) if !self.down => {
                self.deliver(Input::Command(command.clone()), oracles, &event);
            }
            Event::Deliver(_) | Event::Person(_) => {}
            Event::Strike { index } => self.strike(*index),
            Event::ControllerBack => self.come_back(oracles, &event),
            Event::PodsReady { .. }
            | Event::RouteReaches { .. }
            | Event::ConfigLive { .. }
            | Event::GitOpsLooks { .. } => {
                if let Some(what) = self.world.happen(&event) {
                    self.tell_world(what);
                }
            }
        }
        self.look(oracles, &event, &Effects::default());
        self.fork_at_new_step();
        !self.is_over()
    }

    /// L3: from every reachable state, `rollback` reaches a safe state once faults stop. Each new
    /// step is such a state; the crash sweep reaches the ones between.
    fn fork_at_new_step(&mut self) {
        let state = self.engine.state();
        let here = (state.generation, state.track.cursor);
        if !self.forks || self.down || self.forked_at == Some(here) {
            return;
        }
        self.forked_at = Some(here);
        if let Err(why) = self.would_come_back(Span::from_hours(2)) {
            self.record.violations.push(Violation {
                oracle: "L3",
                at: self.world.now,
                what: format!("rollback from here would not reach a safe state: {why}"),
            });
        }
    }

    /// The next event, if it is an input for the engine.
    #[must_use]
    pub fn peek_answer(&self) -> Option<(Time, Input)> {
        match self.world.peek() {
            Some((at, Event::Deliver(input))) => Some((at, input.clone())),
            _ => None,
        }
    }

    /// At rest, with every answer given and the data plane where it was sent.
    fn is_over(&self) -> bool {
        let state = self.engine.state();
        let settled = self.world.gateway.given_ppm == self.world.gateway.asked_ppm
            || self.world.afflictions.flip != crate::world::Flip::Works;
        state.is_at_rest() && state.pending.is_empty() && !self.down && settled
    }

    fn strike(&mut self, index: usize) {
        let faults = Arc::clone(&self.faults);
        if let Some(planned) = faults.faults.get(index) {
            let what = planned.fault.strike(&mut self.world);
            self.record.struck.get_or_insert(self.world.now);
            self.tell_world(what);
        }
    }

    fn deliver(&mut self, input: Input, oracles: &mut [Box<dyn Oracle>], event: &Event) {
        let before_store = self.crash.is_some_and(|crash| crash.point == CrashPoint::BeforeStore);
        let former = before_store.then(|| Box::new(self.engine.state().clone()));
        let effects = self.engine.step(self.world.now, input);
        if let (Some(former), Some(crash)) = (former, self.crash)
            && effects
                .effects
                .iter()
                .zip(self.effects..)
                .any(|(effect, number)| crash.hits(number, &effect.request))
        {
            self.go_down(crash, Some(former));
            return;
        }
        self.carry_out(&effects, oracles, event);
    }

    /// Stores, arms and performs, in this order; a crash may fall between any two effects.
    fn carry_out(&mut self, effects: &Effects, oracles: &mut [Box<dyn Oracle>], event: &Event) {
        let now = self.world.now;
        self.note_trigger(effects);
        if let Some(journal) = &mut self.record.journal {
            let entries = effects.records.iter().cloned();
            journal.extend(entries.map(|event| Entry { at: now, event }));
        }
        for (at, reason) in &effects.arms {
            let after = at.since(now);
            self.world.schedule(after, Event::Deliver(Input::Timer(*reason)));
        }
        for effect in &effects.effects {
            let number = self.effects;
            self.effects += 1;
            let crash = self.crash.filter(|crash| crash.hits(number, &effect.request));
            if let Some(crash) = crash.filter(|crash| crash.point == CrashPoint::BeforePerform) {
                self.go_down(crash, None);
                break;
            }
            self.world.submit(effect);
            if let Some(crash) = crash.filter(|crash| crash.point == CrashPoint::AfterPerform) {
                self.go_down(crash, None);
                break;
            }
        }
        self.follow_traffic();
        self.ask_person();
        self.look(oracles, event, effects);
    }

    fn go_down(&mut self, crash: Crash, stored: Option<Box<State>>) {
        self.crash = None;
        self.down = true;
        self.stored = Some(stored.unwrap_or_else(|| Box::new(self.engine.state().clone())));
        self.world.controller_crashes();
        self.world.schedule(crash.down, Event::ControllerBack);
        self.tell_world("the controller crashed".to_owned());
    }

    fn come_back(&mut self, oracles: &mut [Box<dyn Oracle>], event: &Event) {
        let Some(stored) = self.stored.take() else { return };
        self.down = false;
        self.engine = self.engine.restored(*stored);
        // A person whose answer got lost in the crash sees the question again.
        self.asked_person = None;
        let input = match self.engine.state().phase {
            // Nothing was stored yet: the run begins again.
            Phase::Ready => Input::Start,
            _ => Input::Restarted,
        };
        let effects = self.engine.step(self.world.now, input);
        self.carry_out(&effects, oracles, event);
    }

    /// Arms the faults that follow the candidate's traffic.
    fn follow_traffic(&mut self) {
        let weight = self.engine.state().weight;
        if !self.exposed && weight > Weight::ZERO {
            self.exposed = true;
            self.record.exposed_at = Some(self.world.now);
            self.arm_faults(|trigger| match trigger {
                Trigger::Exposed { after } => Some(after),
                _ => None,
            });
        }
        if !self.full && weight == Weight::FULL {
            self.full = true;
            self.arm_faults(|trigger| match trigger {
                Trigger::FullWeight { after } => Some(after),
                _ => None,
            });
        }
    }

    /// People answer questions after a while, if they are there.
    fn ask_person(&mut self) {
        let track = &self.engine.state().track;
        let asks = matches!(track.step().map(|step| &step.action), Some(Action::Approve { .. }));
        if asks && track.at == At::Waiting && self.asked_person != Some(track.cursor) {
            self.asked_person = Some(track.cursor);
            if let Some(after) = self.world.spec.people_answer_after {
                self.world.schedule(after, Event::Person(Command::Promote));
            }
        }
    }

    fn note_trigger(&mut self, effects: &Effects) {
        use backout_core::journal::Event as Entry;
        for record in &effects.records {
            let cause = match record {
                Entry::Triggered { cause } => Some(cause.clone()),
                Entry::Held { .. } if self.record.triggered.is_none() => {
                    self.engine.state().cause.clone()
                }
                _ => None,
            };
            let Some(cause) = cause else { continue };
            if self.record.triggered.is_none() {
                self.record.triggered = Some(self.world.now);
                self.record.exposed_before = self.engine.state().reached.exposed;
                self.record.triggered_weight = self.engine.state().weight;
                self.record.triggered_at_step = Some(self.engine.state().track.cursor);
                self.record.cause = Some(cause);
            }
        }
    }

    fn tell_world(&mut self, what: String) {
        if let Some(journal) = &mut self.record.journal {
            let event = journal::Event::World { what };
            journal.push(Entry { at: self.world.now, event });
        }
    }

    /// The oracles look at what has become of the world.
    fn look(&mut self, oracles: &mut [Box<dyn Oracle>], event: &Event, effects: &Effects) {
        self.watch_safety();
        let state = self.engine.state();
        if state.outcome.is_some() && self.record.ended.is_none() {
            self.record.ended = Some(self.world.now);
        }
        let view = View {
            now: self.world.now,
            world: &self.world,
            state,
            plan: &self.plan,
            faults: &self.faults,
            event,
            effects,
            news: self.world.log.get(self.log_read..).unwrap_or_default(),
            record: &self.record,
        };
        let mut found: Vec<Violation> =
            oracles.iter_mut().filter_map(|oracle| oracle.check(&view)).collect();
        self.log_read = self.world.log.len();
        self.record.violations.append(&mut found);
    }

    fn watch_safety(&mut self) {
        let Some(triggered) = self.record.triggered else { return };
        if self.world.serves_badly() {
            self.record.safe = None;
        } else if self.record.safe.is_none() {
            self.record.safe = Some(self.world.now.max(triggered));
        }
    }

    /// Closes the books.
    pub fn finish(mut self, oracles: &mut [Box<dyn Oracle>]) -> Record {
        let state = self.engine.state();
        self.record.outcome.clone_from(&state.outcome);
        self.record.bad_requests = self.world.harm.by_release;
        self.record.effects = self.effects;
        self.record.waiting_for.clone_from(&state.track.waiting_for);
        self.record.waiting_in = (state.phase == Phase::Forward).then_some(state.track.cursor);
        let finale = Finale {
            world: &self.world,
            state,
            plan: &self.plan,
            faults: &self.faults,
            record: &self.record,
        };
        let mut found: Vec<Violation> =
            oracles.iter_mut().filter_map(|oracle| oracle.finish(&finale)).collect();
        self.record.violations.append(&mut found);
        self.record
    }

    /// A copy of the run in which the faults stop and a person asks to go back; runs until it is at
    /// rest or the time is over.
    ///
    /// # Errors
    /// Why users would not be well served in the end.
    pub fn would_come_back(&self, within: Span) -> Result<(), String> {
        let mut fork = self.clone();
        fork.crash = None;
        fork.forks = false;
        fork.record.journal = None;
        fork.world.heal();
        let mut none: [Box<dyn Oracle>; 0] = [];
        let start = fork.world.now;
        if !fork.down {
            fork.deliver(Input::Command(Command::Rollback), &mut none, &Event::ControllerBack);
        }
        while fork.world.now.since(start) < within && !fork.is_over() {
            if !fork.advance(&mut none) {
                break;
            }
        }
        let state = fork.engine.state();
        let served = Arm::Stable;
        let safe = fork.world.ready(served) > 0 || fork.world.share_ppm(served) == 0;
        match (&state.outcome, safe) {
            (Some(Outcome::RollbackFailed(why)), _) => Err(format!("rollback failed: {why}")),
            (_, false) => Err("users are sent to a release without a ready pod".to_owned()),
            (Some(_), true) => Ok(()),
            (None, true) => {
                Err(format!("still not at rest after {within}: {}", state.track.waiting_for))
            }
        }
    }
}

fn horizon(plan: &Plan) -> Span {
    plan.steps
        .iter()
        .filter(|step| matches!(step.action, Action::Approve { .. }))
        .filter_map(|step| step.deadline.within.span())
        .fold(HORIZON, Span::saturating_add)
}

impl Crash {
    fn hits(&self, number: u32, request: &Request) -> bool {
        match self.at {
            CrashAt::Effect(wanted) => wanted == number,
            CrashAt::ReturnOfTraffic {} => matches!(
                request,
                Request::Apply(Action::SetWeight { candidate }) if *candidate == Weight::ZERO
            ),
        }
    }
}
