//! How quickly a bad release went, by the API server's audit log and by what users saw.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use backout_core::journal::{Entry, Event};
use backout_core::release::Release;
use backout_core::units::Time;
use backout_world::driver::Journal;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use serde_json::Value;

use super::super::demo::NAMESPACE;
use super::super::shop::{Shop, WORKLOAD};
use crate::cluster::audit;

/// Longest time from the end of the deciding window to the write that takes the traffic away.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// Longest time from there to the last answer that a user got of the release.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Checks how quickly the traffic went, and that the failed set is there to look at.
pub(super) async fn went_quickly(shop: &Shop<'_>, release: &Release) -> Result<()> {
    let client = shop.cluster.client();
    let name = release.metadata.name.as_str();
    let journal = backout_controller::rollout::journal(&client, NAMESPACE, name).await;
    let journal = journal.map_err(|failure| anyhow::anyhow!(failure.in_full()))?;
    let decided = decided(&journal).context("no window decided")?;
    let written = returned(&shop.cluster.audit()?, decided).context("the route was not written")?;
    let took = Duration::try_from(written.duration_since(decided)).unwrap_or_default();
    ensure!(took <= WRITTEN_WITHIN, "the route was written {took:?} after the window's end");

    let last = shop.load.last_seen(&release.set_name()).context("nobody reached the release")?;
    let ago = Instant::now().saturating_duration_since(last);
    let seen = Timestamp::now().checked_sub(jiff::SignedDuration::try_from(ago)?)?;
    let gone = Duration::try_from(seen.duration_since(decided)).unwrap_or_default();
    ensure!(gone <= GONE_WITHIN, "users reached it until {gone:?} after the window's end");
    tracing::info!(?took, ?gone, "after the end of the deciding window");

    let sets: Api<Deployment> = Api::namespaced(client, NAMESPACE);
    let failed = sets.get(&release.set_name()).await.context("the failed set is not there")?;
    let marked = failed
        .metadata
        .labels
        .is_some_and(|labels| labels.contains_key(backout_world::kubernetes::names::FAILED));
    let replicas = failed.spec.and_then(|spec| spec.replicas);
    ensure!(
        marked && replicas > Some(0),
        "it is not kept to look at: {replicas:?}, marked {marked}"
    );
    Ok(())
}

/// When the window ended that the decision rests on.
fn decided(journal: &Journal) -> Option<Timestamp> {
    let is_trigger = |entry: &&Entry| matches!(entry.event, Event::Triggered { .. });
    let trigger = journal.entries.iter().position(|entry| is_trigger(&entry))?;
    let judged = journal.entries[..trigger].iter().rev().find_map(|entry| match &entry.event {
        Event::Judged { window, .. } => Some(window.end),
        _ => None,
    })?;
    let started: Timestamp = journal.header.live.as_ref()?.started_at.parse().ok()?;
    let at = |time: Time| i64::try_from(time.as_millis()).ok();
    Timestamp::from_millisecond(started.as_millisecond() + at(judged)?).ok()
}

/// When the first write after that moment was answered which leaves the release no traffic.
fn returned(audit: &[audit::Entry], after: Timestamp) -> Option<Timestamp> {
    let writes = audit.iter().filter(|entry| {
        entry.object_ref.resource == "httproutes"
            && entry.object_ref.name == WORKLOAD
            && (200..300).contains(&entry.response_status.code)
            && entry.answered >= after
    });
    let weight = |object: &Value| {
        let noted = &object["metadata"]["annotations"]["backout.dev/candidate-weight"];
        noted.as_str().map(str::to_owned)
    };
    writes
        .filter(|entry| weight(&entry.response_object).as_deref() == Some("0"))
        .map(|entry| entry.answered)
        .min()
}
