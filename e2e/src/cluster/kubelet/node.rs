//! The node object and its heartbeats.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::state::time;
use super::{NODE, NODE_IP};

/// Pause between heartbeats. The node counts as lost after 50 s without one.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Makes the node object, ready for 500 pods.
pub(crate) async fn register(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "labels": {
                "kubernetes.io/hostname": NODE,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": "zone-a",
            },
        },
    });
    let ours = PatchParams::apply("test-kubelet").force();
    nodes.patch(NODE, &ours, &Patch::Apply(&node)).await.context("cannot make the Node")?;
    beat(client).await
}

/// Renews lease and status for ever. A heartbeat that fails is made up for by the next.
pub(crate) async fn keep_alive(client: Client) {
    loop {
        let beat = tokio::time::timeout(HEARTBEAT, beat(&client)).await;
        if !matches!(beat, Ok(Ok(()))) {
            tracing::debug!("a heartbeat of the node failed");
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

async fn beat(client: &Client) -> Result<()> {
    let ours = PatchParams::apply("test-kubelet").force();
    let nodes: Api<Node> = Api::all(client.clone());
    let status = json!({"status": status()});
    nodes
        .patch_status(NODE, &PatchParams::default(), &Patch::Strategic(status))
        .await
        .context("cannot report the node's status")?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NODE},
        "spec": {
            "holderIdentity": NODE,
            "leaseDurationSeconds": 40,
            "renewTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        },
    });
    leases.patch(NODE, &ours, &Patch::Apply(&lease)).await.context("cannot renew the lease")?;
    Ok(())
}

fn status() -> Value {
    let now = time(Timestamp::now());
    let room = json!({"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "1Ti"});
    json!({
        "addresses": [{"type": "InternalIP", "address": NODE_IP}],
        "capacity": room,
        "allocatable": room,
        "conditions": [{
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "pods are processes here",
            "lastHeartbeatTime": now,
        }],
    })
}
