//! A release that uses up its limits goes back while its users notice nothing yet.

use anyhow::Result;
use serde_json::json;

use super::super::shop::{Route, Setup, Shop, Strategy};
use crate::cluster::Cluster;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let shop = Shop::open(cluster, Setup::new(Strategy::Canary, Route::HttpRoute)).await?;
    let release = shop.ship("1.42.0", json!({"utilization": 0.97}))?;
    super::goes_back(shop, &release, false).await
}
