//! The controller's work while it leads: it watches policies and releases, and leads every rollout
//! that is due. Which one is due is decided by [`due()`].

pub mod due;
mod index;
mod leaving;
mod policies;
pub mod surplus;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backout_core::machine::Command;
use backout_world::driver::{Ended, Handle};
use backout_world::failure::Failure;
use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::due::{Key, Task, due};
pub use self::index::{Index, Scope};
use self::leaving::Left;
use self::policies::Policies;
use crate::api;
use crate::events::{Told, owner_may_undo};
use crate::lead;
use crate::resources::Resource;
use crate::rollout::{self, LeadError, Led, Listener, Options, Rollout};

/// Shortest time between two looks at what is due.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Time between two looks at a release that is being deleted and stays.
const LEAVE_EVERY: Duration = Duration::from_secs(15);

/// Longest time between two looks, even if nothing seems to have changed.
const RESYNC: Duration = Duration::from_secs(30);

/// Shortest and longest pause after a rollout could not be led.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long rollouts may take to stop when leadership ends.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Hears what was stored of each rollout.
pub type Tell = Arc<dyn Fn(&Key, &[backout_core::journal::Entry]) + Send + Sync>;

/// Says something about a release, for people.
pub type Say = Arc<dyn Fn(&Key, Told) + Send + Sync>;

/// Leads rollouts.
pub struct Manager {
    client: Client,
    index: Index,
    options: Options,
    tell: Tell,
    say: Say,
    led: BTreeMap<Key, Handle>,
    /// Rollouts that could not be led: how often, and when to try again.
    pauses: BTreeMap<Key, (u32, Instant)>,
    tasks: JoinSet<(Key, Outcome)>,
    /// Rollouts that are being begun.
    beginning: BTreeSet<Key>,
    policies: Policies,
    /// Releases that are being deleted: when to look at them again.
    leaving: BTreeMap<Key, Instant>,
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager").field("led", &self.led.keys()).finish_non_exhaustive()
    }
}

/// What a task brings back.
enum Outcome {
    Begun(Result<Led, LeadError>),
    /// Someone else leads it.
    LedElsewhere(String),
    Ended(Ended),
    /// It is being deleted.
    Left(Result<Left, Failure>),
}

impl Manager {
    /// A manager of everything that the index holds.
    #[must_use]
    pub fn new(client: Client, index: Index, options: Options, tell: Tell, say: Say) -> Self {
        Self {
            policies: Policies::new(client.clone(), options.runs_programs),
            client,
            index,
            options,
            tell,
            say,
            leaving: BTreeMap::new(),
            led: BTreeMap::new(),
            pauses: BTreeMap::new(),
            tasks: JoinSet::new(),
            beginning: BTreeSet::new(),
        }
    }

    /// Whether policies and releases were listed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.index.is_complete()
    }

    /// Works for as long as `leads` is true, then lets go of every rollout: what is stored of them
    /// is enough for whoever leads next. `beat` is called every time that the work goes round, with
    /// the number of rollouts that are led, and whether policies and releases were listed.
    pub async fn work(
        &mut self,
        leads: &mut watch::Receiver<bool>,
        beat: &(dyn Fn(usize, bool) + Sync),
    ) {
        while *leads.borrow_and_update() {
            beat(self.led.len(), self.index.is_complete());
            self.look();
            let now = Instant::now();
            let pauses = self.pauses.values().map(|(_, at)| *at);
            // What is due already is being done, or waits for something else than time.
            let next = pauses.chain(self.leaving.values().copied()).filter(|at| *at > now).min();
            let wake = next.unwrap_or(now + RESYNC).min(now + RESYNC);
            tokio::select! {
                changed = leads.changed() => if changed.is_err() { break },
                Some(done) = self.tasks.join_next() => self.done(done),
                () = self.index.changed() => tokio::time::sleep(BETWEEN_LOOKS).await,
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        self.let_go().await;
    }

    /// Does what is due.
    fn look(&mut self) {
        let now = Instant::now();
        self.pauses.retain(|_, (_, at)| *at > now - PAUSE.1 * 2);
        let led: BTreeSet<Key> = self.led.keys().chain(self.beginning.iter()).cloned().collect();
        let releases = self.index.releases();
        if self.index.is_complete() {
            self.policies.look(&self.index.policies(), &releases);
        }
        let tasks = due(&self.index.workloads(), &releases, &led);
        self.leaving.retain(|key, _| releases.iter().any(|release| release.key == *key));
        for task in tasks {
            match task {
                Task::Lead(key) => {
                    if self.pauses.get(&key).is_none_or(|(_, at)| *at <= now) {
                        self.begin(key);
                    }
                }
                // Asked again at the next look if it was too early; taken once by its id.
                Task::Seal(key) => self.command(&key, "seal-for-next", Command::Seal),
                Task::GiveUp(key) => self.command(&key, "deleted", Command::Abort),
                Task::Leave(key) => {
                    if self.leaving.get(&key).is_none_or(|at| *at <= now) {
                        self.leaving.insert(key.clone(), now + LEAVE_EVERY);
                        let client = self.client.clone();
                        self.tasks.spawn(async move {
                            let left = leaving::leave(&client, &key).await;
                            (key, Outcome::Left(left))
                        });
                    }
                }
            }
        }
    }

    /// Gives a rollout that is led a command of ours.
    fn command(&self, key: &Key, id: &'static str, command: Command) {
        let (Some(handle), key) = (self.led.get(key).cloned(), key.clone()) else { return };
        tokio::spawn(async move {
            if let Err(why) = handle.command(id, command).await {
                tracing::debug!(release = %key, id, why, "command not taken");
            }
        });
    }

    fn begin(&mut self, key: Key) {
        self.beginning.insert(key.clone());
        let (client, options) = (self.client.clone(), self.options.clone());
        let (tell, told_key) = (Arc::clone(&self.tell), key.clone());
        let listener: Listener = Arc::new(move |entries| tell(&told_key, entries));
        self.tasks.spawn(async move {
            let Key { namespace, name } = &key;
            let outcome = match lead::held_by(client.clone(), namespace, &claim(name)).await {
                Ok(Some(holder)) => Outcome::LedElsewhere(holder),
                Ok(None) => Outcome::Begun(
                    rollout::lead(&client, namespace, name, &options, listener).await,
                ),
                Err(failure) => Outcome::Begun(Err(failure.into())),
            };
            (key, outcome)
        });
    }

    fn done(&mut self, done: Result<(Key, Outcome), tokio::task::JoinError>) {
        let (key, outcome) = match done {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "a task broke");
                return;
            }
        };
        if !matches!(outcome, Outcome::Left(_)) {
            self.beginning.remove(&key);
        }
        match outcome {
            Outcome::Begun(Ok(Led::Running(rollout))) => self.running(key, rollout),
            Outcome::Begun(Ok(Led::Over(_))) => {}
            Outcome::LedElsewhere(holder) => {
                tracing::debug!(release = %key, holder, "led elsewhere");
                self.pauses.insert(key, (0, Instant::now() + Duration::from_secs(5)));
            }
            Outcome::Begun(Err(error)) => self.not_led(key, error),
            Outcome::Left(Ok(Left::Gone | Left::Stays)) => {}
            Outcome::Left(Ok(Left::ToBeLed)) => {
                let is_led = self.led.contains_key(&key) || self.beginning.contains(&key);
                if !is_led {
                    self.begin(key);
                }
            }
            Outcome::Left(Err(failure)) => {
                tracing::warn!(release = %key, failure = failure.in_full(), "release not let go");
            }
            Outcome::Ended(ended) => {
                self.led.remove(&key);
                match ended {
                    Ended::AtRest(state) => {
                        let outcome = state.outcome.map(|outcome| outcome.to_string());
                        tracing::info!(release = %key, outcome, "rollout ended");
                    }
                    Ended::Stopped => tracing::info!(release = %key, "rollout let go"),
                    Ended::Overtaken => {
                        tracing::warn!(release = %key, "rollout is led by someone else");
                        self.pause(key);
                    }
                    Ended::Failed(failure) => {
                        tracing::error!(release = %key, failure = failure.in_full(), "rollout given up");
                        self.pause(key);
                    }
                }
            }
        }
    }

    fn running(&mut self, key: Key, rollout: Rollout) {
        tracing::info!(release = %key, "rollout led");
        self.pauses.remove(&key);
        let Rollout { handle, ended, undone_by } = rollout;
        for who in &undone_by {
            (self.say)(&key, owner_may_undo(who));
        }
        let ended_key = key.clone();
        self.tasks.spawn(async move {
            let ended = ended.await.unwrap_or(Ended::Stopped);
            (ended_key, Outcome::Ended(ended))
        });
        self.led.insert(key, handle);
    }

    fn not_led(&mut self, key: Key, error: LeadError) {
        tracing::warn!(release = %key, %error, "rollout cannot be led");
        let client = self.client.clone();
        let told = key.clone();
        self.pause(key);
        tokio::spawn(async move {
            let objects = api::objects(&client, &told.namespace, Resource::Release);
            if let Err(failure) = stalled(&objects, &told.name, &error).await {
                tracing::warn!(release = %told, failure = failure.in_full(), "status not written");
            }
        });
    }

    fn pause(&mut self, key: Key) {
        let failures = self.pauses.get(&key).map_or(0, |(failures, _)| *failures);
        let pause = (PAUSE.0 * 2_u32.saturating_pow(failures.min(10))).min(PAUSE.1);
        self.pauses.insert(key, (failures + 1, Instant::now() + pause));
    }

    /// Stops every driver, and waits until they have stopped, so that nothing of ours is written
    /// once another leads.
    async fn let_go(&mut self) {
        self.policies.stop();
        for handle in self.led.values() {
            handle.stop();
        }
        let deadline = Instant::now() + STOP_WITHIN;
        while !self.tasks.is_empty() {
            match tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
                // A rollout that had only just begun is stopped like the others.
                Ok(Some(Ok((_, Outcome::Begun(Ok(Led::Running(rollout))))))) => {
                    rollout.handle.stop();
                    let _ = tokio::time::timeout_at(deadline, rollout.ended).await;
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.tasks.abort_all();
        self.led.clear();
        self.beginning.clear();
        self.pauses.clear();
        self.leaving.clear();
    }
}

/// Name of the Lease of whoever drives one rollout from a terminal.
#[must_use]
pub fn claim(release: &str) -> String {
    format!("backout-run-{release}")
}

/// Says in the status why a rollout is not led. What cannot be helped ends it.
async fn stalled(objects: &api::Objects, name: &str, error: &LeadError) -> Result<(), Failure> {
    let object = objects.need(name).await?;
    let status = crate::status::not_led(
        &rollout::status_of(&object),
        object.metadata.generation.unwrap_or_default(),
        &error.to_string(),
        error.may_pass(),
        &Timestamp::now().to_string(),
    );
    if status != rollout::status_of(&object) {
        let value = serde_json::to_value(&status).unwrap_or_default();
        objects.apply_status(name, value).await?;
    }
    Ok(())
}
