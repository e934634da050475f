//! Admission takes eight seconds for every write to Deployments and routes: the way back still
//! works, and its first write is the one that takes users off the bad release.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use backout_core::journal::{Entry, Event};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::shop::{self, Judged, ROLLOUT, Route, Setup, Shop, Strategy, WORKLOAD};
use super::WENT_BACK;
use crate::cluster::Cluster;
use crate::webhook::Webhook;

/// What admission takes.
const DELAY: Duration = Duration::from_secs(8);
/// How long the API server waits for it.
const PATIENCE_S: u8 = 15;
/// What the engine may take from seeing that a release is bad to asking for another route: it looks
/// and stores a few times, which takes a busy machine a while. The policy gives 20 s in all.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(10);

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let shop = Shop::open(cluster, Setup::new(Strategy::Canary, Route::HttpRoute)).await?;
    let webhook = Webhook::start().await?;
    webhook.install_and_await(&shop.cluster.client()).await?;
    let slowed = [("apps", "deployments"), ("gateway.networking.k8s.io", "httproutes")];
    webhook.install_on(&shop.cluster.client(), "Fail", PATIENCE_S, &slowed).await?;
    let release = shop.ship("1.42.0", json!({"errors": 0.5}))?;
    shop.release(&release).await?;
    let name = release.metadata.name.as_str();
    shop.at_step(name, "analyse-5", ROLLOUT).await?;
    webhook.set_delay(DELAY);
    shop.ended(&release, WENT_BACK).await?;
    webhook.set_delay(Duration::ZERO);
    users_first(&shop, name).await?;
    let stable = shop.first.clone();
    shop.close(Judged { stable: &stable, candidate: &release, bad_answers: true }).await
}

/// Fails unless the route was the first thing that was written after the engine saw that the
/// release is bad, and that at once.
async fn users_first(shop: &Shop<'_>, release: &str) -> Result<()> {
    let (header, entries) = shop.journal(release).await?;
    let live = header.live.context("the journal is not of a live run")?;
    let began: Timestamp = live.started_at.parse().context("the beginning of the run")?;
    let seen = entries.iter().find_map(triggered).context("nothing set the way back off")?;
    let seen = began + SignedDuration::from_millis(i64::try_from(seen)?);
    let audit = shop.cluster.audit()?;
    let ours = shop::account();
    let mut writes = audit.iter().filter(|entry| {
        let object = &entry.object_ref;
        let driven = ["deployments", "httproutes", "services"].contains(&object.resource.as_str());
        entry.user.username == ours && driven && entry.received >= seen
    });
    let first =
        writes.next().context("nothing was written after the release was seen to be bad")?;
    let object = &first.object_ref;
    ensure!(
        object.resource == "httproutes" && object.name == WORKLOAD,
        "{} {} was written before the route",
        object.resource,
        object.name
    );
    let waited = first.received.duration_since(seen);
    ensure!(
        waited <= AT_ONCE,
        "the route was written only {waited:#} after the release was seen to be bad"
    );
    let took = first.answered.duration_since(first.received);
    ensure!(took >= SignedDuration::from_secs(7), "admission was not slow: {took:#}");
    Ok(())
}

/// When the way back was set off, in milliseconds since the beginning of the run.
fn triggered(entry: &Entry) -> Option<u64> {
    matches!(entry.event, Event::Triggered { .. }).then(|| entry.at.as_millis())
}
