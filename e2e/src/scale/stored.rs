//! What runs are kept in: every write of it, as a watch shows it, and what is left at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::task::AbortHandle;

/// Label of every ConfigMap that a run is kept in.
const RUN: &str = "backout.dev/run";

/// A watch of them. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Stored {
    writes: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
    task: AbortHandle,
}

/// What was stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    /// Writes of all runs.
    pub(super) writes: u64,
    /// Bytes of all writes.
    pub(super) written: u64,
    /// Objects at the end.
    pub(super) objects: usize,
    /// Bytes at the end.
    pub(super) kept: u64,
}

impl Drop for Stored {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stored {
    /// Begins to watch.
    pub(super) fn watch(client: &Client) -> Self {
        let (writes, bytes) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counted = (Arc::clone(&writes), Arc::clone(&bytes));
        let api: Api<ConfigMap> = Api::all(client.clone());
        let task = tokio::spawn(async move {
            let of_runs = watcher::Config::default().labels(RUN);
            let mut events = std::pin::pin!(watcher(api, of_runs));
            while let Some(event) = events.next().await {
                if let Ok(watcher::Event::Apply(object)) = event {
                    counted.0.fetch_add(1, Ordering::Relaxed);
                    counted.1.fetch_add(size(&object), Ordering::Relaxed);
                }
            }
        });
        Self { writes, bytes, task: task.abort_handle() }
    }

    /// What was seen, and what is there now.
    pub(super) async fn figures(&self, client: &Client) -> Result<Figures> {
        let api: Api<ConfigMap> = Api::all(client.clone());
        let listed = api.list(&ListParams::default().labels(RUN)).await.context("stored runs")?;
        Ok(Figures {
            writes: self.writes.load(Ordering::Relaxed),
            written: self.bytes.load(Ordering::Relaxed),
            objects: listed.items.len(),
            kept: listed.items.iter().map(size).sum(),
        })
    }
}

/// The bytes of an object's data.
fn size(object: &ConfigMap) -> u64 {
    let values = object.data.iter().flat_map(|data| data.values());
    values.map(|value| u64::try_from(value.len()).unwrap_or_default()).sum()
}
