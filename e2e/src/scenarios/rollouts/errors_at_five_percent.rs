//! A release that fails a fifth of its requests goes back before more than its first users see it.

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::shop::{Judged, Route, Setup, Shop, Strategy};
use crate::cluster::Cluster;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let mut setup = Setup::new(Strategy::Canary, Route::HttpRoute);
    // What Prometheus has scraped when a window ends is asked for at once.
    setup.metrics_delay = "0s";
    let shop = Shop::open(cluster, setup).await?;
    let release = shop.ship("1.42.0", json!({"errors": 0.2}))?;
    shop.ends(&release, super::WENT_BACK).await?;
    super::timing::went_quickly(&shop, &release).await?;
    // At the second step it would have had five times the share.
    let share = shop.share_so_far(&release.set_name());
    ensure!(share > 0.0 && share < 0.06, "the release had a share of {share} over all the time");
    let stable = shop.first.clone();
    shop.close(Judged { stable: &stable, candidate: &release, bad_answers: true }).await
}
