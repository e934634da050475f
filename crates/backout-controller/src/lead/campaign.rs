//! One candidate: looks at the Lease, takes it when it is free, and renews it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{Timing, holder};

/// Longest duration that is believed of a Lease that someone else wrote.
const LONGEST_LEASE: Duration = Duration::from_secs(600);

/// A Lease as it was seen, and since when nothing of it changed.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) lease: Lease,
    pub(super) since: Instant,
}

impl Seen {
    fn spec(&self) -> LeaseSpec {
        self.lease.spec.clone().unwrap_or_default()
    }

    /// Whether the candidate may take it: nobody has it, or the candidate itself lost it only by
    /// its clock, or whoever has it did not renew it for its whole duration.
    pub(super) fn free(&self, identity: &str, now: Instant, usual: Duration) -> bool {
        let spec = self.spec();
        let lasts = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let lasts = lasts.map_or(usual, Duration::from_secs).min(LONGEST_LEASE);
        match holder(&spec) {
            None => true,
            Some(holder) => holder == identity || now.duration_since(self.since) >= lasts,
        }
    }
}

/// A candidate, and the leader while `until` is set.
#[derive(Debug)]
pub(super) struct Campaign {
    leases: Api<Lease>,
    name: String,
    /// How the Lease is called in the log.
    told: String,
    identity: String,
    timing: Timing,
    shown: watch::Sender<bool>,
    seen: Option<Seen>,
    /// End of what the newest renewal vouches for.
    until: Option<Instant>,
    /// Whether the last attempt failed, so that it is logged only once.
    failing: bool,
}

impl Campaign {
    pub(super) fn new(
        leases: Api<Lease>,
        (namespace, name): (&str, &str),
        identity: &str,
        timing: Timing,
        shown: watch::Sender<bool>,
    ) -> Self {
        Self {
            leases,
            name: name.to_owned(),
            told: format!("Lease {namespace}/{name}"),
            identity: identity.to_owned(),
            timing,
            shown,
            seen: None,
            until: None,
            failing: false,
        }
    }

    /// Takes part until it is told to stop, or until whoever could tell it is gone.
    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let now = Instant::now();
            let patience = now + self.timing.request;
            let patience = self.until.map_or(patience, |until| until.min(patience));
            let pause = self.until.map_or(self.timing.retry, |_| self.timing.renew);
            tokio::select! {
                biased;
                asked = &mut stopped => return self.stop(asked.is_ok()).await,
                attempt = timeout_at(patience, self.attempt()) => self.note(attempt),
            }
            let pause = if self.failing { self.timing.retry } else { pause };
            let next = Instant::now() + pause;
            tokio::select! {
                biased;
                asked = &mut stopped => return self.stop(asked.is_ok()).await,
                () = sleep_until(self.until.map_or(next, |until| until.min(next))) => {}
            }
            if self.until.is_some_and(|until| Instant::now() >= until) {
                self.lose("it could not be renewed in time");
            }
        }
    }

    /// Renews the Lease, or takes it if it is free.
    async fn attempt(&mut self) -> Result<(), kube::Error> {
        // What is known is what was written last; looking again would only take time.
        if self.until.is_none() || self.seen.is_none() {
            self.look().await?;
        }
        let began = Instant::now();
        let Some(seen) = &self.seen else {
            let lease = self.leases.create(&parameters(), &self.claimed(None)).await?;
            self.lead(lease, began);
            return Ok(());
        };
        if self.until.is_none() && !seen.free(&self.identity, began, self.timing.lease) {
            return Ok(());
        }
        let wanted = self.claimed(Some(&seen.lease));
        match self.leases.replace(&self.name, &parameters(), &wanted).await {
            Ok(lease) => self.lead(lease, began),
            Err(kube::Error::Api(status)) if status.code == 409 => self.overtaken().await?,
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.seen = None;
                self.lose("it was deleted");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Someone wrote the Lease meanwhile: an earlier write of this candidate that was not
    /// answered, a person who labelled it, or another candidate.
    async fn overtaken(&mut self) -> Result<(), kube::Error> {
        self.look().await?;
        let spec = self.seen.as_ref().map(Seen::spec).unwrap_or_default();
        if holder(&spec) != Some(self.identity.as_str()) {
            self.lose(&format!("{} has it", holder(&spec).unwrap_or("nobody")));
            return Ok(());
        }
        let began = Instant::now();
        if let Some(seen) = &self.seen {
            let wanted = self.claimed(Some(&seen.lease));
            let lease = self.leases.replace(&self.name, &parameters(), &wanted).await?;
            self.lead(lease, began);
        }
        Ok(())
    }

    /// Reads the Lease. What it says counts from when it was first read.
    async fn look(&mut self) -> Result<(), kube::Error> {
        let lease = self.leases.get_opt(&self.name).await?;
        self.seen = lease.map(|lease| {
            let before = self.seen.as_ref().filter(|seen| seen.lease.spec == lease.spec);
            let since = before.map_or_else(Instant::now, |seen| seen.since);
            Seen { lease, since }
        });
        Ok(())
    }

    /// The Lease as this candidate holds it from now on.
    fn claimed(&self, before: Option<&Lease>) -> Lease {
        let now = MicroTime(Timestamp::now());
        let mut lease = before.cloned().unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            ..Lease::default()
        });
        let mut spec = lease.spec.take().unwrap_or_default();
        if holder(&spec) != Some(self.identity.as_str()) {
            spec.lease_transitions =
                Some(spec.lease_transitions.unwrap_or_default().saturating_add(1));
            spec.acquire_time = Some(now.clone());
            spec.holder_identity = Some(self.identity.clone());
        }
        spec.renew_time = Some(now);
        spec.lease_duration_seconds = i32::try_from(self.timing.lease.as_secs().max(1)).ok();
        lease.spec = Some(spec);
        lease
    }

    fn lead(&mut self, lease: Lease, began: Instant) {
        self.seen = Some(Seen { lease, since: Instant::now() });
        let first = self.until.replace(began + self.timing.hold).is_none();
        if first {
            tracing::info!(lease = self.told, identity = self.identity, "leads");
        }
        self.shown.send_if_modified(|shown| !std::mem::replace(shown, true));
    }

    fn lose(&mut self, why: &str) {
        self.shown.send_if_modified(|shown| std::mem::replace(shown, false));
        if self.until.take().is_some() {
            tracing::warn!(lease = self.told, identity = self.identity, why, "leads no more");
        }
    }

    fn note(&mut self, attempt: Result<Result<(), kube::Error>, tokio::time::error::Elapsed>) {
        let failed = match attempt {
            Ok(Ok(())) => None,
            // Another candidate was faster: an answer as good as any.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => None,
            Ok(Err(error)) => {
                Some(backout_world::kubernetes::answer::failure(&self.told, &error).in_full())
            }
            Err(_) => Some(format!("{}: no answer in time", self.told)),
        };
        if let Some(error) = &failed
            && !self.failing
        {
            tracing::warn!(error, "leadership cannot be decided; trying on");
        }
        self.failing = failed.is_some();
    }

    /// Ends; gives the Lease up only if that was asked for.
    async fn stop(mut self, release: bool) {
        let led = self.until.is_some();
        self.lose("it stops");
        if !(release && led) {
            return;
        }
        let told = self.told.clone();
        match timeout(self.timing.request, self.give_up()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = backout_world::kubernetes::answer::failure(&told, &error).in_full();
                tracing::warn!(error, "could not be given up; it will expire");
            }
            Err(_) => tracing::warn!(lease = told, "not given up in time; it will expire"),
        }
    }

    /// Writes that nobody holds the Lease. A renewal that was cut short may have come through, so
    /// that a conflict is looked at once more.
    async fn give_up(&mut self) -> Result<(), kube::Error> {
        for _ in 0..2 {
            let Some(seen) = &self.seen else { return Ok(()) };
            let mut lease = seen.lease.clone();
            let mut spec = seen.spec();
            spec.holder_identity = None;
            spec.acquire_time = None;
            spec.renew_time = Some(MicroTime(Timestamp::now()));
            lease.spec = Some(spec);
            match self.leases.replace(&self.name, &parameters(), &lease).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                answer => return answer.map(|_| ()),
            }
            self.look().await?;
            let spec = self.seen.as_ref().map(Seen::spec).unwrap_or_default();
            if holder(&spec) != Some(self.identity.as_str()) {
                return Ok(());
            }
        }
        Ok(())
    }
}

impl Drop for Campaign {
    /// Whoever still watches must not believe the last word of a task that is gone.
    fn drop(&mut self) {
        self.shown.send_if_modified(|shown| std::mem::replace(shown, false));
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some("backout-controller".to_owned()), ..PostParams::default() }
}
