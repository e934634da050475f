//! Queries that match no series are no proof of health: the release goes back.

use anyhow::Result;
use serde_json::Value;

use super::super::shop::{Route, Setup, Shop, Strategy};
use crate::cluster::Cluster;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let good = Setup::new(Strategy::Canary, Route::HttpRoute);
    let setup = Setup { release_label: "app_release", ..good };
    let shop = Shop::open(cluster, setup).await?;
    let release = shop.ship("1.42.0", Value::Null)?;
    super::goes_back(shop, &release, false).await
}
