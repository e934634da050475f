//! Prometheus itself: it scrapes pods with the labels that queries need, and comes back.

use std::time::Duration;

use anyhow::{Context, Result};

use super::demo;
use crate::cluster::Cluster;
use crate::cluster::registry::APP;
use crate::load::{Load, Plan, Target};
use crate::metrics::DISCOVERY_LAG;

pub(super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let client = cluster.client();
    let digest = cluster.registry.push(APP, "1.41.0", None);
    demo::surroundings(&client).await?;
    demo::apply(&client, &demo::deployment("checkout", 1, &digest)).await?;
    let within = DISCOVERY_LAG + Duration::from_secs(60);
    let up = "up{release=\"checkout\", namespace=\"shop\", pod=~\"checkout-.*\"}";
    cluster.prometheus.await_result(&format!("{up} == 1"), within).await?;

    let target = Target::resolve("checkout", "checkout.shop:80").await?;
    let load = Load::start(Plan::new(vec![target], 50.0))?;
    let counted =
        "sum(increase(http_requests_total{release=\"checkout\", code=\"200\"}[5s])) > 100";
    cluster.prometheus.await_result(counted, within).await.context("requests are not counted")?;
    load.stop().await;

    cluster.prometheus.stop().await?;
    let stopped = jiff::Timestamp::now().as_second();
    cluster.prometheus.start_again().await?;
    // What was stored before the stop is no answer.
    let anew = format!("timestamp({up}) > {}", stopped + 1);
    cluster.prometheus.await_result(&anew, within).await.context("no scrape after the restart")?;
    Ok(())
}
