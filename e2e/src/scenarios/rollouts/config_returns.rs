//! A release that brought settings of its own goes back to the release before with the settings of
//! before, in pods that are made anew, too.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use serde_json::json;

use super::super::demo::NAMESPACE;
use super::super::shop::{Judged, REPLICAS, ROLLOUT, Route, SOON, Setup, Shop, Strategy};
use crate::cluster::Cluster;
use crate::cluster::wait::until;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let shop = Shop::open(cluster, Setup::new(Strategy::Canary, Route::HttpRoute)).await?;
    shop.configure("good evening").await?;
    let release = shop.ship("1.42.0", json!({"errors": 0.5}))?;
    shop.release(&release).await?;
    let new = release.set_name();
    until("the release runs with its own settings", ROLLOUT, || async {
        let told = shop.greetings(&new).await?;
        let settled = !told.is_empty() && told.iter().all(|told| told == "good evening");
        Ok(settled.then_some(()))
    })
    .await?;
    shop.ended(&release, super::WENT_BACK).await?;

    let stable = shop.first.clone();
    let before = shop.pods_of(&stable).await?;
    let (victim, _) = before.first().context("the stable set has no pod")?;
    let pods: Api<Pod> = Api::namespaced(shop.cluster.client(), NAMESPACE);
    pods.delete(victim, &DeleteParams::default()).await.context("a pod cannot be deleted")?;
    let greetings = until("another pod takes the place of the one that is gone", SOON, || async {
        let now = shop.pods_of(&stable).await?;
        let replaced =
            now.len() == REPLICAS as usize && !now.iter().any(|(name, _)| name == victim);
        Ok(if replaced { Some(shop.greetings(&stable).await?) } else { None })
    })
    .await?;
    let expected = greetings.iter().all(|greeting| greeting == "hello");
    ensure!(expected, "the stable release has other settings now: {greetings:?}");
    shop.close(Judged { stable: &stable, candidate: &release, bad_answers: true }).await
}
