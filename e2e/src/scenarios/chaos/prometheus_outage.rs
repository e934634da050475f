//! Prometheus is gone for a moment, and nothing happens; it is gone for longer than the policy lets
//! a release go unseen, and the release goes back.

use std::time::Duration;

use anyhow::{Result, ensure};
use backout_core::journal::{Entry, Event};
use backout_core::plan::Cause;
use serde_json::Value;

use super::super::shop::{ROLLOUT, Route, Setup, Shop, Strategy};
use super::{PROMOTED, WENT_BACK};
use crate::cluster::Cluster;

/// Well within the 30 s that the policy gives.
const SHORT: Duration = Duration::from_secs(8);

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    // Probes show that traffic is back: counters cannot, while nobody counts.
    let shop = Shop::open(cluster, Setup::new(Strategy::Canary, Route::HttpRoute)).await?;
    let seen = shop.ship("1.42.0", Value::Null)?;
    shop.release(&seen).await?;
    shop.at_step(seen.metadata.name.as_str(), "analyse-25", ROLLOUT).await?;
    shop.cluster.prometheus.stop().await?;
    tokio::time::sleep(SHORT).await;
    shop.cluster.prometheus.start_again().await?;
    shop.ended(&seen, PROMOTED).await?;
    let entries = super::events(&shop, seen.metadata.name.as_str()).await?;
    let stirred = entries
        .iter()
        .find(|entry| matches!(entry.event, Event::Triggered { .. } | Event::Held { .. }));
    ensure!(stirred.is_none(), "a short outage is only waited for, but: {stirred:?}");

    let unseen = shop.ship("1.43.0", Value::Null)?;
    shop.release(&unseen).await?;
    shop.at_step(unseen.metadata.name.as_str(), "analyse-25", ROLLOUT).await?;
    shop.cluster.prometheus.stop().await?;
    shop.ended(&unseen, WENT_BACK).await?;
    let entries = super::events(&shop, unseen.metadata.name.as_str()).await?;
    let cause = entries.iter().find_map(triggered);
    let silent = matches!(cause, Some(Cause::NoData { .. }));
    ensure!(silent, "it went back for another reason than silence: {cause:?}");
    shop.cluster.prometheus.start_again().await?;
    let stable = seen.set_name();
    shop.close_after(&stable, &[(seen, false), (unseen, false)]).await.map(drop)
}

fn triggered(entry: &Entry) -> Option<&Cause> {
    match &entry.event {
        Event::Triggered { cause } => Some(cause),
        _ => None,
    }
}
