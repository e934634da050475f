//! Queries that match no series are no proof of health: the release goes back.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::super::shop::{Judged, Route, Setup, Shop, Strategy};
use crate::cluster::Cluster;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let good = Setup::new(Strategy::Canary, Route::HttpRoute);
    let setup = Setup { release_label: "app_release", ..good };
    let shop = Shop::open(cluster, setup).await?;
    let release = shop.ship("1.42.0", Value::Null)?;
    shop.ends(&release, super::WENT_BACK).await?;
    let status = shop.status(release.metadata.name.as_str()).await?;
    let message = status["message"].as_str().unwrap_or_default();
    let told = message.contains("no series matches app_release=") && message.contains("error-rate");
    ensure!(told, "the reason names neither the signal nor the label: {message}");
    let stable = shop.first.clone();
    shop.close(Judged { stable: &stable, candidate: &release, bad_answers: false }).await
}
