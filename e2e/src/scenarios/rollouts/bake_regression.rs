//! A release that turns bad when it has all users already goes back, too.

use anyhow::Result;
use serde_json::{Value, json};

use super::super::shop::{Judged, ROLLOUT, Route, Setup, Shop, Strategy};
use crate::cluster::Cluster;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let setup = Setup { bake_s: 120, ..Setup::new(Strategy::BlueGreen, Route::HttpRoute) };
    let shop = Shop::open(cluster, setup).await?;
    let release = shop.ship("1.42.0", Value::Null)?;
    shop.release(&release).await?;
    shop.at_step(release.metadata.name.as_str(), "bake", ROLLOUT).await?;
    shop.behave(&release.set_name(), &json!({"errors": 0.3})).await?;
    shop.ended(&release, super::WENT_BACK).await?;
    let stable = shop.first.clone();
    shop.close(Judged { stable: &stable, candidate: &release, bad_answers: true }).await
}
