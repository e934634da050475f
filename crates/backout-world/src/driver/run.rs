//! One run: from its beginning, or from what is stored of it, until it is at rest.

use std::sync::Arc;
use std::time::Duration;

use backout_core::journal::{Entry, Event, Header};
use backout_core::judgement::Judge;
use backout_core::machine::{
    Command, Effect, EffectId, EffectResult, Effects, Input, Machine, Phase, Request, State,
    TimerReason,
};
use backout_core::plan::{Plan, PlanError};
use backout_core::policy::Gate;
use backout_core::replay::Recorder;
use backout_core::units::Time;
use futures::FutureExt as _;
use futures::future::OptionFuture;
use jiff::Timestamp;
use rand::RngExt as _;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::store::{FORMAT, Kept, Store, StoreFailure, Stored, Version};
use super::{Clock, Turns, UnixWindow, World};
use crate::failure::{Failure, Kind};

/// How many ids of taken commands are remembered.
const REMEMBERED_COMMANDS: usize = 64;

/// Bounds of the driver itself. Waits of the plan have their own deadlines.
#[derive(Clone, Debug)]
pub struct Limits {
    /// For one look at the world.
    pub observe: Duration,
    /// For one change of it, and for one round of probes or queries.
    pub effect: Duration,
    /// For storing, retries included. A driver that cannot store gives the run up; whoever drives
    /// it next finds out what was done.
    pub store: Duration,
    /// From a change to the look that nobody asked for: what changes meanwhile is seen by the same
    /// look.
    pub between_looks: Duration,
    /// Turns that looks take while nothing is urgent. All runs of a process share them.
    pub turns: Turns,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            observe: Duration::from_secs(15),
            effect: Duration::from_secs(30),
            store: Duration::from_secs(300),
            between_looks: Duration::from_secs(1),
            turns: Turns::default(),
        }
    }
}

/// What a run begins with.
#[derive(Clone, Debug)]
pub enum Start {
    /// With a plan.
    New {
        /// Head of the journal, with what the run was made for.
        header: Box<Header>,
        /// The plan.
        plan: Arc<Plan>,
        /// Time zero.
        started: Timestamp,
    },
    /// With what is stored of it.
    Resumed(Box<Kept>),
}

/// A person's command, with where to answer.
#[derive(Debug)]
struct Asked {
    id: String,
    command: Command,
    answer: oneshot::Sender<Result<(), String>>,
}

/// The way to a run that is being driven.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Asked>,
    state: watch::Receiver<Arc<State>>,
    stop: Arc<watch::Sender<bool>>,
}

impl Handle {
    /// Gives the run a command. A command with an id that was given before is not taken again.
    ///
    /// # Errors
    /// The reason why the engine refuses it, or that nobody drives the run any more.
    pub async fn command(&self, id: &str, command: Command) -> Result<(), String> {
        let gone = || "the run is not driven any more".to_owned();
        let (answer, answered) = oneshot::channel();
        let asked = Asked { id: id.to_owned(), command, answer };
        self.commands.send(asked).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// The machine's state after its newest step that was stored.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<Arc<State>> {
        self.state.clone()
    }

    /// Asks the driver to stop. What is under way is left as it is, and taken up by whoever
    /// resumes the run.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Why a driver stopped.
#[derive(Debug)]
pub enum Ended {
    /// The run is at rest.
    AtRest(Box<State>),
    /// It was asked to.
    Stopped,
    /// Someone else drives the run.
    Overtaken,
    /// It could not go on.
    Failed(Failure),
}

/// Begins to drive a run, as a task of its own.
///
/// # Errors
/// When the run cannot begin: its policy contradicts itself, or its stored state is of another
/// version.
pub fn drive(
    start: Start,
    world: Arc<dyn World>,
    store: Arc<dyn Store>,
    judge: Arc<dyn Judge>,
    limits: Limits,
) -> Result<(Handle, tokio::task::JoinHandle<Ended>), PlanError> {
    drive_commanded(start, world, store, judge, limits, None)
}

/// Begins to drive a run that is given a command, with its id, before anything else. A run that is
/// at rest is left at once, so that only a command that waits already can rouse it.
///
/// # Errors
/// As [`drive`].
pub fn drive_commanded(
    start: Start,
    world: Arc<dyn World>,
    store: Arc<dyn Store>,
    judge: Arc<dyn Judge>,
    limits: Limits,
    first: Option<(String, Command)>,
) -> Result<(Handle, tokio::task::JoinHandle<Ended>), PlanError> {
    let resumed = matches!(start, Start::Resumed(_));
    let begun = begin(start, judge)?;
    let (commands, asked) = mpsc::channel(16);
    if let Some((id, command)) = first {
        // Nobody waits for this answer: the state says what became of it. The queue has room.
        let (answer, _) = oneshot::channel();
        let _ = commands.try_send(Asked { id, command, answer });
    }
    let (publish, state) = watch::channel(Arc::new(begun.machine.state().clone()));
    let (stop, stopped) = watch::channel(false);
    // The machine has few effects under way at a time; a full queue makes answers wait, not grow.
    let (answers, answered) = mpsc::channel(64);
    let driver = Driver {
        machine: begun.machine,
        stored: begun.stored,
        version: begun.version,
        clock: Arc::new(begun.clock),
        unstored: Vec::new(),
        world,
        store,
        limits,
        tasks: JoinSet::new(),
        answers,
        publish,
        looking: false,
        stale: None,
    };
    let handle = Handle { commands, state, stop: Arc::new(stop) };
    let task = tokio::spawn(driver.run(resumed, asked, answered, stopped));
    Ok((handle, task))
}

struct Begun {
    machine: Machine,
    stored: Stored,
    version: Option<Version>,
    clock: Clock,
}

fn begin(start: Start, judge: Arc<dyn Judge>) -> Result<Begun, PlanError> {
    match start {
        Start::New { header, plan, started } => {
            let brief = brief_of(&header)?;
            let machine = Machine::new(brief, plan, judge)?;
            let stored = Stored {
                format: FORMAT.to_owned(),
                header: *header,
                state: machine.state().clone(),
                recorder: Recorder::default(),
                commands: Vec::new(),
                entries: 0,
            };
            Ok(Begun { machine, stored, version: None, clock: Clock::new(started, Time::ZERO) })
        }
        Start::Resumed(kept) => {
            let Kept { stored, version } = *kept;
            if stored.format != FORMAT {
                return Err(PlanError::Policy(format!(
                    "the stored run has format `{}`, this version reads `{FORMAT}`",
                    stored.format
                )));
            }
            let started = started_at(&stored.header)?;
            let clock = Clock::new(started, stored.state.last_step);
            let brief = brief_of(&stored.header)?;
            let machine = Machine::restore(brief, stored.state.clone(), judge)?;
            Ok(Begun { machine, stored, version: Some(version), clock })
        }
    }
}

fn brief_of(header: &Header) -> Result<Arc<backout_core::plan::Brief>, PlanError> {
    let live = header.live.as_ref().ok_or_else(not_live)?;
    Ok(Arc::new(live.brief.clone()))
}

fn started_at(header: &Header) -> Result<Timestamp, PlanError> {
    let live = header.live.as_ref().ok_or_else(not_live)?;
    live.started_at.parse().map_err(|error| {
        PlanError::Policy(format!("the stored run began at `{}`: {error}", live.started_at))
    })
}

fn not_live() -> PlanError {
    PlanError::Policy("the stored run does not say what it was made for".to_owned())
}

struct Driver {
    machine: Machine,
    stored: Stored,
    version: Option<Version>,
    clock: Arc<Clock>,
    /// Entries of steps that asked for nothing, to be stored with the next that does.
    unstored: Vec<Entry>,
    world: Arc<dyn World>,
    store: Arc<dyn Store>,
    limits: Limits,
    tasks: JoinSet<()>,
    answers: mpsc::Sender<Answer>,
    publish: watch::Sender<Arc<State>>,
    /// Whether a look that nobody asked for is under way.
    looking: bool,
    /// Something changed that has not been looked at.
    stale: Option<Stale>,
}

/// Something changed.
#[derive(Clone, Copy, Debug)]
struct Stale {
    /// What was read after this time shows it.
    since: Time,
    /// When it is looked at, if nobody looks earlier.
    look_at: Instant,
}

/// What a task brings back.
#[derive(Debug)]
enum Answer {
    /// For the machine.
    Input(Input),
    /// A look that nobody asked for, or nothing when it failed.
    Look(Option<Input>),
}

/// What the driver woke up for.
enum Wake {
    Answer(Answer),
    Timer,
    Asked(Asked),
    Changed,
    Look,
    Stop,
}

impl Driver {
    async fn run(
        mut self,
        resumed: bool,
        mut asked: mpsc::Receiver<Asked>,
        mut answered: mpsc::Receiver<Answer>,
        mut stopped: watch::Receiver<bool>,
    ) -> Ended {
        // A run that was stored before its first step begins like a new one.
        let first = match self.machine.state().phase {
            Phase::Ready => Input::Start,
            _ if resumed => Input::Restarted,
            _ => Input::Start,
        };
        if let Err(ended) = self.step(first).await {
            return ended;
        }
        loop {
            // A command that came while the run was at rest is taken before it is left.
            if self.is_over() && asked.is_empty() {
                asked.close();
                return match self.keep(&[]).await {
                    Ok(()) => Ended::AtRest(Box::new(self.machine.state().clone())),
                    Err(ended) => ended,
                };
            }
            let wake = self.wait(&mut asked, &mut answered, &mut stopped).await;
            let result = match wake {
                Wake::Stop => return self.keep(&[]).await.map_or_else(|e| e, |()| Ended::Stopped),
                Wake::Answer(Answer::Input(input)) => self.step(input).await,
                Wake::Answer(Answer::Look(look)) => self.looked(look).await,
                Wake::Timer => self.ring().await,
                Wake::Asked(asked) => self.commanded(asked).await,
                Wake::Changed => {
                    self.changed(self.clock.now());
                    Ok(())
                }
                Wake::Look => {
                    self.look();
                    Ok(())
                }
            };
            if let Err(ended) = result {
                return ended;
            }
        }
    }

    /// Nothing more happens by itself. A run that is held is not over: it waits for a person.
    fn is_over(&self) -> bool {
        let state = self.machine.state();
        state.phase == Phase::Ended && state.pending.is_empty()
    }

    async fn wait(
        &mut self,
        asked: &mut mpsc::Receiver<Asked>,
        answered: &mut mpsc::Receiver<Answer>,
        stopped: &mut watch::Receiver<bool>,
    ) -> Wake {
        let due = self.machine.state().timers.values().min().copied();
        let now = self.clock.now();
        let until_due = due.map(|due| Duration::from_millis(due.since(now).as_millis()));
        let timer = async {
            match until_due {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending::<()>().await,
            }
        };
        let world = Arc::clone(&self.world);
        let may_look = !self.machine.state().is_at_rest();
        let changed = async {
            if may_look && self.stale.is_none() {
                world.changed().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let look = async {
            match self.stale {
                Some(stale) if may_look && !self.looking => {
                    tokio::time::sleep_until(stale.look_at).await;
                }
                _ => std::future::pending::<()>().await,
            }
        };
        tokio::select! {
            biased;
            // Without a handle nobody can stop it any more, and it runs to its end.
            Ok(_) = stopped.wait_for(|stop| *stop) => Wake::Stop,
            Some(answer) = answered.recv() => Wake::Answer(answer),
            Some(asked) = asked.recv() => Wake::Asked(asked),
            () = timer => Wake::Timer,
            () = changed => Wake::Changed,
            () = look => Wake::Look,
        }
    }

    /// One input, as the machine's contract has it: step, store, perform.
    async fn step(&mut self, input: Input) -> Result<(), Ended> {
        let now = self.clock.now();
        if let Input::Observed(snapshot) = &input {
            self.stale = self.stale.filter(|stale| stale.since >= snapshot.as_of);
        }
        let taken = Box::new(self.stored.recorder.record(&input));
        let effects = self.machine.step(now, input);
        let Effects { records, arms, effects } = effects;
        self.unstored.push(Entry { at: now, event: Event::Took { input: taken } });
        let quiet = records.is_empty() && arms.is_empty() && effects.is_empty();
        self.unstored.extend(records.into_iter().map(|event| Entry { at: now, event }));
        if !quiet {
            self.keep(&effects).await?;
        }
        for effect in effects {
            self.perform(effect);
        }
        Ok(())
    }

    /// Stores the state with its pending effects, and what the journal has new.
    async fn keep(&mut self, effects: &[Effect]) -> Result<(), Ended> {
        if self.unstored.is_empty() && effects.is_empty() {
            return Ok(());
        }
        self.stored.state = self.machine.state().clone();
        self.stored.entries += u64::try_from(self.unstored.len()).unwrap_or(u64::MAX);
        let entries = std::mem::take(&mut self.unstored);
        let deadline = Instant::now() + self.limits.store;
        let mut failures = 0;
        loop {
            let version = self.version.as_ref();
            let storing = self.store.store(&self.stored, &entries, version);
            let result = tokio::time::timeout(self.limits.effect, storing).await;
            let failure = match result {
                Ok(Ok(version)) => {
                    self.version = Some(version);
                    self.publish.send_replace(Arc::new(self.machine.state().clone()));
                    return Ok(());
                }
                // An earlier try may have been stored although its answer was lost.
                Ok(Err(StoreFailure::Overtaken)) if failures > 0 && self.was_stored().await => {
                    return Ok(());
                }
                Ok(Err(StoreFailure::Overtaken)) => {
                    self.tasks.abort_all();
                    return Err(Ended::Overtaken);
                }
                Ok(Err(StoreFailure::Failed(failure))) => failure,
                Err(_) => Failure::new(Kind::Ambiguous, "storing the run took too long"),
            };
            failures += 1;
            let pause = back_off(failures);
            tracing::warn!(failures, %failure, "the run could not be stored");
            if Instant::now() + pause >= deadline {
                self.tasks.abort_all();
                return Err(Ended::Failed(failure));
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Whether what is stored is what we meant to store. Two drivers never mean the same: each
    /// writes down when it took over.
    async fn was_stored(&mut self) -> bool {
        let loading = tokio::time::timeout(self.limits.effect, self.store.load()).await;
        let Ok(Ok(Some(kept))) = loading else { return false };
        let ours = kept.stored == self.stored;
        if ours {
            self.version = Some(kept.version);
            self.publish.send_replace(Arc::new(self.machine.state().clone()));
        }
        ours
    }

    /// Starts an effect. Its answer comes back through the queue.
    fn perform(&mut self, effect: Effect) {
        if matches!(effect.request, Request::Observe) {
            self.about_to_read();
        }
        let (world, clock) = (Arc::clone(&self.world), Arc::clone(&self.clock));
        let (answers, limits) = (self.answers.clone(), self.limits.clone());
        let turns = self.turns();
        self.tasks.spawn(async move {
            let input = match &effect.request {
                Request::Observe => {
                    let _turn = OptionFuture::from(turns.as_ref().map(Turns::take)).await;
                    let looked = observe(&*world, &clock, limits.observe).await;
                    looked.unwrap_or_else(|failure| Input::Done {
                        effect: effect.id,
                        result: EffectResult::Failed(failure.in_full()),
                    })
                }
                _ => carry_out(&*world, &clock, &effect, &limits).await,
            };
            // The driver is gone when nobody takes the answer, and so is the need for it.
            let _ = answers.send(Answer::Input(input)).await;
        });
        while self.tasks.try_join_next().is_some() {}
    }

    /// The turns that a look takes now: none on the way back, which waits for nobody.
    fn turns(&self) -> Option<Turns> {
        let is_urgent = matches!(self.machine.state().phase, Phase::Deciding | Phase::Back);
        (!is_urgent).then(|| self.limits.turns.clone())
    }

    /// Something changed that only what is read after this time is sure to show.
    fn changed(&mut self, since: Time) {
        let look_at = Instant::now() + self.limits.between_looks;
        let look_at = self.stale.map_or(look_at, |stale| stale.look_at);
        self.stale = Some(Stale { since, look_at });
    }

    /// What was heard of before the world is read is shown by what is read, and needs no other
    /// look unless that fails: most of it is what the run itself has just done.
    fn about_to_read(&mut self) {
        if self.world.changed().now_or_never().is_some() {
            let before_ms = self.clock.now().as_millis().saturating_sub(1);
            self.changed(Time::from_millis(before_ms));
        }
    }

    /// Looks because something changed. What shows nothing new is not even written down.
    fn look(&mut self) {
        self.about_to_read();
        self.stale = None;
        self.looking = true;
        let (world, clock) = (Arc::clone(&self.world), Arc::clone(&self.clock));
        let (answers, limits) = (self.answers.clone(), self.limits.clone());
        let turns = self.turns();
        self.tasks.spawn(async move {
            let _turn = OptionFuture::from(turns.as_ref().map(Turns::take)).await;
            let looked = observe(&*world, &clock, limits.observe).await.ok();
            let _ = answers.send(Answer::Look(looked)).await;
        });
    }

    async fn looked(&mut self, look: Option<Input>) -> Result<(), Ended> {
        self.looking = false;
        let Some(Input::Observed(snapshot)) = look else {
            // What changed is still not known.
            self.changed(self.clock.now());
            return Ok(());
        };
        let recorder = &self.stored.recorder;
        if recorder.has_seen(&snapshot) || recorder.is_behind(&snapshot) {
            return Ok(());
        }
        self.step(Input::Observed(snapshot)).await
    }

    /// Passes every timer on that is due.
    async fn ring(&mut self) -> Result<(), Ended> {
        let now = self.clock.now();
        let due: Vec<TimerReason> = self
            .machine
            .state()
            .timers
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(reason, _)| *reason)
            .collect();
        for reason in due {
            self.step(Input::Timer(reason)).await?;
        }
        Ok(())
    }

    async fn commanded(&mut self, asked: Asked) -> Result<(), Ended> {
        let Asked { id, command, answer } = asked;
        if self.stored.commands.contains(&id) {
            let _ = answer.send(Ok(()));
            return Ok(());
        }
        let permitted = self.machine.permits(&command);
        self.stored.commands.push(id);
        if self.stored.commands.len() > REMEMBERED_COMMANDS {
            self.stored.commands.remove(0);
        }
        // It is answered only when it is stored, so that a command that was taken stays taken.
        self.step(Input::Command(command)).await?;
        let _ = answer.send(permitted);
        Ok(())
    }
}

async fn observe(world: &dyn World, clock: &Clock, within: Duration) -> Result<Input, Failure> {
    // The time before the first read: no fact may claim to be newer than it is.
    let as_of = clock.now();
    match tokio::time::timeout(within, world.observe()).await {
        Ok(Ok(snapshot)) => Ok(Input::Observed(Box::new(snapshot.as_of(as_of)))),
        Ok(Err(failure)) => Err(failure),
        Err(_) => Err(Failure::new(
            Kind::Failed,
            format!("the world could not be read within {} s", within.as_secs()),
        )),
    }
}

async fn carry_out(world: &dyn World, clock: &Clock, effect: &Effect, limits: &Limits) -> Input {
    let window = match &effect.request {
        Request::Query(window) => Some(UnixWindow::of(*window, clock)),
        _ => None,
    };
    let within = match &effect.request {
        // A smoke test has a limit of its own, which the adapter keeps; this one is behind it.
        Request::RunGate(Gate::SmokeTest(test)) => {
            Duration::from_millis(test.within.as_millis()).saturating_add(limits.effect)
        }
        _ => limits.effect,
    };
    let result = tokio::time::timeout(within, world.perform(effect, window)).await;
    let result = result.unwrap_or_else(|_| {
        let why = format!("no answer within {} s", within.as_secs());
        match &effect.request {
            Request::Apply(_) => EffectResult::Ambiguous(why),
            _ => EffectResult::Failed(why),
        }
    });
    answered(effect.id, result)
}

const fn answered(effect: EffectId, result: EffectResult) -> Input {
    Input::Done { effect, result }
}

/// A pause that doubles with every failure up to ten seconds, with a random half, so that many
/// that failed together do not try again together.
fn back_off(failures: u32) -> Duration {
    const LONGEST_MS: u64 = 10_000;
    let full_ms = (50_u64 << failures.min(8)).min(LONGEST_MS);
    let jitter_ms = rand::rng().random_range(0..=full_ms / 2);
    Duration::from_millis(full_ms / 2 + jitter_ms)
}
