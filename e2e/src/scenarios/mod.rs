//! Scenarios: each runs on a cluster of its own.

mod adapters;
mod cluster_works;
pub mod demo;
mod faults_strike;
mod metrics_work;
mod network_works;

use std::future::Future;
use std::pin::Pin;

use anyhow::{Result, bail};

use crate::cluster::Cluster;

/// A scenario while it runs.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A scenario's name and what it does.
pub type Scenario = (&'static str, fn(&mut Cluster) -> Running<'_>);

/// The scenario that runs the tests of the adapters, which have to be built before.
pub const ADAPTERS: &str = "adapters";

/// Every scenario that runs when none is named, in the order that they run.
pub const SCENARIOS: &[Scenario] = &[
    ("cluster-works", |cluster| Box::pin(cluster_works::run(cluster))),
    ("faults-strike", |cluster| Box::pin(faults_strike::run(cluster))),
    ("network-works", |cluster| Box::pin(network_works::run(cluster))),
    ("metrics-work", |cluster| Box::pin(metrics_work::run(cluster))),
    (ADAPTERS, |cluster| Box::pin(adapters::run(cluster))),
];

/// Scenarios that run only when they are named: what they need is not finished yet.
pub const PENDING: &[Scenario] = &[];

/// The scenario of this name.
///
/// # Errors
/// There is none; names those that there are.
pub fn find(name: &str) -> Result<Scenario> {
    let all = || SCENARIOS.iter().chain(PENDING);
    match all().find(|(known, _)| *known == name) {
        Some(found) => Ok(*found),
        None => {
            let known: Vec<&str> = all().map(|(known, _)| *known).collect();
            bail!("no scenario is called {name}; there are: {}", known.join(", "))
        }
    }
}
