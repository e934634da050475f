//! A good release takes over at once by the Service's selector, and no user loses a request.

use anyhow::Result;
use serde_json::Value;

use super::super::shop::{Route, Setup, Shop, Strategy};
use crate::cluster::Cluster;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let shop = Shop::open(cluster, Setup::new(Strategy::BlueGreen, Route::Selector)).await?;
    let release = shop.ship("1.42.0", Value::Null)?;
    super::is_promoted(shop, &release).await
}
