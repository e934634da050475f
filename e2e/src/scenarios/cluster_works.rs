//! The harness itself: pods get ready, serve, end, fail to pull, and survive the API server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};

use super::demo::{self, NAMESPACE};
use super::http;
use crate::cluster::Cluster;
use crate::cluster::registry::APP;
use crate::cluster::wait::until;

const SOON: Duration = Duration::from_secs(60);

pub(super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let client = cluster.client();
    let digest = cluster.registry.push(APP, "1.41.0", None);
    demo::surroundings(&client).await?;
    demo::apply(&client, &demo::deployment("checkout", 3, &digest)).await?;
    ready(cluster, "checkout", 3).await?;

    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let listed = pods.list(&ListParams::default().labels("app=checkout")).await?.items;
    let ip = listed.first().and_then(|pod| pod.status.as_ref()?.pod_ip.clone());
    let answer =
        http::get(&format!("{}:8080", ip.context("a ready pod has no address")?), "checkout", "/")
            .await?;
    ensure!(answer.contains("x-release: checkout"), "the release is not named:\n{answer}");
    ensure!(answer.contains("greeting: hello"), "the ConfigMap is not served:\n{answer}");

    let unknown = format!("sha256:{}", "0".repeat(64));
    demo::apply(&client, &demo::deployment("broken", 1, &unknown)).await?;
    until("a pod in ImagePullBackOff", SOON, || async {
        let listed = pods.list(&ListParams::default().labels("app=broken")).await?.items;
        let text = serde_json::to_string(&listed)?;
        Ok(text.contains("ImagePullBackOff").then_some(()))
    })
    .await?;

    cluster.restart_api_server().await?;
    demo::apply(&client, &demo::deployment("checkout", 4, &digest)).await?;
    ready(cluster, "checkout", 4).await?;

    let deployments: Api<Deployment> = Api::namespaced(client, NAMESPACE);
    for name in ["checkout", "broken"] {
        deployments.delete(name, &DeleteParams::background()).await?;
    }
    until("no pod is left", SOON, || async {
        Ok(pods.list(&ListParams::default()).await?.items.is_empty().then_some(()))
    })
    .await?;
    let kubeconfig = cluster.kubeconfig_of(NAMESPACE, "default").await?;
    let limited = crate::cluster::client(&kubeconfig).await?;
    let listed = Api::<Pod>::namespaced(limited, NAMESPACE).list(&ListParams::default()).await;
    let forbidden = matches!(&listed, Err(kube::Error::Api(status)) if status.code == 403);
    ensure!(forbidden, "a service account without a role may list pods: {listed:?}");
    let deleted = cluster.audit()?.iter().any(|entry| {
        entry.verb == "delete"
            && entry.object_ref.name == "checkout"
            && entry.user.username == "admin"
    });
    ensure!(deleted, "the audit log does not show who deleted the Deployment");
    Ok(())
}

async fn ready(cluster: &Cluster, name: &str, wanted: i32) -> Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client(), NAMESPACE);
    until(&format!("{wanted} ready pods of {name}"), SOON, || async {
        let status = deployments.get(name).await?.status.unwrap_or_default();
        Ok((status.ready_replicas == Some(wanted)).then_some(()))
    })
    .await
}
