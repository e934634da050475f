//! A stand-in for a kubelet: every pod is ready at once, and gone when it is deleted. No process
//! runs.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::cluster::kubelet::{NODE, node, state};

/// Pods that are written about at once.
const AT_ONCE: usize = 16;

/// The stand-in. Dropping it ends it; pods stay as they are.
#[derive(Debug)]
pub(super) struct StandIn {
    task: AbortHandle,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StandIn {
    /// Registers the node, and begins.
    pub(super) async fn start(client: Client) -> Result<Self> {
        node::register(&client).await?;
        let task = tokio::spawn(async move {
            tokio::select! {
                () = node::keep_alive(client.clone()) => {}
                () = follow(client.clone()) => {}
            }
        });
        Ok(Self { task: task.abort_handle() })
    }
}

async fn follow(client: Client) {
    let all: Api<Pod> = Api::all(client.clone());
    let here = watcher::Config::default().fields(&format!("spec.nodeName={NODE}"));
    let pods = watcher(all, here).default_backoff().touched_objects();
    let next = AtomicU32::new(0);
    pods.for_each_concurrent(AT_ONCE, |pod| async {
        // A watch that breaks begins anew by itself, and shows every pod again.
        if let Ok(pod) = pod {
            serve(&client, &pod, &next).await;
        }
    })
    .await;
}

async fn serve(client: &Client, pod: &Pod, next: &AtomicU32) {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let result = if pod.metadata.deletion_timestamp.is_some() {
        api.delete(name, &DeleteParams::default().grace_period(0)).await.map(drop)
    } else if pod.status.as_ref().is_none_or(|status| status.container_statuses.is_none()) {
        let status = Patch::Strategic(ready(pod, next.fetch_add(1, Ordering::Relaxed)));
        api.patch_status(name, &PatchParams::default(), &status).await.map(drop)
    } else {
        Ok(())
    };
    if let Err(error) = result {
        tracing::debug!(namespace, name, %error, "nothing written of a pod");
    }
}

/// The status of a pod that is ready. Addresses are not used twice.
fn ready(pod: &Pod, number: u32) -> Value {
    let address = format!("10.244.{}.{}", 1 + number / 250 % 250, 2 + number % 250);
    let now = state::time(Timestamp::now());
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let containers: Vec<Value> = containers
        .map(|container| {
            json!({
                "name": container.name, "image": container.image, "imageID": container.image,
                "ready": true, "started": true, "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            })
        })
        .collect();
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(condition);
    json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "startTime": now,
        "conditions": conditions,
        "containerStatuses": containers,
    }})
}
