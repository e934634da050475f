//! A release whose image admission refuses is given up before any user reaches it, and the refusal
//! is told.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::super::shop::{Judged, Route, Setup, Shop, Strategy};
use crate::cluster::Cluster;
use crate::webhook::Webhook;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let shop = Shop::open(cluster, Setup::new(Strategy::Canary, Route::HttpRoute)).await?;
    let release = shop.ship("1.42.0", Value::Null)?;
    let webhook = Webhook::start().await?;
    for image in &release.spec.images {
        webhook.deny(&image.digest.to_string());
    }
    webhook.install_and_await(&shop.cluster.client()).await?;
    shop.ends(&release, "cancelled").await?;
    super::unreached(&shop, &release)?;
    let status = shop.status(release.metadata.name.as_str()).await?;
    let told = status.to_string();
    ensure!(told.contains("no matching signatures"), "the status does not say why: {told}");
    let stable = shop.first.clone();
    shop.close(Judged { stable: &stable, candidate: &release, bad_answers: false }).await
}
