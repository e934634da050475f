//! One rollout in a cluster: from its objects to a driver, with its status and its commands.

mod beginning;
mod commands;
mod publish;
mod subject;
mod watched;

use std::sync::Arc;

use backout_core::machine::{Phase, State};
use backout_core::plan::PlanError;
use backout_core::units::Time;
use backout_judge::Windows;
use backout_world::driver::{self, Ended, Handle, Journal, Kept, Limits, Start, Store as _};
use backout_world::failure::{Failure, Kind};
use backout_world::live::{self, BeginError, Live, Setup};
use backout_world::store::ClusterStore;
use jiff::Timestamp;
use kube::Client;
use tokio::task::JoinHandle;

pub use beginning::FINALIZER;
pub(crate) use beginning::{hold, let_go};
pub use commands::{COMMAND_PREFIX, annotation, parse_command};
pub use publish::Publisher;
pub(crate) use subject::environment;
pub use subject::{ENVIRONMENT, Subject, SubjectError};
pub use watched::Listener;

use crate::resources::ReleaseStatus;

/// How rollouts are led.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who leads, as the status tells it.
    pub identity: String,
    /// Whether programs that a policy names may be run.
    pub runs_programs: bool,
    /// Bounds of the driver.
    pub limits: Limits,
}

/// Why a rollout cannot be led.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeadError {
    /// What it is made of is missing or wrong.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// Something could not be read.
    #[error("{}", .0.in_full())]
    World(#[from] Failure),
    /// It may not begin.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// What is stored of it cannot be used.
    #[error("the stored run cannot be taken up: {0}")]
    Stored(PlanError),
}

impl LeadError {
    /// Whether trying the same again later could help. What cannot be helped ends the release.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Subject(error) => error.may_pass(),
            Self::World(_) => true,
            Self::Begin(error) => match error {
                BeginError::World(_) => true,
                BeginError::Plan(error) => matches!(error, PlanError::UnknownFact { .. }),
                BeginError::Undriven { .. } | BeginError::Gate { .. } => false,
            },
            Self::Stored(_) => true,
        }
    }
}

/// A rollout that is being led.
#[derive(Debug)]
pub struct Rollout {
    /// The way to its driver.
    pub handle: Handle,
    /// Ends when the driver has ended, and its last state is published.
    pub ended: JoinHandle<Ended>,
    /// Who would undo a way back, in words; only of a rollout that begins.
    pub undone_by: Vec<String>,
}

/// What became of an attempt to lead.
#[derive(Debug)]
pub enum Led {
    /// It runs.
    Running(Rollout),
    /// It ended before, and its status says so now.
    Over(Box<State>),
}

/// Leads the rollout of a release: begins it, or takes it up from what is stored. `listener` hears
/// what is stored of it.
///
/// # Errors
///
/// When it cannot be led, with what to do. Nothing was changed then.
pub async fn lead(
    client: &Client,
    namespace: &str,
    release: &str,
    options: &Options,
    listener: Listener,
) -> Result<Led, LeadError> {
    let object = subject::release_object(client, namespace, release).await?;
    let owner = subject::owner(&object);
    let store = ClusterStore::new(client.clone(), namespace, release, owner.clone());
    let kept = store.load().await?;
    let (brief, started) = match &kept {
        Some(kept) => stored_brief(kept)?,
        None => (Subject::read(client, namespace, object.clone()).await?.brief(), Timestamp::now()),
    };
    let publisher = Publisher::new(client, &object, options, started);
    let mut first = None;
    if let Some(kept) = &kept
        && is_over(&kept.stored.state)
    {
        let state = kept.stored.state.clone();
        first = commands::rousing(&object, &publisher, &brief, &state).await;
        if first.is_none() {
            publisher.publish(&state).await?;
            return Ok(Led::Over(Box::new(state)));
        }
    }
    let setup = Setup {
        client: client.clone(),
        brief,
        started,
        owner,
        runs_programs: options.runs_programs,
    };
    let policy = Arc::clone(&setup.brief.policy);
    let world = Arc::new(Live::new(setup).await?);
    let mut undone_by = Vec::new();
    let start = match kept {
        Some(kept) => Start::Resumed(Box::new(kept)),
        None => {
            // A way forward is not begun where nothing can be measured.
            if let Err(why) = live::prometheus(client, &policy).await? {
                return Err(Failure::new(Kind::Missing, why).into());
            }
            let start = live::begin(&world, started).await?;
            undone_by = beginning::undone_by(client, &policy).await;
            publisher.note_owners(&undone_by).await;
            hold(client, namespace, release).await?;
            start
        }
    };
    let store = watched::WatchedStore::new(store, listener);
    let (store, judge, limits) = (Arc::new(store), Arc::new(Windows), options.limits.clone());
    let (handle, task) = driver::drive_commanded(start, world, store, judge, limits, first)
        .map_err(LeadError::Stored)?;
    let publishing = tokio::spawn(publisher.clone().follow(handle.state()));
    let listening = tokio::spawn(commands::listen(client.clone(), publisher, handle.clone()));
    let ended = tokio::spawn(async move {
        let ended = task.await.unwrap_or_else(|error| {
            let message = format!("the driver broke: {error}");
            Ended::Failed(Failure::new(Kind::Failed, message))
        });
        listening.abort();
        // The publisher ends by itself after the last state, or gives up after some tries.
        let _ = publishing.await;
        ended
    });
    Ok(Led::Running(Rollout { handle, ended, undone_by }))
}

/// Nothing more happens, unless a way back that failed is tried again by a person.
pub(crate) fn is_over(state: &State) -> bool {
    state.phase == Phase::Ended && state.pending.is_empty()
}

fn stored_brief(kept: &Kept) -> Result<(Arc<backout_core::plan::Brief>, Timestamp), LeadError> {
    let live = kept.stored.header.live.as_ref().ok_or_else(|| {
        LeadError::Stored(PlanError::Policy("it does not say what it was made for".to_owned()))
    })?;
    let started = live.started_at.parse().map_err(|error| {
        let message = format!("it began at `{}`: {error}", live.started_at);
        LeadError::Stored(PlanError::Policy(message))
    })?;
    Ok((Arc::new(live.brief.clone()), started))
}

/// The journal of a release's rollout.
///
/// # Errors
///
/// When it cannot be read, or the rollout never began.
pub async fn journal(client: &Client, namespace: &str, release: &str) -> Result<Journal, Failure> {
    ClusterStore::new(client.clone(), namespace, release, None).journal().await
}

/// Writes a moment of a run as RFC 3339, in UTC.
fn told_time(started: Timestamp, time: Time) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let at = started.as_millisecond().saturating_add(millis);
    Timestamp::from_millisecond(at).unwrap_or(started).to_string()
}

/// The status as an object has it.
pub(crate) fn status_of(object: &kube::core::DynamicObject) -> ReleaseStatus {
    serde_json::from_value(object.data["status"].clone()).unwrap_or_default()
}
