//! Scenarios: each runs on a cluster of its own.

mod cluster_works;
pub mod demo;
mod faults_strike;

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;

use crate::cluster::Cluster;

/// A scenario while it runs.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A scenario's name and what it does.
pub type Scenario = (&'static str, fn(&mut Cluster) -> Running<'_>);

/// Every scenario, in the order that they run.
pub const SCENARIOS: &[Scenario] = &[
    ("cluster-works", |cluster| Box::pin(cluster_works::run(cluster))),
    ("faults-strike", |cluster| Box::pin(faults_strike::run(cluster))),
];
