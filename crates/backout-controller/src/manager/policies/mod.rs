//! What is said about each policy: whether a release could be rolled out with it now, and if not,
//! what a person has to do. Looked at whenever the policy changes, and again every few minutes,
//! because the world around it changes as well.

mod allowed;
mod examine;
mod report;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use backout_core::units::Digest;
use backout_world::failure::Failure;
use jiff::Timestamp;
use kube::Client;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::report::Report;
use super::due::{Key, ReleaseView};
use super::surplus;
use crate::api;
use crate::resources::{Condition, PolicyStatus, Resource};
use crate::rollout::ENVIRONMENT;

/// How often a policy is looked at that did not change. A fifth more or less, so that policies that
/// were applied together are not looked at together for ever.
const EVERY: Duration = Duration::from_secs(300);

/// How soon it is looked at again when something failed that may pass by itself.
const SOON: Duration = Duration::from_secs(30);

/// How many policies are looked at at once.
const AT_ONCE: usize = 4;

/// Longest time that one look may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What a look at a policy rests on, besides the cluster around it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Basis {
    uid: Option<String>,
    generation: i64,
    environment: Option<String>,
    known_good: Value,
    stable_set: Value,
    /// Other policies for the same workload.
    rivals: Vec<String>,
    /// The release that is on its way.
    active: Option<String>,
}

#[derive(Debug)]
struct Look {
    basis: Basis,
    next: Instant,
    busy: bool,
}

/// Looks at policies.
pub(super) struct Policies {
    client: Client,
    runs_programs: bool,
    looks: BTreeMap<Key, Look>,
    permits: Arc<Semaphore>,
    tasks: JoinSet<(Key, Outcome)>,
}

/// How soon a policy is to be looked at again.
enum Outcome {
    Settled,
    MayPass,
}

impl Policies {
    pub(super) fn new(client: Client, runs_programs: bool) -> Self {
        Self {
            client,
            runs_programs,
            looks: BTreeMap::new(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            tasks: JoinSet::new(),
        }
    }

    /// Looks at the policies whose time has come. Returns at once.
    pub(super) fn look(&mut self, policies: &[Arc<DynamicObject>], releases: &[ReleaseView]) {
        let now = Instant::now();
        while let Some(done) = self.tasks.try_join_next() {
            self.done(done, now);
        }
        let around = Around::of(policies, releases);
        self.looks.retain(|key, look| look.busy || around.names.contains(key));
        for policy in policies {
            let (key, basis) = (Key::of(policy), basis(policy, &around));
            let known = self.looks.get(&key);
            if known.is_some_and(|look| look.busy || (look.basis == basis && look.next > now)) {
                continue;
            }
            self.looks.insert(key.clone(), Look { basis: basis.clone(), next: now, busy: true });
            let (client, permits) = (self.client.clone(), Arc::clone(&self.permits));
            let (policy, runs_programs) = (Arc::clone(policy), self.runs_programs);
            self.tasks.spawn(async move {
                // The semaphore is never closed.
                let _permit = permits.acquire().await;
                let looked = at(&client, &policy, &basis, runs_programs);
                let outcome = match tokio::time::timeout(LIMIT, looked).await {
                    Ok(Ok(outcome)) => outcome,
                    Ok(Err(failure)) => {
                        let failure = failure.in_full();
                        tracing::warn!(policy = %key, failure, "status of the policy not written");
                        Outcome::MayPass
                    }
                    Err(_) => {
                        tracing::warn!(policy = %key, "looking at the policy took too long");
                        Outcome::MayPass
                    }
                };
                (key, outcome)
            });
        }
    }

    fn done(&mut self, done: Result<(Key, Outcome), tokio::task::JoinError>, now: Instant) {
        match done {
            Ok((key, outcome)) => {
                if let Some(look) = self.looks.get_mut(&key) {
                    look.busy = false;
                    look.next = now
                        + match outcome {
                            Outcome::Settled => spread(EVERY, &key),
                            Outcome::MayPass => spread(SOON, &key),
                        };
                }
            }
            Err(error) => {
                tracing::error!(%error, "a look at a policy broke");
                // It is not known which one it was: all are looked at again in a while.
                for look in self.looks.values_mut().filter(|look| look.busy) {
                    look.busy = false;
                    look.next = now + SOON;
                }
            }
        }
    }

    /// Stops: another one looks from now on.
    pub(super) fn stop(&mut self) {
        self.tasks.abort_all();
        self.tasks = JoinSet::new();
        self.looks.clear();
    }
}

/// The time for one policy: within a fifth of it, always the same for the same policy.
fn spread(time: Duration, key: &Key) -> Duration {
    let digest = Digest::of_bytes(key.to_string().as_bytes());
    let byte = digest.hex().get(..2).and_then(|byte| u32::from_str_radix(byte, 16).ok());
    time * 4 / 5 + time * 2 / 5 * byte.unwrap_or_default() / 256
}

/// Namespace and name of a workload.
type Workload = (String, String);

/// What there is around each policy, found in one pass over everything: there may be a thousand.
struct Around {
    names: BTreeSet<Key>,
    /// Names of the policies for each workload.
    policies: BTreeMap<Workload, Vec<String>>,
    /// The release of each workload that is on its way.
    active: BTreeMap<Workload, String>,
}

impl Around {
    fn of(policies: &[Arc<DynamicObject>], releases: &[ReleaseView]) -> Self {
        let mut around =
            Self { names: BTreeSet::new(), policies: BTreeMap::new(), active: BTreeMap::new() };
        for policy in policies {
            let key = Key::of(policy);
            around.policies.entry(workload(policy)).or_default().push(key.name.clone());
            around.names.insert(key);
        }
        for names in around.policies.values_mut() {
            names.sort();
        }
        let is_on_its_way =
            |release: &&ReleaseView| release.begun && !release.ended && !release.promoted;
        for release in releases.iter().filter(is_on_its_way) {
            let workload = (release.key.namespace.clone(), release.workload.clone());
            around.active.entry(workload).or_insert_with(|| release.key.name.clone());
        }
        around
    }
}

fn workload(policy: &DynamicObject) -> Workload {
    let name = policy.data["spec"]["workload"]["name"].as_str().unwrap_or_default();
    (policy.metadata.namespace.clone().unwrap_or_default(), name.to_owned())
}

fn basis(policy: &DynamicObject, around: &Around) -> Basis {
    let (name, workload) = (Key::of(policy).name, workload(policy));
    let rivals = around.policies.get(&workload).into_iter().flatten();
    let annotations = policy.metadata.annotations.as_ref();
    Basis {
        uid: policy.metadata.uid.clone(),
        generation: policy.metadata.generation.unwrap_or_default(),
        environment: annotations.and_then(|all| all.get(ENVIRONMENT)).cloned(),
        known_good: policy.data["status"]["knownGood"].clone(),
        stable_set: policy.data["status"]["stableSet"].clone(),
        rivals: rivals.filter(|other| **other != name).cloned().collect(),
        active: around.active.get(&workload).cloned(),
    }
}

/// Looks at one policy, says what was found, and frees what nobody needs any more.
async fn at(
    client: &Client,
    policy: &DynamicObject,
    basis: &Basis,
    runs_programs: bool,
) -> Result<Outcome, Failure> {
    let mut report = examine::examine(client, policy, basis, runs_programs).await;
    if let Err(failure) = surplus::remove(client, policy, Timestamp::now()).await {
        report.note(format!("sets that are not needed any more stay: {}", failure.in_full()));
    }
    let key = Key::of(policy);
    let status: PolicyStatus =
        serde_json::from_value(policy.data["status"].clone()).unwrap_or_default();
    let said = said(&report, status.conditions, basis, Timestamp::now());
    let objects = api::objects(client, &key.namespace, Resource::ReleasePolicy);
    objects.apply_status(&key.name, said).await?;
    Ok(if report.may_pass() { Outcome::MayPass } else { Outcome::Settled })
}

/// The status to be written. The fields that record what is known good are not among it: they
/// belong to `backout_world::live::PolicyRecord`, and a write that leaves them out leaves them be.
fn said(report: &Report, mut kept: Vec<Condition>, basis: &Basis, now: Timestamp) -> Value {
    report.conclude(&mut kept, basis.active.as_deref(), basis.generation, now);
    let mut status = json!({ "observedGeneration": basis.generation, "conditions": kept });
    if let Some(active) = &basis.active {
        status["activeRelease"] = json!(active);
    }
    status
}
