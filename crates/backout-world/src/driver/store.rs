//! What is stored of a run before anything is performed: the machine's state, and the journal.

use std::fmt;

use backout_core::journal::{Entry, Header};
use backout_core::machine::State;
use backout_core::replay::Recorder;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Version of the stored form.
pub(super) const FORMAT: &str = "backout.dev/run/v1alpha1";

/// All that a restart needs, besides a fresh look at the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stored {
    /// Version of this form.
    pub format: String,
    /// Head of the journal, with the beginning of the run and what it was made for.
    pub header: Header,
    /// What the machine remembers.
    pub state: State,
    /// What the journal refers back to.
    pub recorder: Recorder,
    /// Ids of the commands that were taken, newest last, so that none is taken twice.
    pub commands: Vec<String>,
    /// Entries of the journal that were stored so far.
    pub entries: u64,
}

/// The version that stored data had when it was last read or written by us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub String);

/// What was found of a run.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The data.
    pub stored: Stored,
    /// Its version.
    pub version: Version,
}

/// A journal as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// Its head.
    pub header: Header,
    /// Its entries, in order.
    pub entries: Vec<Entry>,
}

/// Why a run was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// Someone else stored the run since: it is not ours to drive any more.
    #[error("the run is driven by someone else: its stored state changed")]
    Overtaken,
    /// It could not be stored; trying again may help.
    #[error("the run cannot be stored: {0}")]
    Failed(#[from] Failure),
}

/// Keeps runs. Both parts of what is stored, state and entries, are stored together or not at all.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Reads the run, if there is one.
    fn load(&self) -> BoxFuture<'_, Result<Option<Kept>, Failure>>;

    /// Stores the state and appends the entries, if what is stored still has the version; `None`
    /// is for a run that was never stored. Returns the new version.
    fn store<'a>(
        &'a self,
        stored: &'a Stored,
        entries: &'a [Entry],
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Version, StoreFailure>>;

    /// Reads the whole journal.
    fn journal(&self) -> BoxFuture<'_, Result<Journal, Failure>>;
}
