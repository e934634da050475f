//! The objects that move traffic. One provider, one file; a new one is made with
//! `cargo xtask new-traffic`.
//!
//! A provider knows how one kind of object says who gets how much traffic. It reads that, writes
//! it, and takes an object over from the user and gives it back. Whether traffic really moved is
//! not a provider's to say: probes and request counters show it.

pub mod backends;
pub mod endpoints;
mod object;
mod route;
mod service;

// xtask:traffic pub mod {snake};
pub mod grpc_route;
pub mod http_route;
pub mod replicas;
pub mod selector;

use std::fmt;
use std::sync::Arc;

use backout_core::machine::Precondition;
use backout_core::policy::{Route, RouteKind, Split};
use backout_core::snapshot::RouteFacts;
use backout_core::units::Weight;
use futures::future::BoxFuture;

use crate::failure::Failure;

/// Which object moves the traffic of which sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arms {
    /// Namespace of everything named here.
    pub namespace: String,
    /// Name of the object.
    pub route: String,
    /// Name of the user's Service that selects the workload. A route's backends that name it are
    /// the ones that are taken over. `None`: the only Service that the route names. A Service
    /// that is the route itself needs none.
    pub service: Option<String>,
    /// Name of the workload: the value of the label that all sets of the policy share.
    pub workload: String,
    /// Name of the stable release's set, which is also the name of its Service.
    pub stable: String,
    /// Name of the candidate's set, likewise. While nothing is on its way it is `None`.
    pub candidate: Option<String>,
}

/// Who writes, so that a run that was overtaken cannot write any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Name of the run: the release's.
    pub run: String,
    /// Rises with every restart and every new plan of the run.
    pub generation: u32,
}

/// One kind of object that moves traffic.
pub trait Provider: fmt::Debug + Send + Sync {
    /// The object's kind, as Kubernetes writes it.
    fn kind(&self) -> &'static str;

    /// Reads which share of traffic the object gives the candidate. A backend that is neither the
    /// stable set's nor the candidate's, or weights that add up to nothing, are a failure that
    /// says what was found: they are never taken for zero. The version that is read changes with
    /// every change of what the object asks for, and not with its status.
    fn read<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<RouteFacts, Failure>>;

    /// Gives the candidate this share. Does nothing when the object says so already. Refuses when
    /// the object changed since `expected` was read, and when a newer generation of the same run
    /// wrote it.
    fn write<'a>(
        &'a self,
        arms: &'a Arms,
        candidate: Weight,
        expected: Option<Precondition>,
        fence: &'a Fence,
    ) -> BoxFuture<'a, Result<(), Failure>>;

    /// Takes the object over: notes on it what the user had, and sends all traffic to the stable
    /// set. Does nothing when that was done already.
    fn adopt<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<(), Failure>>;

    /// Settles on the arms' stable set, at promotion and after the way back: what the object notes,
    /// and the Service that clients inside the cluster use, name it from then on. Refused unless
    /// that set has all traffic already: settling moves no user traffic of the route.
    fn follow<'a>(&'a self, arms: &'a Arms, fence: &'a Fence)
    -> BoxFuture<'a, Result<(), Failure>>;

    /// Gives the object back as the user had it, and takes every note of ours away.
    fn detach<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<(), Failure>>;
}

/// The provider of a policy's route.
#[must_use]
pub fn provider(route: &Route, client: kube::Client) -> Arc<dyn Provider> {
    match (route.kind, route.split()) {
        (RouteKind::Service, Split::Replicas) => replicas::provider(client),
        (RouteKind::Service, Split::Selector) => selector::provider(client),
        // xtask:traffic (RouteKind::{camel}, _) => {snake}::provider(client),
        (RouteKind::HTTPRoute, _) => http_route::provider(client),
        (RouteKind::GRPCRoute, _) => grpc_route::provider(client),
    }
}
