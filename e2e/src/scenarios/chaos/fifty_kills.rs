//! The controller is killed fifty times while it leads good and bad releases: each of them ends as
//! if nothing had happened.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use backout_core::release::Release;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::demo::NAMESPACE;
use super::super::shop::{ROLLOUT, Route, Setup, Shop, Strategy, WORKLOAD};
use super::{PROMOTED, WENT_BACK};
use crate::cluster::Cluster;

/// How often the controller is killed.
const KILLS: u32 = 50;
/// How long nobody leads after a crash. The default would make the test four times as long.
const LEASE_S: u32 = 3;
/// When the controller is killed, after it was started: from before it leads to deep in its work.
const LIFE_MS: std::ops::Range<u64> = 200..7_000;
/// A seed to run the same moments again.
const SEED: &str = "BACKOUT_E2E_SEED";
/// The first share that a canary gets.
const WEIGHT: f64 = 0.05;
/// How often a bad release fails.
const ERRORS: f64 = 0.2;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let told = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seed = told.unwrap_or_else(|| rand::rng().random::<u64>());
    tracing::info!(seed, "the moments of the kills");
    kill(cluster, seed).await.with_context(|| format!("run again with {SEED}={seed}"))
}

async fn kill(cluster: &mut Cluster, seed: u64) -> Result<()> {
    let mut chance = StdRng::seed_from_u64(seed);
    let setup = Setup { lease_s: LEASE_S, ..Setup::new(Strategy::Canary, Route::HttpRoute) };
    let mut shop = Shop::open(cluster, setup).await?;
    let mut stable = shop.first.clone();
    let mut releases: Vec<(Release, bool)> = Vec::new();
    let mut kills = 0;
    let rounds =
        [(Strategy::Canary, false), (Strategy::Canary, true), (Strategy::BlueGreen, false)];
    for (number, (strategy, bad)) in rounds.into_iter().cycle().enumerate() {
        if kills >= KILLS && number >= rounds.len() {
            break;
        }
        strategise(&shop.cluster.client(), strategy).await?;
        let behaviour = if bad { json!({"errors": ERRORS}) } else { Value::Null };
        let release = shop.ship(&format!("1.42.{number}"), behaviour)?;
        shop.release(&release).await?;
        let outcome = survive(&mut shop, &release, &mut chance, &mut kills).await?;
        let expected = if bad { WENT_BACK } else { PROMOTED };
        let name = &release.metadata.name;
        ensure!(outcome == expected, "{name} ended with `{outcome}`, not `{expected}`");
        tracing::info!(%name, outcome, kills, "ended");
        if !bad {
            stable = release.set_name();
        }
        releases.push((release, bad));
    }
    let report = shop.close_after(&stable, &releases).await?;
    for (release, _) in releases.iter().filter(|(_, bad)| *bad) {
        super::explained(&report, &release.set_name(), WEIGHT, ERRORS)?;
    }
    Ok(())
}

/// Kills and starts the controller until the release has an outcome, which is returned.
async fn survive(
    shop: &mut Shop<'_>,
    release: &Release,
    chance: &mut StdRng,
    kills: &mut u32,
) -> Result<String> {
    let name = release.metadata.name.as_str();
    let deadline = Instant::now() + ROLLOUT;
    loop {
        if *kills >= KILLS {
            return shop.outcome(name, ROLLOUT).await;
        }
        let life = Duration::from_millis(chance.random_range(LIFE_MS));
        if let Ok(outcome) = shop.outcome(name, life).await {
            return Ok(outcome);
        }
        ensure!(
            Instant::now() < deadline,
            "{name} did not end; its status: {:?}; the controller's log ends with:\n{}",
            shop.status(name).await,
            shop.backout.controller_log()
        );
        shop.backout.kill_controller().await?;
        *kills += 1;
        shop.backout.start_controller(None, NAMESPACE).await?;
    }
}

/// Changes the policy's strategy, as its owner would.
async fn strategise(client: &Client, strategy: Strategy) -> Result<()> {
    let kind = GroupVersionKind::gvk("backout.dev", "v1alpha1", "ReleasePolicy");
    let resource = ApiResource::from_gvk_with_plural(&kind, "releasepolicies");
    let policies: Api<DynamicObject> = Api::namespaced_with(client.clone(), NAMESPACE, &resource);
    let mut wanted = json!({"canary": null, "blueGreen": null});
    let steps = Setup::new(strategy, Route::HttpRoute).steps();
    for (key, value) in steps.as_object().into_iter().flatten() {
        wanted[key] = value.clone();
    }
    let patch = json!({"spec": {"strategy": wanted}});
    policies
        .patch(WORKLOAD, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .context("the policy's strategy cannot be changed")?;
    Ok(())
}
