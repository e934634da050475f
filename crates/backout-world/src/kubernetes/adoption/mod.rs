//! Takes a workload over, and gives it back, both without downtime. The user's Deployment stays
//! where it is, as the template of every release; while the workload is adopted it has no
//! replicas. Every stage can be made again: what was cut short goes on by calling it again.

mod obstacles;
mod record;

use std::future::Future;
use std::time::Duration;

use backout_core::plan::ScalePurpose;
use backout_core::release::Release;
use backout_core::units::Name;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use obstacles::obstacles;

use super::names;
use super::objects::{self, DEPLOYMENT, ENDPOINT_SLICE, NETWORK_POLICY, POD, REPLICA_SET};
use super::set::{self, Sets, selectors};
use crate::failure::{Failure, Kind};
use crate::traffic::{Arms, Provider};

/// Time between two looks at something that is waited for. What is waited for shows in several
/// kinds of object at once, so that it is looked at, and not watched.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A stage that is over, or something that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// What runs was recorded, as a release with this set.
    Recorded(String),
    /// The set exists.
    Created(String),
    /// So many of its pods are ready.
    Ready(u32),
    /// The route's object sends everything to the set.
    RouteTaken,
    /// The route's object is as the user had it.
    RouteGiven,
    /// Requests that were on their way have had time to end.
    Drained,
    /// The user's Deployment has this many replicas now.
    Scaled(u32),
    /// This set is gone.
    Removed(String),
    /// Something to know.
    Note(String),
}

/// What was taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The record of what runs.
    pub release: Release,
    /// Replicas that the user's Deployment had.
    pub replicas: u32,
}

/// A workload that is taken over or given back.
#[derive(Debug)]
pub struct Adoption<'a> {
    /// Its sets.
    pub sets: &'a Sets,
    /// Who moves its traffic.
    pub provider: &'a dyn Provider,
    /// Name of the object that moves its traffic.
    pub route: &'a str,
    /// The record of what runs, if there is one. Otherwise one is made of what the pods say.
    pub record: Option<&'a Release>,
    /// How long pods may take until they are ready.
    pub ready_within: Duration,
    /// How long requests that are on their way may take.
    pub drain: Duration,
}

/// Hears of every stage.
pub type Progress<'a> = dyn FnMut(Stage) + Send + 'a;

impl Adoption<'_> {
    /// Takes the workload over: a copy that runs what it runs, traffic to the copy, then no
    /// replicas of the original.
    ///
    /// # Errors
    ///
    /// If it cannot be adopted, with every reason; or a stage fails. Until traffic has moved, the
    /// user's Deployment serves as before.
    pub async fn adopt(&self, progress: &mut Progress<'_>) -> Result<Adopted, Failure> {
        let deployment = self.sets.objects.need(DEPLOYMENT, &self.sets.deployment).await?;
        let adopted = match adopted_as(&deployment)? {
            Some(adopted) => adopted,
            None => self.begin(&deployment).await?,
        };
        let set = adopted.release.set_name();
        progress(Stage::Recorded(set.clone()));
        if is_adopted(&deployment) {
            // All stages are over. The set that serves may be another one by now.
            return Ok(adopted);
        }
        self.sets.create(&adopted.release, adopted.replicas, None).await?;
        progress(Stage::Created(set.clone()));
        self.sets.scale(&set, adopted.replicas, ScalePurpose::Capacity, None).await?;
        self.ready(&set, adopted.replicas).await?;
        self.serving(&set, adopted.replicas).await?;
        progress(Stage::Ready(adopted.replicas));

        self.provider.adopt(&self.arms(&set)).await?;
        progress(Stage::RouteTaken);
        tokio::time::sleep(self.drain).await;
        progress(Stage::Drained);
        // The set must still be whole at the moment that the original goes.
        self.serving(&set, adopted.replicas).await?;
        self.change(&deployment, |_| {
            Ok(Some(json!({
                "metadata": {"annotations": {names::REPLICAS: adopted.replicas.to_string()}},
                "spec": {"replicas": 0},
            })))
        })
        .await?;
        progress(Stage::Scaled(0));
        Ok(adopted)
    }

    /// Checks that the workload can be adopted, and notes on it what it runs.
    async fn begin(&self, deployment: &Value) -> Result<Adopted, Failure> {
        let objects = &self.sets.objects;
        let told = objects.in_words(DEPLOYMENT, &self.sets.deployment);
        let labels = selectors::labels(&deployment["spec"]["template"]["metadata"]["labels"]);
        let services = self.sets.services(&labels).await?;
        let deployments = objects.list(DEPLOYMENT, "").await?;
        let policies = objects.list(NETWORK_POLICY, "").await?;
        let reasons = obstacles(deployment, &services, &deployments, &policies);
        if !reasons.is_empty() {
            let message = format!("{told} cannot be adopted: {}", reasons.join("; "));
            return Err(Failure::new(Kind::Refused, message));
        }
        let pods = self.own_pods(deployment).await?;
        let namespace: Name = objects.namespace().parse().map_err(|error| {
            Failure::new(Kind::Refused, format!("namespace {}: {error}", objects.namespace()))
        })?;
        let derived = record::derive(deployment, &pods, &namespace)?;
        let release = match self.record {
            Some(record) => record::checked(record, &derived)?,
            None => derived,
        };
        let replicas = objects::count(&deployment["spec"]["replicas"], 1);
        let record = serde_json::to_string(&release).map_err(|error| {
            Failure::new(Kind::Failed, format!("{told}: its record cannot be written: {error}"))
        })?;
        self.change(deployment, |now| {
            // What was checked and recorded is what is noted; a status that moved on changes none.
            if now["spec"] != deployment["spec"] || adopted_as(now)?.is_some() {
                let message = format!("{told} was changed while it was being adopted");
                return Err(Failure::new(Kind::Failed, message).with_help("adopt again"));
            }
            Ok(Some(json!({"metadata": {"annotations": {names::ADOPTED: record}}})))
        })
        .await?;
        Ok(Adopted { release, replicas })
    }

    /// Changes the user's Deployment, the very one that was read before.
    async fn change(
        &self,
        read: &Value,
        mut wanted: impl FnMut(&Value) -> Result<Option<Value>, Failure>,
    ) -> Result<(), Failure> {
        let objects = &self.sets.objects;
        let told = objects.in_words(DEPLOYMENT, &self.sets.deployment);
        let same = set::uid(read);
        let only_this = |now: &Value| {
            if set::uid(now) != same {
                let message = format!("{told} was deleted and made anew meanwhile");
                return Err(Failure::new(Kind::Failed, message));
            }
            wanted(now)
        };
        objects.change(DEPLOYMENT, &self.sets.deployment, only_this).await
    }

    /// Gives the workload back: its own replicas, with its own template as it is now, traffic to
    /// them, then nothing of ours.
    ///
    /// # Errors
    ///
    /// If a rollout is running (`running` names it), it is not known how many replicas the
    /// workload had, or a stage fails. Until traffic has moved, the set serves as before.
    pub async fn detach(
        &self,
        stable: Option<&str>,
        running: Option<&str>,
        progress: &mut Progress<'_>,
    ) -> Result<(), Failure> {
        let objects = &self.sets.objects;
        let told = objects.in_words(DEPLOYMENT, &self.sets.deployment);
        if let Some(running) = running {
            let message = format!("{told} cannot be given back while rollout {running} runs");
            return Err(Failure::new(Kind::Refused, message)
                .with_help("let it finish, or end it with `backout abort`"));
        }
        let deployment = objects.need(DEPLOYMENT, &self.sets.deployment).await?;
        let adopted = adopted_as(&deployment)?;
        let wanted = self.give_back(&deployment).await?;
        progress(Stage::Scaled(wanted));
        self.own_ready(wanted).await?;
        progress(Stage::Ready(wanted));
        let known = adopted.map(|adopted| adopted.release.set_name());
        if let Some(stable) = stable.map(str::to_owned).or(known) {
            self.compare(&stable, progress).await?;
            self.provider.detach(&self.arms(&stable)).await?;
            progress(Stage::RouteGiven);
            tokio::time::sleep(self.drain).await;
            progress(Stage::Drained);
            self.own_ready(wanted).await?;
        }
        let mut sets: Vec<String> =
            self.sets.remains().await?.into_iter().map(|(set, _)| set).collect();
        sets.sort();
        sets.dedup();
        for set in sets {
            self.sets.purge(&set).await?;
            progress(Stage::Removed(set));
        }
        let patch = json!({"metadata": {"annotations": {
            names::ADOPTED: null, names::REPLICAS: null,
        }}});
        objects.merge(DEPLOYMENT, &self.sets.deployment, &patch).await?;
        Ok(())
    }

    /// What of ours is left, in words: empty after a workload was given back.
    ///
    /// # Errors
    ///
    /// If it cannot be listed.
    pub async fn left(&self) -> Result<Vec<String>, Failure> {
        let remains = self.sets.remains().await?;
        let mut left: Vec<String> = remains.into_iter().map(|(_, object)| object).collect();
        let objects = &self.sets.objects;
        if let Some(deployment) = objects.get(DEPLOYMENT, &self.sets.deployment).await? {
            let told = objects.in_words(DEPLOYMENT, &self.sets.deployment);
            for key in [names::ADOPTED, names::REPLICAS] {
                if objects::annotation(&deployment, key).is_some() {
                    left.push(format!("annotation {key} of {told}"));
                }
            }
        }
        Ok(left)
    }

    /// Brings the user's Deployment back to its replicas, and returns how many.
    async fn give_back(&self, deployment: &Value) -> Result<u32, Failure> {
        let objects = &self.sets.objects;
        let told = objects.in_words(DEPLOYMENT, &self.sets.deployment);
        let mut replicas = 0;
        self.change(deployment, |now| {
            let desired = objects::count(&now["spec"]["replicas"], 1);
            let noted = noted(now);
            if desired == 0 && noted.is_none() {
                let message = format!("{told} has no replicas, and no note of how many it had");
                return Err(Failure::new(Kind::Refused, message)
                    .with_help("scale it up yourself, then give it back"));
            }
            replicas = desired.max(noted.unwrap_or_default());
            Ok((desired != replicas).then(|| json!({"spec": {"replicas": replicas}})))
        })
        .await?;
        Ok(replicas)
    }

    /// The pods that the user's Deployment runs by its present template.
    async fn own_pods(&self, deployment: &Value) -> Result<Vec<Value>, Failure> {
        let objects = &self.sets.objects;
        let equal = selectors::labels(&deployment["spec"]["selector"]["matchLabels"]);
        let labels: Vec<String> =
            equal.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let labels = labels.join(",");
        let pods = objects.list(POD, &labels).await?;
        let replica_sets = objects.list(REPLICA_SET, &labels).await?;
        let newest = set::newest(deployment, &replica_sets);
        let pods = newest.map(|newest| set::pods_of(newest, &pods)).unwrap_or_default();
        Ok(pods.into_iter().cloned().collect())
    }

    /// Tells where the user's template runs another image than the set that it takes over from:
    /// it is the template as it is now, and not as it was adopted.
    async fn compare(&self, stable: &str, progress: &mut Progress<'_>) -> Result<(), Failure> {
        let deployment = self.sets.objects.need(DEPLOYMENT, &self.sets.deployment).await?;
        let Some(seen) = self.sets.observe(stable).await? else { return Ok(()) };
        let pods = self.own_pods(&deployment).await?;
        for (container, digest) in pods.first().map(set::digests).unwrap_or_default() {
            if let Some(served) = seen.running.get(&container)
                && *served != digest
            {
                progress(Stage::Note(format!(
                    "container {container} of Deployment {} runs {}, set {stable} ran {}",
                    self.sets.deployment,
                    digest.short(),
                    served.short()
                )));
            }
        }
        Ok(())
    }

    fn arms(&self, stable: &str) -> Arms {
        Arms {
            namespace: self.sets.objects.namespace().to_owned(),
            route: self.route.to_owned(),
            workload: self.sets.deployment.clone(),
            stable: stable.to_owned(),
            candidate: None,
            service: self.sets.service().map(str::to_owned),
        }
    }

    async fn ready(&self, set: &str, wanted: u32) -> Result<(), Failure> {
        self.until(|| async move {
            let Some(seen) = self.sets.observe(set).await? else {
                return Ok(Err(format!("set {set} does not exist")));
            };
            if let Some(refused) = seen.refused {
                return Err(Failure::new(Kind::Refused, format!("set {set}: {refused}")));
            }
            if seen.ready >= wanted {
                return Ok(Ok(()));
            }
            let why = seen.waiting.map(|why| format!(": {why}")).unwrap_or_default();
            Ok(Err(format!("{} of {wanted} pods of set {set} are ready{why}", seen.ready)))
        })
        .await
    }

    /// Waits until a Service leads to so many ready pods.
    async fn serving(&self, service: &str, wanted: u32) -> Result<(), Failure> {
        self.until(|| async move {
            let labels = format!("kubernetes.io/service-name={service}");
            let slices = self.sets.objects.list(ENDPOINT_SLICE, &labels).await?;
            let ready = ready_endpoints(&slices);
            if ready >= wanted {
                return Ok(Ok(()));
            }
            Ok(Err(format!("Service {service} leads to {ready} of {wanted} pods")))
        })
        .await
    }

    /// Waits until the user's own pods are ready, and its Services lead to them.
    async fn own_ready(&self, wanted: u32) -> Result<(), Failure> {
        self.until(|| async move {
            let deployment = self.sets.objects.need(DEPLOYMENT, &self.sets.deployment).await?;
            let status = &deployment["status"];
            let is_seen = status["observedGeneration"].as_u64()
                == deployment["metadata"]["generation"].as_u64();
            let available = objects::count(&status["availableReplicas"], 0)
                .min(objects::count(&status["updatedReplicas"], 0));
            if is_seen && available >= wanted {
                return Ok(Ok(()));
            }
            let name = &self.sets.deployment;
            Ok(Err(format!("{available} of {wanted} pods of Deployment {name} are available")))
        })
        .await?;
        let deployment = self.sets.objects.need(DEPLOYMENT, &self.sets.deployment).await?;
        let labels = selectors::labels(&deployment["spec"]["template"]["metadata"]["labels"]);
        for service in self.sets.services(&labels).await? {
            self.serving(objects::name(&service), wanted).await?;
        }
        Ok(())
    }

    /// Looks until it is so, or the time is over. What cannot be read for a moment is looked at
    /// again.
    async fn until<F, Looked>(&self, mut look: F) -> Result<(), Failure>
    where
        F: FnMut() -> Looked,
        Looked: Future<Output = Result<Result<(), String>, Failure>> + Send,
    {
        let deadline = Instant::now() + self.ready_within;
        loop {
            let missing = match look().await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(missing)) => missing,
                Err(failure) if failure.kind == Kind::Failed => failure.in_full(),
                Err(failure) => return Err(failure),
            };
            if Instant::now() >= deadline {
                let seconds = self.ready_within.as_secs();
                return Err(Failure::new(Kind::Failed, format!("after {seconds} s: {missing}")));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// What the Deployment was adopted as, as noted on it.
fn adopted_as(deployment: &Value) -> Result<Option<Adopted>, Failure> {
    let Some(text) = objects::annotation(deployment, names::ADOPTED) else { return Ok(None) };
    let release = serde_json::from_str(text).map_err(|error| {
        let name = objects::name(deployment);
        let message =
            format!("Deployment {name}: annotation {} is not a record: {error}", names::ADOPTED);
        Failure::new(Kind::Refused, message).with_help("remove the annotation, then adopt again")
    })?;
    let desired = objects::count(&deployment["spec"]["replicas"], 1);
    Ok(Some(Adopted { release, replicas: noted(deployment).unwrap_or(desired) }))
}

fn is_adopted(deployment: &Value) -> bool {
    noted(deployment).is_some() && objects::count(&deployment["spec"]["replicas"], 1) == 0
}

fn noted(deployment: &Value) -> Option<u32> {
    objects::annotation(deployment, names::REPLICAS)?.parse().ok()
}

fn ready_endpoints(slices: &[Value]) -> u32 {
    let endpoints = slices.iter().filter_map(|slice| slice["endpoints"].as_array()).flatten();
    // A pod with two addresses is in one slice for each family.
    let ready: std::collections::BTreeSet<&str> = endpoints
        .filter(|endpoint| endpoint["conditions"]["ready"].as_bool() != Some(false))
        .filter_map(|endpoint| {
            endpoint["targetRef"]["uid"].as_str().or_else(|| endpoint["addresses"][0].as_str())
        })
        .collect();
    u32::try_from(ready.len()).unwrap_or(u32::MAX)
}
