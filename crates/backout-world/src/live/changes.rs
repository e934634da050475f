//! Hears when something that a run rests on may have changed: its sets, what leads to them, and its route.

use std::sync::Arc;

use backout_core::policy::{Route, RouteKind};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::core::PartialObjectMeta;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::kubernetes::names;
use crate::traffic::Arms;

/// Watches, for as long as it lives. Only metadata is watched: what changed is read afresh.
#[derive(Debug)]
pub(super) struct Changes {
    changed: Arc<Notify>,
    _watches: JoinSet<()>,
}

impl Changes {
    pub(super) fn watch(client: &Client, arms: &Arms, route: &Route) -> Self {
        let changed = Arc::new(Notify::new());
        let mut watches = JoinSet::new();
        let sets =
            watcher::Config::default().labels(&format!("{}={}", names::WORKLOAD, arms.workload));
        let deployments: Api<PartialObjectMeta<Deployment>> =
            Api::namespaced(client.clone(), &arms.namespace);
        watches.spawn(follow(watcher(deployments, sets), Arc::clone(&changed)));
        let names = [Some(arms.stable.as_str()), arms.candidate.as_deref()];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        let of_sets = format!("kubernetes.io/service-name in ({})", names.join(","));
        let of_sets = watcher::Config::default().labels(&of_sets);
        let slices: Api<PartialObjectMeta<EndpointSlice>> =
            Api::namespaced(client.clone(), &arms.namespace);
        watches.spawn(follow(watcher(slices, of_sets), Arc::clone(&changed)));
        let named = watcher::Config::default().fields(&format!("metadata.name={}", arms.route));
        let resource = match route.kind {
            RouteKind::HTTPRoute => gateway("HTTPRoute", "httproutes"),
            RouteKind::GRPCRoute => gateway("GRPCRoute", "grpcroutes"),
            RouteKind::Service => ApiResource::erase::<Service>(&()),
        };
        let routes: Api<PartialObjectMeta<DynamicObject>> =
            Api::namespaced_with(client.clone(), &arms.namespace, &resource);
        watches.spawn(follow(watcher(routes, named), Arc::clone(&changed)));
        Self { changed, _watches: watches }
    }

    /// Waits for the next change. One that came while nobody waited is not lost.
    pub(super) async fn next(&self) {
        self.changed.notified().await;
    }
}

fn gateway(kind: &str, plural: &str) -> ApiResource {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind);
    ApiResource::from_gvk_with_plural(&kind, plural)
}

/// A watch that breaks is begun anew with pauses, and never ends: without it the run still looks
/// whenever its plan asks for it.
async fn follow<T>(
    events: impl futures::Stream<Item = Result<watcher::Event<T>, watcher::Error>> + Send,
    changed: Arc<Notify>,
) {
    let mut events = std::pin::pin!(events.default_backoff());
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init | watcher::Event::InitApply(_)) => {}
            Ok(_) => changed.notify_one(),
            Err(error) => tracing::debug!(%error, "a watch broke and is begun anew"),
        }
    }
}
