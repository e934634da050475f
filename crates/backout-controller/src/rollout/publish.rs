//! Writes what a run says into the status of its Release. Never in the way of the run: only the
//! newest state counts, and a failure is tried again with the next one.

use std::sync::Arc;
use std::time::Duration;

use backout_core::machine::State;
use backout_world::driver::Turns;
use backout_world::failure::Failure;
use jiff::Timestamp;
use kube::Client;
use kube::core::DynamicObject;
use tokio::sync::{Mutex, Notify, watch};

use super::{Options, status_of, told_time};
use crate::api::{self, Objects};
use crate::resources::{LastCommand, ReleaseStatus, Resource};
use crate::status::release_status;

/// Time between two writes at least, so that a busy run does not keep the API server busy.
const BETWEEN: Duration = Duration::from_secs(1);

/// Tries to write the last state.
const LAST_TRIES: u32 = 20;

/// Commands that are remembered.
const REMEMBERED: usize = 10;

/// Publishes the status of one release.
#[derive(Clone, Debug)]
pub struct Publisher {
    objects: Objects,
    name: String,
    generation: i64,
    started: Timestamp,
    turns: Turns,
    /// What was published last.
    last: Arc<Mutex<ReleaseStatus>>,
    /// Something besides the state is new.
    news: Arc<Notify>,
}

impl Publisher {
    /// A publisher for this Release. Every write takes one of the turns of the process, because
    /// people can wait for it and a way back cannot.
    #[must_use]
    pub fn new(
        client: &Client,
        release: &DynamicObject,
        options: &Options,
        started: Timestamp,
    ) -> Self {
        let namespace = release.metadata.namespace.as_deref().unwrap_or("default");
        let mut last = status_of(release);
        last.driver = Some(options.identity.clone());
        Self {
            objects: api::objects(client, namespace, Resource::Release),
            name: release.metadata.name.clone().unwrap_or_default(),
            generation: release.metadata.generation.unwrap_or_default(),
            started,
            turns: options.limits.turns.clone(),
            last: Arc::new(Mutex::new(last)),
            news: Arc::default(),
        }
    }

    /// Name of the release.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Releases of its namespace.
    #[must_use]
    pub const fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Notes who would undo a way back; it is published with the next state.
    pub(super) async fn note_owners(&self, undone_by: &[String]) {
        undone_by.clone_into(&mut self.last.lock().await.undone_by);
    }

    /// Publishes a state.
    ///
    /// # Errors
    ///
    /// When it could not be written.
    pub async fn publish(&self, state: &State) -> Result<(), Failure> {
        let mut last = self.last.lock().await;
        let clock = |time| told_time(self.started, time);
        let status = release_status(state, &last, self.generation, &clock);
        if status == *last {
            return Ok(());
        }
        let value = serde_json::to_value(&status).unwrap_or_default();
        let _turn = self.turns.take().await;
        self.objects.apply_status(&self.name, value).await?;
        *last = status;
        Ok(())
    }

    /// Notes what became of a command; it is published with the next state.
    pub async fn answered(&self, command: LastCommand) {
        let mut last = self.last.lock().await;
        last.last_commands.push(command);
        let over = last.last_commands.len().saturating_sub(REMEMBERED);
        last.last_commands.drain(..over);
        // What is noted now differs from what was written, so that it must be written again.
        last.observed_generation = -1;
        drop(last);
        self.news.notify_one();
    }

    /// Whether a command was answered before.
    pub async fn has_answered(&self, id: &str) -> bool {
        self.last.lock().await.last_commands.iter().any(|command| command.id == id)
    }

    /// Publishes every state until the run is not driven any more.
    pub(super) async fn follow(self, mut states: watch::Receiver<Arc<State>>) {
        loop {
            let state = Arc::clone(&states.borrow_and_update());
            if let Err(failure) = self.publish(&state).await {
                tracing::warn!(release = self.name, failure = %failure.in_full(), "status not written");
            }
            tokio::time::sleep(BETWEEN).await;
            tokio::select! {
                changed = states.changed() => if changed.is_err() { break },
                () = self.news.notified() => {}
            }
        }
        let state = Arc::clone(&states.borrow());
        for _ in 0..LAST_TRIES {
            match self.publish(&state).await {
                Ok(()) => return,
                Err(failure) => {
                    tracing::warn!(release = self.name, failure = %failure.in_full(), "last status not written");
                }
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }
}
