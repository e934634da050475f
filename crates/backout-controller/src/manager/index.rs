//! What the cluster holds of policies and releases, kept up to date by watches.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::reflector::{self, Store, reflector};
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::due::ReleaseView;
use crate::resources::Resource;

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// These.
    Namespaces(Vec<String>),
}

/// Policies and releases.
#[derive(Debug)]
pub struct Index {
    policies: Vec<Store<DynamicObject>>,
    releases: Vec<Store<DynamicObject>>,
    changed: Arc<Notify>,
    /// Watches that have not listed everything yet.
    behind: Arc<AtomicUsize>,
    _watches: JoinSet<()>,
}

impl Index {
    /// Begins to watch.
    #[must_use]
    pub fn watch(client: &Client, scope: &Scope) -> Self {
        let mut index = Self {
            policies: Vec::new(),
            releases: Vec::new(),
            changed: Arc::default(),
            behind: Arc::default(),
            _watches: JoinSet::new(),
        };
        for resource in [Resource::ReleasePolicy, Resource::Release] {
            let apis: Vec<Api<DynamicObject>> = match scope {
                Scope::Cluster => vec![Api::all_with(client.clone(), &resource.api())],
                Scope::Namespaces(names) => names
                    .iter()
                    .map(|name| Api::namespaced_with(client.clone(), name, &resource.api()))
                    .collect(),
            };
            for api in apis {
                let store = index.follow(api, resource);
                match resource {
                    Resource::ReleasePolicy => index.policies.push(store),
                    _ => index.releases.push(store),
                }
            }
        }
        index
    }

    fn follow(&mut self, api: Api<DynamicObject>, resource: Resource) -> Store<DynamicObject> {
        let writer = reflector::store::Writer::new(resource.api());
        let store = writer.as_reader();
        let (changed, behind) = (Arc::clone(&self.changed), Arc::clone(&self.behind));
        behind.fetch_add(1, Ordering::SeqCst);
        let events = watcher(api, watcher::Config::default())
            .default_backoff()
            // Nobody here asks who wrote which field, and it is most of an object's size.
            .modify(|object| object.metadata.managed_fields = None);
        self._watches.spawn(async move {
            let mut events = std::pin::pin!(reflector(writer, events));
            let mut is_first = true;
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
                    Ok(watcher::Event::InitDone) => {
                        if std::mem::take(&mut is_first) {
                            behind.fetch_sub(1, Ordering::SeqCst);
                        }
                        changed.notify_one();
                    }
                    Ok(_) => changed.notify_one(),
                    Err(error) => {
                        tracing::warn!(kind = resource.kind(), %error, "a watch broke and is begun anew");
                    }
                }
            }
        });
        store
    }

    /// Waits until something changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether everything was listed at least once.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.behind.load(Ordering::SeqCst) == 0
    }

    /// Namespaces and names of workloads that have a policy.
    #[must_use]
    pub fn workloads(&self) -> BTreeSet<(String, String)> {
        let policies = self.policies();
        policies
            .iter()
            .filter_map(|policy| {
                let workload = policy.data["spec"]["workload"]["name"].as_str()?;
                Some((policy.metadata.namespace.clone()?, workload.to_owned()))
            })
            .collect()
    }

    /// The policies.
    #[must_use]
    pub fn policies(&self) -> Vec<Arc<DynamicObject>> {
        self.policies.iter().flat_map(Store::state).collect()
    }

    /// What counts of the releases; nothing before all were listed, because one that is missing
    /// could be the one on its way.
    #[must_use]
    pub fn releases(&self) -> Vec<ReleaseView> {
        if !self.is_complete() {
            return Vec::new();
        }
        let releases = self.releases.iter().flat_map(Store::state);
        releases.map(|release| ReleaseView::of(&release)).collect()
    }
}
