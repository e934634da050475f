//! A proxy that does not carry out what the route says: the release is taken back, and stays so
//! when the proxy catches up.

use anyhow::Result;
use serde_json::Value;

use super::super::demo::NAMESPACE;
use super::super::shop::{Judged, Route, SOON, Setup, Shop, Strategy, WORKLOAD};
use crate::cluster::Cluster;
use crate::network::RouteKind;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let shop = Shop::open(cluster, Setup::new(Strategy::Canary, Route::HttpRoute)).await?;
    let release = shop.ship("1.42.0", Value::Null)?;
    shop.cluster.network.freeze();
    shop.ends(&release, super::WENT_BACK).await?;
    super::unreached(&shop, &release)?;
    let network = &shop.cluster.network;
    network.thaw();
    network.await_route(RouteKind::Http, NAMESPACE, WORKLOAD, SOON).await?;
    shop.settled(&shop.first).await?;
    super::unreached(&shop, &release)?;
    let stable = shop.first.clone();
    shop.close(Judged { stable: &stable, candidate: &release, bad_answers: false }).await
}
