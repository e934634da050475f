//! The network itself: weights are followed and no request fails, and Services have names.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::demo;
use crate::cluster::Cluster;
use crate::cluster::registry::APP;
use crate::cluster::wait::until;
use crate::load::{Load, Plan, Target};
use crate::network::shifts_weights_without_failures;

const SOON: Duration = Duration::from_secs(60);

pub(super) async fn run(cluster: &mut Cluster) -> Result<()> {
    shifts_weights_without_failures(cluster.client(), &cluster.network).await?;

    let client = cluster.client();
    let digest = cluster.registry.push(APP, "1.41.0", None);
    demo::surroundings(&client).await?;
    demo::apply(&client, &demo::deployment("checkout", 2, &digest)).await?;
    let named = until("the name of the Service resolves", SOON, || async {
        Target::resolve("checkout", "checkout.shop.svc.cluster.local:80").await.map(Some)
    })
    .await?;
    let load = Load::start(Plan::new(vec![named], 50.0))?;
    let answers = load
        .wait_until(|report| report.releases().contains_key("checkout"), SOON)
        .await
        .context("pods do not answer by way of their Service")?;
    // From the first answer on, the Service has a pod that serves.
    let since = Instant::now();
    let later = load.wait_until(|report| report.since(since).count() >= 100, SOON).await?;
    let failed = later.since(since).filter(|record| record.outcome.is_failure()).count();
    ensure!(failed == 0, "{failed} requests failed: {}", later.summary());
    ensure!(answers.not_sent == 0, "the load was not as planned: {}", answers.summary());
    Ok(())
}
