//! A release whose pods never get ready is given up before any user reaches it.

use anyhow::Result;
use serde_json::Value;

use super::super::shop::{Route, Setup, Shop, Strategy};
use crate::cluster::Cluster;
use crate::cluster::kubelet::faults::{Fault, Target};

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let shop = Shop::open(cluster, Setup::new(Strategy::Canary, Route::HttpRoute)).await?;
    let release = shop.ship("1.42.0", Value::Null)?;
    for image in &release.spec.images {
        shop.cluster.faults.set(Target::digest(&image.digest.to_string()), Fault::NeverReady);
    }
    super::is_cancelled(shop, &release).await
}
