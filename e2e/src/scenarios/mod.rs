//! Scenarios: each runs on a cluster of its own.

mod adapters;
mod by_hand;
mod chaos;
mod cluster_works;
pub mod demo;
mod faults_strike;
pub(crate) mod http;
mod metrics_work;
mod network_works;
mod rollouts;
pub mod shop;

use std::future::Future;
use std::pin::Pin;

use anyhow::{Result, bail};

use self::shop::Route;
use crate::cluster::Cluster;

/// A scenario while it runs.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A scenario's name and what it does.
pub type Scenario = (&'static str, fn(&mut Cluster) -> Running<'_>);

/// The scenario that runs the tests of the adapters, which have to be built before.
pub const ADAPTERS: &str = "adapters";

/// Every scenario, in the order that they begin: the longest first, because a few run at once.
pub const SCENARIOS: &[Scenario] = &[
    ("fifty-kills", |cluster| Box::pin(chaos::fifty_kills::run(cluster))),
    ("api-restart", |cluster| Box::pin(chaos::api_restart::run(cluster))),
    ("prometheus-outage", |cluster| Box::pin(chaos::prometheus_outage::run(cluster))),
    ("slow-webhook", |cluster| Box::pin(chaos::slow_webhook::run(cluster))),
    ("conflicting-writer", |cluster| Box::pin(chaos::conflicting_writer::run(cluster))),
    ("two-controllers", |cluster| Box::pin(chaos::two_controllers::run(cluster))),
    ("cluster-works", |cluster| Box::pin(cluster_works::run(cluster))),
    ("faults-strike", |cluster| Box::pin(faults_strike::run(cluster))),
    ("network-works", |cluster| Box::pin(network_works::run(cluster))),
    ("metrics-work", |cluster| Box::pin(metrics_work::run(cluster))),
    ("by-hand-weights", |cluster| Box::pin(by_hand::run(cluster, Route::HttpRoute))),
    ("by-hand-selector", |cluster| Box::pin(by_hand::run(cluster, Route::Selector))),
    ("by-hand-replicas", |cluster| Box::pin(by_hand::run(cluster, Route::Replicas))),
    (ADAPTERS, |cluster| Box::pin(adapters::run(cluster))),
    ("good-canary", |cluster| Box::pin(rollouts::good_canary::run(cluster))),
    ("good-blue-green", |cluster| Box::pin(rollouts::good_blue_green::run(cluster))),
    ("errors-at-five-percent", |cluster| Box::pin(rollouts::errors_at_five_percent::run(cluster))),
    ("latency", |cluster| Box::pin(rollouts::latency::run(cluster))),
    ("saturation", |cluster| Box::pin(rollouts::saturation::run(cluster))),
    ("bake-regression", |cluster| Box::pin(rollouts::bake_regression::run(cluster))),
    ("never-ready", |cluster| Box::pin(rollouts::never_ready::run(cluster))),
    ("proxy-freeze", |cluster| Box::pin(rollouts::proxy_freeze::run(cluster))),
    ("no-match", |cluster| Box::pin(rollouts::no_match::run(cluster))),
    ("webhook-refusal", |cluster| Box::pin(rollouts::webhook_refusal::run(cluster))),
    ("config-returns", |cluster| Box::pin(rollouts::config_returns::run(cluster))),
];

/// The scenario of this name.
///
/// # Errors
/// There is none; names those that there are.
pub fn find(name: &str) -> Result<Scenario> {
    match SCENARIOS.iter().find(|(known, _)| *known == name) {
        Some(found) => Ok(*found),
        None => {
            let known: Vec<&str> = SCENARIOS.iter().map(|(known, _)| *known).collect();
            bail!("no scenario is called {name}; there are: {}", known.join(", "))
        }
    }
}
