//! The world of one run on Kubernetes, joined from the adapters: it reads facts, carries effects
//! out, and decides nothing.

mod access;
mod begin;
mod changes;
mod gate;
mod known_good;
mod measure;
mod observe;
mod perform;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use backout_core::machine::{Effect, EffectResult};
use backout_core::plan::Brief;
use backout_core::snapshot::{PerArm, Snapshot};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::Client;

pub use access::prometheus;
pub use begin::{BeginError, begin};
pub use known_good::{KnownGood, PolicyRecord};

use crate::driver::{UnixWindow, World};
use crate::failure::Failure;
use crate::kubernetes::quarantine::Quarantine;
use crate::kubernetes::set::{ReleaseOwner, Sets};
use crate::probe::Prober;
use crate::prometheus::Prometheus;
use crate::traffic::{self, Arms, Provider};

/// What the world of a run is made of.
#[derive(Clone)]
pub struct Setup {
    /// The cluster.
    pub client: Client,
    /// What the run is made for.
    pub brief: Arc<Brief>,
    /// Time zero of the run.
    pub started: Timestamp,
    /// The Release resource that the candidate's set belongs to.
    pub owner: Option<ReleaseOwner>,
    /// Whether programs that the policy names may be run here. A policy is written by whoever may
    /// write into the namespace, and a controller has more rights than they have.
    pub runs_programs: bool,
}

/// The world of one run.
pub struct Live {
    brief: Arc<Brief>,
    arms: Arms,
    names: PerArm<String>,
    sets: Sets,
    provider: Arc<dyn Provider>,
    quarantine: Quarantine,
    record: PolicyRecord,
    /// The server of measurements, or why there is none.
    prometheus: Result<Prometheus, String>,
    /// Probes through the route, or why there are none.
    prober: Option<Prober>,
    owner: Option<ReleaseOwner>,
    started_ms: i64,
    /// When the route was written last by this process, in Unix milliseconds; 0 for never.
    shifted: AtomicI64,
    runs_programs: bool,
    changes: changes::Changes,
    client: Client,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("arms", &self.arms).finish_non_exhaustive()
    }
}

impl Live {
    /// The world of a run. Secrets that the policy names are read here.
    ///
    /// Where measurements cannot be had, there is a world without them, because a way back must not
    /// need them. Whoever begins a run asks for [`prometheus`] first.
    ///
    /// # Errors
    ///
    /// When the policy's probe cannot be sent.
    pub async fn new(setup: Setup) -> Result<Self, Failure> {
        let prometheus = prometheus(&setup.client, &setup.brief.policy)
            .await
            .unwrap_or_else(|failure| Err(failure.in_full()));
        let prober = access::prober(&setup.brief)?;
        Ok(Self::joined(setup, prometheus, prober))
    }

    /// The world of a run to look at, and no more: nothing can be measured or probed. It needs no
    /// Secret, so that a way back can be shown while measurements are out of reach.
    #[must_use]
    pub fn to_look_at(setup: Setup) -> Self {
        let reason = "this world is only looked at; nothing is measured in it".to_owned();
        Self::joined(setup, Err(reason), None)
    }

    fn joined(
        setup: Setup,
        prometheus: Result<Prometheus, String>,
        prober: Option<Prober>,
    ) -> Self {
        let Setup { client, brief, started, owner, runs_programs } = setup;
        let policy = &brief.policy;
        let namespace = policy.metadata.namespace.as_str();
        let arms = Arms {
            namespace: namespace.to_owned(),
            route: policy.spec.traffic.route.name.to_string(),
            service: None,
            workload: policy.spec.workload.name.to_string(),
            stable: brief.stable.set_name(),
            candidate: Some(brief.candidate.set_name()),
        };
        Self {
            names: PerArm {
                stable: brief.stable.set_name(),
                candidate: brief.candidate.set_name(),
            },
            sets: sets(client.clone(), &brief),
            provider: traffic::provider(&policy.spec.traffic.route, client.clone()),
            quarantine: Quarantine::new(client.clone(), namespace),
            record: PolicyRecord::new(client.clone(), namespace, policy.metadata.name.as_str()),
            changes: changes::Changes::watch(&client, &arms, &policy.spec.traffic.route),
            prometheus,
            prober,
            owner,
            started_ms: started.as_millisecond(),
            shifted: AtomicI64::new(0),
            runs_programs,
            arms,
            client,
            brief,
        }
    }
}

/// The sets of a brief's workload.
fn sets(client: Client, brief: &Brief) -> Sets {
    let policy = &brief.policy;
    Sets::new(
        client,
        policy.metadata.namespace.as_str(),
        policy.spec.workload.name.as_str(),
        policy.metadata.name.as_str(),
    )
}

impl World for Live {
    fn observe(&self) -> BoxFuture<'_, Result<Snapshot, Failure>> {
        async { Ok(self.snapshot().await) }.boxed()
    }

    fn perform<'a>(
        &'a self,
        effect: &'a Effect,
        window: Option<UnixWindow>,
    ) -> BoxFuture<'a, EffectResult> {
        self.carry_out(effect, window).boxed()
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.changes.next().boxed()
    }
}
