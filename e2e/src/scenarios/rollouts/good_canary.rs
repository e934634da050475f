//! A good release goes through a canary to all users, and none of them loses a request.

use anyhow::Result;
use serde_json::Value;

use super::super::shop::{Route, Setup, Shop, Strategy};
use crate::cluster::Cluster;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let probed = Setup::new(Strategy::Canary, Route::HttpRoute);
    // The only scenario in which the releases' own counters tell the share.
    let shop = Shop::open(cluster, Setup { probes: false, ..probed }).await?;
    let release = shop.ship("1.42.0", Value::Null)?;
    super::is_promoted(shop, &release).await
}
