//! A store that tells what it stored: events and figures come from what is certain, and never
//! stand before it.

use std::fmt;
use std::sync::Arc;

use backout_core::journal::Entry;
use backout_world::driver::{Journal, Kept, Store, StoreFailure, Stored, Version};
use backout_world::failure::Failure;
use futures::FutureExt as _;
use futures::future::BoxFuture;

/// Hears what was stored of a run. Must return at once.
pub type Listener = Arc<dyn Fn(&[Entry]) + Send + Sync>;

/// A store with someone who hears of every success.
pub(super) struct WatchedStore<S> {
    inner: S,
    listener: Listener,
}

impl<S> WatchedStore<S> {
    pub(super) const fn new(inner: S, listener: Listener) -> Self {
        Self { inner, listener }
    }
}

impl<S: fmt::Debug> fmt::Debug for WatchedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<S: Store> Store for WatchedStore<S> {
    fn load(&self) -> BoxFuture<'_, Result<Option<Kept>, Failure>> {
        self.inner.load()
    }

    fn store<'a>(
        &'a self,
        stored: &'a Stored,
        entries: &'a [Entry],
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Version, StoreFailure>> {
        async move {
            let version = self.inner.store(stored, entries, version).await?;
            (self.listener)(entries);
            Ok(version)
        }
        .boxed()
    }

    fn journal(&self) -> BoxFuture<'_, Result<Journal, Failure>> {
        self.inner.journal()
    }
}
