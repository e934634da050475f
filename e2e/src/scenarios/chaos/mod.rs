//! Rollouts while something that they rest on fails: the controller, the API server, Prometheus,
//! admission, or the peace of the route.

pub(super) mod api_restart;
pub(super) mod conflicting_writer;
pub(super) mod fifty_kills;
pub(super) mod prometheus_outage;
pub(super) mod slow_webhook;
pub(super) mod two_controllers;

use anyhow::{Result, ensure};
use backout_core::journal::{Entry, Event};

use super::shop::Shop;
use crate::load::Report;

/// How a rollout ends that went well.
const PROMOTED: &str = "promoted";
/// How a rollout ends that went back by traffic.
const WENT_BACK: &str = "rolled-back (traffic)";

/// Events of a release's journal.
async fn events(shop: &Shop<'_>, release: &str) -> Result<Vec<Entry>> {
    shop.journal(release).await.map(|(_, entries)| entries)
}

/// What other writers did to the run, as the journal noticed it.
fn third_parties(entries: &[Entry]) -> Vec<&str> {
    let told = entries.iter().filter_map(|entry| match &entry.event {
        Event::ThirdParty { what } => Some(what.as_str()),
        _ => None,
    });
    told.collect()
}

/// Fails if users had more failures of a set than its share and its own failures explain:
/// `weight` is the largest share that it was meant to have, `errors` the share of its answers that
/// fail, both from 0 to 1.
fn explained(report: &Report, set: &str, weight: f64, errors: f64) -> Result<()> {
    let Some(span) = report.releases().get(set).copied() else { return Ok(()) };
    let sent =
        report.records.iter().filter(|record| (span.first..=span.last).contains(&record.ended()));
    let (mut all, mut failed) = (0_u32, 0_u32);
    for record in sent {
        all += 1;
        let of_set = record.release.as_deref() == Some(set);
        failed += u32::from(of_set && record.outcome.is_failure());
    }
    // Chance is within four standard deviations, but for one run in thirty thousand; the rest is
    // for the moments in which the proxy takes a weight over.
    let mean = f64::from(all) * weight * errors;
    let most = mean + 4.0 * mean.sqrt() + 5.0;
    tracing::info!(set, all, failed, most, "failures of a bad release");
    ensure!(
        f64::from(failed) <= most,
        "{set} failed {failed} of {all} requests, more than its share explains ({most:.0})"
    );
    Ok(())
}
