//! Two controllers: the leader stops in its tracks and wakes up when the other has taken over, and
//! a leader that is asked to end hands over at once. The rollouts go on.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::Value;

use super::super::demo::NAMESPACE;
use super::super::shop::{self, ACCOUNT, ROLLOUT, Route, SOON, Setup, Shop, Strategy};
use super::PROMOTED;
use crate::cluster::Cluster;
use crate::cluster::wait::until;
use crate::oracles::leadership;

/// How long the leader stands still: longer than its Lease lasts.
const FROZEN: Duration = Duration::from_secs(25);
/// How long a hand-over may take.
const HAND_OVER: Duration = Duration::from_secs(3);

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let setup = Setup::new(Strategy::Canary, Route::HttpRoute);
    let shop = Shop::open(cluster, setup).await?;
    // A token of its own, by which the audit log tells the two apart.
    let account = shop.cluster.kubeconfig_of(ACCOUNT.0, ACCOUNT.1).await?;
    let mut other = shop.backout.another_controller(&account, NAMESPACE).await?;

    let first = shop.ship("1.42.0", Value::Null)?;
    shop.release(&first).await?;
    shop.at_step(first.metadata.name.as_str(), "analyse-5", ROLLOUT).await?;
    shop.backout.signal_controller("STOP").await;
    tokio::time::sleep(FROZEN).await;
    shop.backout.signal_controller("CONT").await;
    led_by(&shop, "backout-controller-1", SOON).await?;
    shop.ended(&first, PROMOTED).await?;

    let second = shop.ship("1.43.0", Value::Null)?;
    shop.release(&second).await?;
    shop.at_step(second.metadata.name.as_str(), "analyse-5", ROLLOUT).await?;
    let asked = Instant::now();
    other.signal("TERM").await;
    led_by(&shop, "backout-controller-0", SOON).await?;
    let took = asked.elapsed();
    ensure!(took <= HAND_OVER, "the hand-over took {took:?}");
    tracing::info!(?took, "handed over");
    let status = other.wait().await?;
    ensure!(status.success(), "a controller that is asked to end ends with {status}");
    shop.ended(&second, PROMOTED).await?;

    let overtaken = leadership::overtaken(&shop.cluster.audit()?, &shop::account(), NAMESPACE);
    ensure!(overtaken.is_empty(), "whoever was overtaken wrote on:\n{}", overtaken.join("\n"));
    let stable = second.set_name();
    shop.close_after(&stable, &[(first, false), (second, false)]).await.map(drop)
}

/// Waits until a controller of this name holds the Lease.
async fn led_by(shop: &Shop<'_>, name: &str, within: Duration) -> Result<()> {
    let leases: Api<Lease> = Api::namespaced(shop.cluster.client(), ACCOUNT.1);
    until(&format!("{name} leads"), within, || async {
        let lease = leases.get("backout-controller").await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
        Ok(holder.starts_with(name).then_some(()))
    })
    .await
}
