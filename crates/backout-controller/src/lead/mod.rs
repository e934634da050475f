//! Leadership: which of several controllers acts.
//!
//! A Lease says who leads. Three rules make it safe without comparing clocks of machines:
//!
//! - Every write of the Lease names the version that it was decided on, so that of two who write
//!   at once one is refused.
//! - Who leads stops leading by its own monotonic clock, counted from before the last renewal was
//!   sent, and well before anyone else may take over.
//! - Who waits takes over when it saw no renewal for the whole duration of the Lease, by its own
//!   monotonic clock. The times that the Lease carries are for people.
//!
//! A process that is stopped and woken up can still act for a moment on what it decided before.
//! What a run does is therefore guarded a second time, by the version of its stored state.
//!
//! The crate `kube-lease-manager` was tried first. It compares wall clocks, keeps saying that it
//! leads while renewals fail, renews without naming a version, and sees a hand-over only when the
//! Lease would have expired.

mod campaign;
#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use backout_world::failure::{Failure, Kind};
use backout_world::kubernetes::answer;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::jiff::Timestamp;
use kube::{Api, Client};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use campaign::Campaign;

/// Name of the controller's Lease, in the controller's own namespace.
pub const LEASE: &str = "backout-controller";

/// How long a Lease lasts where nobody says otherwise.
pub const LEASE_LASTS: Duration = Duration::from_secs(15);

/// Shortest Lease: what it says of itself is in whole seconds, and several renewals have to fit.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(3);

/// Longest time that one request of [`held_by`] takes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long things last. The order matters: a renewal is tried several times within `hold`, and
/// `hold` is over before `lease` is.
#[derive(Clone, Copy, Debug)]
struct Timing {
    /// How long others wait after the last renewal that they saw.
    lease: Duration,
    /// How long a renewal vouches for the leader, from before it was sent.
    hold: Duration,
    /// Time between renewals.
    renew: Duration,
    /// Time between looks at a Lease of someone else, and after a failure.
    retry: Duration,
    /// Longest time that one attempt takes.
    request: Duration,
}

impl Timing {
    /// The times for a Lease that lasts so long. All are shares of it, so that their order holds
    /// whatever it is; 15 s give 10 s, 2 s, 1 s and 4 s.
    fn lasting(lease: Duration) -> Self {
        let lease = lease.max(SHORTEST_LEASE);
        Self {
            lease,
            hold: lease * 2 / 3,
            renew: lease * 2 / 15,
            retry: lease / 15,
            request: lease * 4 / 15,
        }
    }
}

/// Takes part in the election until it is released or dropped.
///
/// Dropped without a release, it shows at once that it does not lead, but leaves the Lease to
/// expire: whoever held it may be in the middle of something.
#[derive(Debug)]
pub struct Leadership {
    identity: String,
    leads: watch::Receiver<bool>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
    patience: Duration,
}

impl Leadership {
    /// Starts to take part, as a task of its own that ends with the value. `identity` is what
    /// people read in the Lease, for example the pod's name; something random is added, so that
    /// two processes never take each other for themselves. After a crash nobody leads for as long
    /// as the Lease `lasts`, which is at least [`SHORTEST_LEASE`].
    ///
    /// Needs the permissions get, create and update on Leases of the namespace. Without them, or
    /// without an answer, it does not lead, says so once in the log, and keeps trying.
    #[must_use]
    pub fn start(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        lasts: Duration,
    ) -> Self {
        Self::start_with(client, namespace, name, identity, Timing::lasting(lasts))
    }

    fn start_with(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        timing: Timing,
    ) -> Self {
        let identity = format!("{identity}_{:08x}", random());
        let (shown, leads) = watch::channel(false);
        let (stop, stopped) = oneshot::channel();
        let leases = Api::namespaced(client, namespace);
        let campaign = Campaign::new(leases, (namespace, name), &identity, timing, shown);
        let task = tokio::spawn(campaign.run(stopped));
        // An attempt is cut short by a release; then come at most four requests.
        let patience = timing.request.saturating_mul(2);
        Self { identity, leads, stop: Some(stop), task, patience }
    }

    /// Whether this process leads. It turns false at once when leadership ends, which is always
    /// before anyone else may lead, and when the task behind it ends for any reason.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.leads.clone()
    }

    /// What the Lease carries as its holder while this process leads.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Hands over: shows that it does not lead, and gives the Lease up, so that another takes
    /// over within about a second. To be called when nothing of this process writes any more.
    /// Takes a bounded time; if the Lease cannot be given up, it expires.
    pub async fn release(mut self) {
        if let Some(stop) = self.stop.take() {
            // The task ended already if nobody listens.
            let _ended = stop.send(());
        }
        if tokio::time::timeout(self.patience, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// A number that no other process comes up with. The standard library seeds it from the system.
fn random() -> u32 {
    let number = RandomState::new().build_hasher().finish();
    u32::try_from(number >> 32).unwrap_or_default()
}

/// Who holds a Lease that has not expired; `None` when nobody does, or when there is no Lease.
///
/// A Lease that has expired by the clock of this machine is looked at a second time, after the
/// time in which its holder would renew it: a clock that is ahead never makes a living holder
/// invisible.
///
/// # Errors
/// When the Lease cannot be read, for example for want of a permission.
pub async fn held_by(
    client: Client,
    namespace: &str,
    name: &str,
) -> Result<Option<String>, Failure> {
    let leases = Api::namespaced(client, namespace);
    let told = format!("Lease {namespace}/{name}");
    let Some(first) = read(&leases, name, &told).await? else { return Ok(None) };
    let Some(holder) = holder(&first) else { return Ok(None) };
    if !expired(&first, Timestamp::now()) {
        return Ok(Some(holder.to_owned()));
    }
    let timing = Timing::lasting(LEASE_LASTS);
    tokio::time::sleep(timing.renew + timing.retry).await;
    let second = read(&leases, name, &told).await?;
    let renewed = second.filter(|second| *second != first);
    Ok(renewed.as_ref().and_then(self::holder).map(str::to_owned))
}

async fn read(leases: &Api<Lease>, name: &str, told: &str) -> Result<Option<LeaseSpec>, Failure> {
    match tokio::time::timeout(REQUEST_TIMEOUT, leases.get_opt(name)).await {
        Ok(Ok(lease)) => Ok(lease.map(|lease| lease.spec.unwrap_or_default())),
        Ok(Err(error)) => Err(answer::failure(told, &error)),
        Err(_) => {
            let seconds = REQUEST_TIMEOUT.as_secs();
            Err(Failure::new(Kind::Failed, format!("{told}: no answer within {seconds} s")))
        }
    }
}

/// The holder, if there is one. An empty name is how some programs give a Lease up.
fn holder(spec: &LeaseSpec) -> Option<&str> {
    spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// Whether a Lease is over by this clock. A Lease without times is one that nobody renews.
fn expired(spec: &LeaseSpec, now: Timestamp) -> bool {
    let Some(renewed) = &spec.renew_time else { return true };
    let lasts_s = i64::from(spec.lease_duration_seconds.unwrap_or_default());
    now.as_second().saturating_sub(renewed.0.as_second()) > lasts_s
}
