//! Someone else writes the route's weights, during a canary and on the way back: that is noticed,
//! told, and answered.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::super::demo::NAMESPACE;
use super::super::shop::{ROLLOUT, Route, SOON, Setup, Shop, Strategy, WORKLOAD};
use super::WENT_BACK;
use crate::cluster::Cluster;
use crate::cluster::wait::until;

/// How the other writer calls itself.
const OTHER: &str = "other-tool";
/// How often the way back is disturbed.
const TIMES: u32 = 3;

pub(in super::super) async fn run(cluster: &mut Cluster) -> Result<()> {
    let shop = Shop::open(cluster, Setup::new(Strategy::Canary, Route::HttpRoute)).await?;
    let stable = shop.first.clone();
    let forward = shop.ship("1.42.0", Value::Null)?;
    shop.release(&forward).await?;
    shop.at_step(forward.metadata.name.as_str(), "analyse-5", ROLLOUT).await?;
    write(&shop, &stable, &forward.set_name(), 60).await?;
    shop.ended(&forward, WENT_BACK).await?;
    let told = noticed(&shop, forward.metadata.name.as_str(), 1).await?;
    ensure!(told.iter().any(|what| what.contains(OTHER)), "the writer is not named: {told:?}");

    let back = shop.ship("1.43.0", json!({"errors": 0.5}))?;
    shop.release(&back).await?;
    let (name, set) = (back.metadata.name.as_str(), back.set_name());
    shop.in_phase(name, "RollingBack", ROLLOUT).await?;
    for _ in 0..TIMES {
        until("traffic is back", Duration::from_secs(20), || async {
            Ok((weight(&shop, &set).await? == 0).then_some(()))
        })
        .await?;
        write(&shop, &stable, &set, 40).await?;
    }
    shop.ended(&back, WENT_BACK).await?;
    noticed(&shop, name, TIMES as usize).await?;
    shop.close_after(&stable, &[(forward, false), (back, true)]).await.map(drop)
}

fn routes(shop: &Shop<'_>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let resource = ApiResource::from_gvk_with_plural(&kind, "httproutes");
    Api::namespaced_with(shop.cluster.client(), NAMESPACE, &resource)
}

/// Gives the candidate this share in percent, as a tool does that thinks the route is its own.
async fn write(shop: &Shop<'_>, stable: &str, candidate: &str, percent: u32) -> Result<()> {
    let backends = json!([
        {"name": stable, "port": 80, "weight": 100 - percent},
        {"name": candidate, "port": 80, "weight": percent},
    ]);
    until("the other tool writes the route", SOON, || async {
        let mut route = routes(shop).get(WORKLOAD).await?;
        for backend in backends.as_array().into_iter().flatten() {
            set_weight(&mut route.data["spec"]["rules"][0]["backendRefs"], backend)?;
        }
        let parameters =
            PostParams { field_manager: Some(OTHER.to_owned()), ..PostParams::default() };
        routes(shop).replace(WORKLOAD, &parameters, &route).await?;
        Ok(Some(()))
    })
    .await
}

/// Changes the weight of a backend that is there, or adds the backend.
fn set_weight(backends: &mut Value, wanted: &Value) -> Result<()> {
    let list = backends.as_array_mut().context("the route has no backends")?;
    match list.iter_mut().find(|backend| backend["name"] == wanted["name"]) {
        Some(found) => found["weight"] = wanted["weight"].clone(),
        None => list.push(wanted.clone()),
    }
    Ok(())
}

/// The weight of a set on the route.
async fn weight(shop: &Shop<'_>, set: &str) -> Result<u64> {
    let route = routes(shop).get(WORKLOAD).await?;
    let backends = route.data["spec"]["rules"][0]["backendRefs"].as_array().cloned();
    let found = backends.into_iter().flatten().find(|backend| backend["name"] == set);
    Ok(found.and_then(|backend| backend["weight"].as_u64()).unwrap_or(0))
}

/// Fails unless the journal tells of another writer so often, and an Event too. Returns what the
/// journal tells.
async fn noticed(shop: &Shop<'_>, release: &str, times: usize) -> Result<Vec<String>> {
    let entries = super::events(shop, release).await?;
    let told: Vec<String> = super::third_parties(&entries).into_iter().map(str::to_owned).collect();
    ensure!(told.len() >= times, "{times} writes of {OTHER} to {release}, the journal: {told:?}");
    let events: Api<Event> = Api::namespaced(shop.cluster.client(), NAMESPACE);
    until("an Event tells of it", SOON, || async {
        let all = events.list(&ListParams::default()).await?;
        let found = all.items.into_iter().find(|event| {
            let about = event.regarding.as_ref().and_then(|about| about.name.as_deref());
            event.reason.as_deref() == Some("ThirdPartyWrite") && about == Some(release)
        });
        Ok(found.map(drop))
    })
    .await?;
    Ok(told)
}
