//! A workload is adopted and released step by step, by the adapters alone: if users lose requests
//! here, no decision of the engine is to blame.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use backout_core::machine::Precondition;
use backout_core::plan::ScalePurpose;
use backout_core::policy::ReleasePolicy;
use backout_core::units::Weight;
use backout_world::kubernetes::adoption::Adoption;
use backout_world::kubernetes::set::Sets;
use backout_world::traffic::endpoints::endpoints;
use backout_world::traffic::{Arms, Fence, Provider, provider};

use super::demo::NAMESPACE;
use super::shop::record::record;
use super::shop::{self, Judged, REPLICAS, Route, SOON, Setup, Strategy, WORKLOAD};
use crate::cluster::Cluster;
use crate::cluster::registry::APP;
use crate::cluster::wait::until;
use crate::load::Load;

/// How far a share may be from its weight: with 300 requests, three times the usual error.
const TOLERANCE: f64 = 0.09;

pub(super) async fn run(cluster: &mut Cluster, route: Route) -> Result<()> {
    let load = shop::build(cluster, route).await?;
    let client = crate::cluster::client(&cluster.kubeconfig_of_person()).await?;
    let policy = Setup::new(Strategy::BlueGreen, route).policy(&cluster.prometheus.url());
    let policy: ReleasePolicy = serde_json::from_value(policy).context("the policy")?;
    let sets = Sets::new(client.clone(), NAMESPACE, WORKLOAD, WORKLOAD);
    let provider = provider(&policy.spec.traffic.route, client.clone());
    let drain = Duration::from_secs(2);
    let adoption = Adoption {
        sets: &sets,
        provider: provider.as_ref(),
        route: WORKLOAD,
        record: None,
        ready_within: SOON,
        drain,
    };
    let adopted = adoption.adopt(&mut |stage| tracing::info!(?stage, "adoption")).await?;
    let first = adopted.release.set_name();
    shop::settled(&load, &first).await.context("after the adoption")?;

    let release = record("1.42.0", &cluster.registry.push(APP, "1.42.0", None))?;
    let new = release.set_name();
    sets.create(&release, REPLICAS, None).await?;
    until("the new set serves", SOON, || async {
        let found = endpoints(&client, NAMESPACE, &new).await?;
        Ok((found.ready >= REPLICAS).then_some(()))
    })
    .await?;
    let arms = Arms {
        namespace: NAMESPACE.to_owned(),
        route: WORKLOAD.to_owned(),
        service: None,
        workload: WORKLOAD.to_owned(),
        stable: first.clone(),
        candidate: Some(new.clone()),
    };
    let fence = Fence { run: release.metadata.name.to_string(), generation: 1 };
    for percent in steps(route) {
        give(provider.as_ref(), &arms, &fence, *percent).await?;
        follows(&load, &new, *percent).await?;
    }
    let settled = Arms { stable: new.clone(), candidate: None, ..arms };
    provider.follow(&settled, &fence).await?;
    shop::settled(&load, &new).await.context("after the release")?;
    sets.scale(&first, 0, ScalePurpose::CleanUp, None).await?;
    until("the old set is gone", SOON, || async {
        let found = endpoints(&client, NAMESPACE, &first).await?;
        Ok((found.ready == 0).then_some(()))
    })
    .await?;
    shop::settled(&load, &new).await.context("without the old set")?;
    let judged = Judged { stable: &new, candidate: &release, bad_answers: false };
    shop::judge(cluster, load, judged).await
}

/// Weights in percent; a selector knows all or nothing, and replicas halves at best with as many
/// pods on either side.
const fn steps(route: Route) -> &'static [u8] {
    match route {
        Route::HttpRoute => &[5, 25, 50, 100],
        Route::Selector => &[100],
        Route::Replicas => &[50, 100],
    }
}

async fn give(provider: &dyn Provider, arms: &Arms, fence: &Fence, percent: u8) -> Result<()> {
    let weight = Weight::from_percent(percent).context("a weight is at most 100")?;
    let seen = provider.read(arms).await?;
    let only = Precondition { uid: 0, resource_version: seen.resource_version };
    provider.write(arms, weight, Some(only), fence).await?;
    // A share by replicas is read from EndpointSlices, which follow the Service that was written.
    until(&format!("{percent}% was written, and is read"), SOON, || async {
        let after = provider.read(arms).await?;
        ensure!(after.candidate_weight == weight, "{after:?} was read");
        Ok(Some(()))
    })
    .await
}

/// Waits until the answers show the share.
async fn follows(load: &Load, set: &str, percent: u8) -> Result<()> {
    let wanted = f64::from(percent) / 100.0;
    until(&format!("{set} has {percent}% of the answers"), SOON, || async {
        let since = Instant::now();
        let view = load.wait_until(|view| view.since(since).count() >= 300, SOON).await?;
        let share = view.share(set, since).unwrap_or_default();
        Ok(((share - wanted).abs() <= TOLERANCE).then_some(()))
    })
    .await
}
