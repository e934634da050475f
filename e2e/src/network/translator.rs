//! The task that keeps Envoy's files as the API server's objects want them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, DynamicObject};
use kube::runtime::reflector::{Store, reflector, store::Writer};
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::files::Files;
use super::routes::{Route, RouteKind, configuration, http2_clusters};
use super::translate::{Backend, backends};
use super::{Control, Progress, RouteKey, route_resource, status};

/// A watch that failed is tried again after this time: resources may be defined later.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// Starts the watches and the task; returns when Services and slices are known.
pub(super) async fn start(
    client: &Client,
    files: Files,
    control: watch::Receiver<Control>,
    progress: watch::Sender<Progress>,
) -> Result<Vec<JoinHandle<()>>> {
    let changed = Arc::new(Notify::new());
    let mut tasks = Vec::new();
    let services: Store<Service> = follow(Api::all(client.clone()), (), &changed, &mut tasks);
    let slices: Store<EndpointSlice> = follow(Api::all(client.clone()), (), &changed, &mut tasks);
    let mut routes = Vec::new();
    for kind in [RouteKind::Http, RouteKind::Grpc] {
        let resource = route_resource(kind);
        let api = Api::all_with(client.clone(), &resource);
        routes.push((kind, follow(api, resource, &changed, &mut tasks)));
    }
    let known = async {
        services.wait_until_ready().await?;
        slices.wait_until_ready().await
    };
    timeout(Duration::from_secs(20), known)
        .await
        .context("Services and EndpointSlices not listed within 20 s")?
        .context("the watch of Services or EndpointSlices ended")?;
    let translator = Translator {
        client: client.clone(),
        services,
        slices,
        routes,
        files,
        progress,
        late: VecDeque::new(),
        newest: None,
        applied: Generations::new(),
        failed: false,
    };
    tasks.push(tokio::spawn(translator.run(control, changed)));
    Ok(tasks)
}

fn follow<K>(
    api: Api<K>,
    kind: K::DynamicType,
    changed: &Arc<Notify>,
    tasks: &mut Vec<JoinHandle<()>>,
) -> Store<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Clone + Eq + Hash + Send + Sync,
{
    let writer = Writer::new(kind);
    let store = writer.as_reader();
    let changed = Arc::clone(changed);
    tasks.push(tokio::spawn(async move {
        let mut events = pin!(reflector(writer, watcher(api, watcher::Config::default())));
        while let Some(event) = events.next().await {
            match event {
                Ok(_) => changed.notify_one(),
                Err(error) => {
                    tracing::debug!(%error, "watch failed; tried again");
                    sleep(TRY_AGAIN).await;
                }
            }
        }
    }));
    store
}

type Generations = BTreeMap<RouteKey, i64>;

/// Routes that are to be applied at a time.
#[derive(Debug)]
struct Late {
    due: Instant,
    configuration: Value,
    generations: Generations,
}

struct Translator {
    client: Client,
    services: Store<Service>,
    slices: Store<EndpointSlice>,
    routes: Vec<(RouteKind, Store<DynamicObject>)>,
    files: Files,
    progress: watch::Sender<Progress>,
    late: VecDeque<Late>,
    /// The newest routes that were queued, so that the same are not queued twice.
    newest: Option<(Value, Generations)>,
    applied: Generations,
    /// Whether the last translation did not reach Envoy.
    failed: bool,
}

impl Translator {
    async fn run(mut self, mut control: watch::Receiver<Control>, changed: Arc<Notify>) {
        loop {
            let now = *control.borrow_and_update();
            if !now.frozen {
                self.translate(now).await;
            }
            let again = self.failed.then(|| Instant::now() + TRY_AGAIN);
            let late = self.late.front().map(|late| late.due);
            let due = late.into_iter().chain(again).min().filter(|_| !now.frozen);
            let wake = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed.notified() => {}
                () = wake => {}
                gone = control.changed() => if gone.is_err() { return },
            }
        }
    }

    async fn translate(&mut self, control: Control) {
        let backends = backends(&self.services.state(), &self.slices.state());
        let routes = self.read_routes();
        let configuration = configuration(&routes, &backends);
        let generations: Generations = routes.iter().map(key_and_generation).collect();
        let wanted = Some((configuration, generations));
        if !control.gateway_frozen && self.newest != wanted {
            self.newest = wanted;
            if let Some((configuration, generations)) = self.newest.clone() {
                let due = Instant::now() + control.delay;
                self.late.push_back(Late { due, configuration, generations });
            }
        }
        // A thaw ends a delay, so that what waits is due.
        let due = self.due(control.delay.is_zero() && !control.gateway_frozen);
        self.apply(&backends, &http2_clusters(&routes), due).await;
        for route in &routes {
            let applied = self.applied.get(&key_and_generation(route).0).copied();
            status::write(&self.client, route, route.unresolved(&backends), applied).await;
        }
    }

    fn read_routes(&self) -> Vec<Route> {
        let stores = self.routes.iter();
        stores
            .flat_map(|(kind, store)| store.state().into_iter().map(|object| (*kind, object)))
            .filter_map(|(kind, object)| Route::read(kind, &object))
            .filter(Route::is_attached)
            .collect()
    }

    /// The last of the queued routes that are due; those before it are overtaken.
    fn due(&mut self, all: bool) -> Option<Late> {
        let now = Instant::now();
        let mut due = None;
        while self.late.front().is_some_and(|late| all || late.due <= now) {
            due = self.late.pop_front();
        }
        due
    }

    async fn apply(
        &mut self,
        backends: &BTreeMap<String, Backend>,
        http2: &BTreeSet<String>,
        due: Option<Late>,
    ) {
        let (routes, generations) = match due {
            Some(late) => (Some(late.configuration), Some(late.generations)),
            None => (None, None),
        };
        let outcome = self.files.apply(backends, http2, routes).await;
        self.failed = outcome.is_err();
        match outcome {
            Ok(()) => {
                if let Some(generations) = generations {
                    self.applied = generations;
                }
                self.progress.send_modify(|progress| {
                    progress.generations.clone_from(&self.applied);
                    progress.endpoints = backends
                        .iter()
                        .map(|(name, backend)| (name.clone(), backend.endpoints.clone()))
                        .collect();
                    progress.trouble = None;
                });
            }
            Err(error) => {
                let trouble = format!("{error:#}");
                tracing::warn!(trouble, "Envoy does not have what the objects want");
                // The routes are queued again with the next try.
                self.newest = None;
                self.progress.send_modify(|progress| progress.trouble = Some(trouble));
            }
        }
    }
}

fn key_and_generation(route: &Route) -> (RouteKey, i64) {
    let object = &route.object;
    let key = (route.kind, object.namespace().unwrap_or_default(), object.name_any());
    (key, object.metadata.generation.unwrap_or_default())
}
