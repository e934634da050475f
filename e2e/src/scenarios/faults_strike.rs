//! The harness's faults: pods that crash or never get ready, and a webhook that refuses or is dead.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::demo::{self, NAMESPACE};
use crate::cluster::Cluster;
use crate::cluster::kubelet::faults::{Fault, Target};
use crate::cluster::registry::APP;
use crate::cluster::wait::until;
use crate::webhook::{self, Webhook};

const SOON: Duration = Duration::from_secs(60);

pub(super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let client = cluster.client();
    let good = cluster.registry.push(APP, "1.41.0", None);
    demo::surroundings(&client).await?;

    cluster.faults.set(Target::label("app", "sleepy"), Fault::NeverReady);
    demo::apply(&client, &demo::deployment("sleepy", 1, &good)).await?;
    shows(cluster, "sleepy", "\"running\"").await?;
    ensure!(ready(cluster, "sleepy").await? == 0, "a pod that is held back is ready");
    cluster.faults.clear(Fault::NeverReady);
    until("a pod that is held back no more is ready", SOON, || async {
        Ok((ready(cluster, "sleepy").await? == 1).then_some(()))
    })
    .await?;

    cluster.faults.set(Target::label("app", "fragile"), Fault::CrashAfter(Duration::from_secs(1)));
    demo::apply(&client, &demo::deployment("fragile", 1, &good)).await?;
    shows(cluster, "fragile", "CrashLoopBackOff").await?;
    shows(cluster, "fragile", "\"restartCount\":1").await?;

    refuses(cluster).await
}

async fn refuses(cluster: &Cluster) -> Result<()> {
    let client = cluster.client();
    let unsigned = cluster.registry.push(APP, "1.42.0", None);
    let server = Webhook::start().await?;
    server.deny(&unsigned);
    server.install(&client, "Fail", 2).await?;
    // The API server reads the configuration a moment later.
    let attempt = demo::deployment("unsigned", 1, &unsigned);
    until("an unsigned image is refused", SOON, || async {
        let refused = demo::apply(&client, &attempt).await.err();
        let refused = refused.is_some_and(|e| format!("{e:#}").contains("no matching signatures"));
        Ok(refused.then_some(()))
    })
    .await?;
    server.allow(&unsigned);
    demo::apply(&client, &attempt).await.context("a signed image is refused")?;
    drop(server);
    let dead = demo::apply(&client, &demo::deployment("late", 1, &unsigned)).await;
    ensure!(dead.is_err(), "a dead webhook with failurePolicy Fail lets an object pass");
    webhook::remove(&client).await?;
    until("an object passes without the webhook", SOON, || async {
        Ok(demo::apply(&client, &demo::deployment("late", 1, &unsigned)).await.ok())
    })
    .await
}

async fn ready(cluster: &Cluster, name: &str) -> Result<i32> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client(), NAMESPACE);
    let status = deployments.get(name).await?.status.unwrap_or_default();
    Ok(status.ready_replicas.unwrap_or(0))
}

/// Waits until the status of a pod of this app contains a text.
async fn shows(cluster: &Cluster, app: &str, text: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client(), NAMESPACE);
    let labels = format!("app={app}");
    until(&format!("a pod of {app} that shows {text}"), SOON, || async {
        let listed = pods.list(&ListParams::default().labels(&labels)).await?.items;
        let statuses: Vec<_> = listed.iter().map(|pod| &pod.status).collect();
        Ok(serde_json::to_string(&statuses)?.contains(text).then_some(()))
    })
    .await
}
