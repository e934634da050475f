//! The API server is gone for ten seconds in the middle of a rollout, and of a way back: both end as
//! if nothing had happened.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::super::shop::{ROLLOUT, Route, Setup, Shop, Strategy};
use super::{PROMOTED, WENT_BACK};
use crate::cluster::Cluster;

/// How long the API server is gone, besides its start.
const OUTAGE: Duration = Duration::from_secs(10);

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let mut shop = Shop::open(cluster, Setup::new(Strategy::Canary, Route::HttpRoute)).await?;
    let good = shop.ship("1.42.0", Value::Null)?;
    shop.release(&good).await?;
    shop.at_step(good.metadata.name.as_str(), "analyse-25", ROLLOUT).await?;
    restart(&mut shop).await?;
    shop.ended(&good, PROMOTED).await?;

    let bad = shop.ship("1.43.0", json!({"errors": 0.5}))?;
    shop.release(&bad).await?;
    shop.in_phase(bad.metadata.name.as_str(), "RollingBack", ROLLOUT).await?;
    restart(&mut shop).await?;
    shop.ended(&bad, WENT_BACK).await?;
    let stable = good.set_name();
    shop.close_after(&stable, &[(good, false), (bad, true)]).await.map(drop)
}

async fn restart(shop: &mut Shop<'_>) -> Result<()> {
    shop.cluster.kill_api_server().await?;
    tokio::time::sleep(OUTAGE).await;
    shop.cluster.restart_api_server().await
}
