//! A kubelet for tests: pods of its node are local processes.

mod environment;
pub mod faults;
pub(crate) mod node;
mod pod;
mod probe;
pub(crate) mod state;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use self::faults::Faults;
use super::registry::Registry;

/// The name of the one node.
pub const NODE: &str = "node-1";
/// The node's address.
pub const NODE_IP: &str = "10.244.0.2";

/// What every pod needs.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) registry: Registry,
    pub(super) faults: Faults,
    /// Holds one folder per pod: `root` and the containers' logs.
    pub(super) directory: PathBuf,
}

/// A running kubelet. Dropping it ends it with all pods.
#[derive(Debug)]
pub struct Kubelet {
    task: AbortHandle,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Kubelet {
    /// Registers the node and starts running pods.
    ///
    /// # Errors
    /// The API server refuses the node, or the folder cannot be made.
    pub async fn start(
        client: Client,
        registry: Registry,
        faults: Faults,
        directory: &Path,
    ) -> Result<Self> {
        std::fs::create_dir_all(directory).context("cannot make the folder of the pods")?;
        node::register(&client).await?;
        let shared = Shared { client, registry, faults, directory: directory.to_owned() };
        let task = tokio::spawn(run(shared)).abort_handle();
        Ok(Self { task })
    }
}

/// One pod that runs here.
struct Running {
    uid: String,
    stop: watch::Sender<Option<Duration>>,
}

/// The pods that run here, by namespace and name.
struct Pods {
    shared: Shared,
    running: BTreeMap<(String, String), Running>,
    /// Those that a list has shown since it began.
    listed: Vec<(String, String)>,
    tasks: JoinSet<()>,
    addresses: u32,
}

async fn run(shared: Shared) {
    let api: Api<Pod> = Api::all(shared.client.clone());
    let here = watcher::Config::default().fields(&format!("spec.nodeName={NODE}"));
    let mut events = watcher::watcher(api, here).default_backoff().boxed();
    let heartbeat = node::keep_alive(shared.client.clone());
    let mut pods = Pods {
        shared,
        running: BTreeMap::new(),
        listed: Vec::new(),
        tasks: JoinSet::new(),
        addresses: 0,
    };
    let follow = async {
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => pods.follow(event),
                // The watcher begins again by itself, after a pause.
                Err(error) => tracing::debug!("the watch of pods broke: {error}"),
            }
        }
    };
    tokio::select! {
        () = follow => {}
        () = heartbeat => {}
    }
}

impl Pods {
    fn follow(&mut self, event: Event<Pod>) {
        while self.tasks.try_join_next().is_some() {}
        match event {
            Event::Apply(pod) => self.apply(pod),
            Event::InitApply(pod) => {
                self.listed.push(key(&pod));
                self.apply(pod);
            }
            Event::Init => self.listed.clear(),
            Event::Delete(pod) => self.gone(&key(&pod)),
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let gone: Vec<_> =
                    self.running.keys().filter(|key| !listed.contains(key)).cloned().collect();
                for key in gone {
                    self.gone(&key);
                }
            }
        }
    }

    fn apply(&mut self, pod: Pod) {
        let key = key(&pod);
        let uid = pod.uid().unwrap_or_default();
        let grace = pod.metadata.deletion_timestamp.is_some().then(|| {
            let seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(30);
            Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
        });
        if self.running.get(&key).is_some_and(|running| running.uid != uid) {
            self.gone(&key);
        }
        if let Some(running) = self.running.get(&key) {
            running.stop.send_if_modified(|stop| {
                let news = grace.is_some() && stop.is_none();
                if news {
                    *stop = grace;
                }
                news
            });
            return;
        }
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) && grace.is_none() {
            return;
        }
        let (stop, told) = watch::channel(grace);
        let ip = self.next_address();
        self.tasks.spawn(pod::run(self.shared.clone(), pod, ip, told));
        self.running.insert(key, Running { uid, stop });
    }

    /// The object is gone: its processes end at once.
    fn gone(&mut self, key: &(String, String)) {
        if let Some(running) = self.running.remove(key) {
            running.stop.send_replace(Some(Duration::ZERO));
        }
    }

    /// Addresses are not used twice, so that late traffic to an old pod reaches nobody.
    fn next_address(&mut self) -> String {
        let number = self.addresses;
        self.addresses += 1;
        format!("10.244.{}.{}", 1 + number / 250 % 250, 2 + number % 250)
    }
}

fn key(pod: &Pod) -> (String, String) {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}
