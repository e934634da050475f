//! Takes a workload over, and gives it back: the adapters' work, with the records in the cluster.

use std::time::Duration;

use backout_core::policy::ReleasePolicy;
use backout_core::release::Release;
use backout_world::failure::{Failure, Kind};
use backout_world::kubernetes::adoption::{Adopted, Adoption, Progress};
use backout_world::kubernetes::set::Sets;
use backout_world::live::{KnownGood, PolicyRecord};
use backout_world::traffic::{self, Provider};
use jiff::Timestamp;
use kube::Client;
use kube::core::DynamicObject;
use serde_json::json;
use std::sync::Arc;

use crate::api;
use crate::resources::{Condition, ConditionStatus, ConditionType, ReleaseStatus, Resource};

/// A workload with its policy.
pub struct Workload {
    client: Client,
    namespace: String,
    policy: String,
    route: String,
    sets: Sets,
    provider: Arc<dyn Provider>,
    record: PolicyRecord,
    ready_within: Duration,
    drain: Duration,
}

impl std::fmt::Debug for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workload").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Workload {
    /// The workload of a policy. `drain` is how long requests that are on their way may take.
    #[must_use]
    pub fn new(client: &Client, policy: &ReleasePolicy, drain: Duration) -> Self {
        let namespace = policy.metadata.namespace.as_str();
        let (workload, name) = (&policy.spec.workload.name, &policy.metadata.name);
        let ready_within = match policy.spec.deadlines.readiness {
            backout_core::units::Limit::Within(within) => Duration::from_millis(within.as_millis()),
            // Nothing waits for ever, whatever a policy says.
            backout_core::units::Limit::None => Duration::from_secs(3600),
        };
        Self {
            namespace: namespace.to_owned(),
            policy: name.to_string(),
            route: policy.spec.traffic.route.name.to_string(),
            sets: Sets::new(client.clone(), namespace, workload.as_str(), name.as_str()),
            provider: traffic::provider(&policy.spec.traffic.route, client.clone()),
            record: PolicyRecord::new(client.clone(), namespace, name.as_str()),
            client: client.clone(),
            ready_within,
            drain,
        }
    }

    /// Chooses the user's Service, where several lead to the workload.
    #[must_use]
    pub fn with_service(mut self, service: Option<&str>) -> Self {
        if let Some(service) = service {
            self.sets = self.sets.with_service(service);
        }
        self
    }

    fn adoption<'a>(&'a self, record: Option<&'a Release>) -> Adoption<'a> {
        Adoption {
            sets: &self.sets,
            provider: &*self.provider,
            route: &self.route,
            record,
            ready_within: self.ready_within,
            drain: self.drain,
        }
    }

    /// Takes the workload over, and records what runs as known good. The policy must be in the
    /// cluster.
    ///
    /// # Errors
    ///
    /// When a stage fails; calling it again goes on there.
    pub async fn adopt(
        &self,
        record: Option<&Release>,
        progress: &mut Progress<'_>,
    ) -> Result<Adopted, Failure> {
        let known = self.record.read().await?;
        let adopted = self.adoption(record).adopt(progress).await?;
        if known.release.is_none() {
            self.record_release(&adopted.release).await?;
            let known = KnownGood {
                release: Some(adopted.release.metadata.name.to_string()),
                set: Some(adopted.release.set_name()),
            };
            self.record.write(&known).await?;
        }
        Ok(adopted)
    }

    /// Keeps what runs as a Release that was promoted.
    async fn record_release(&self, release: &Release) -> Result<(), Failure> {
        let releases = api::objects(&self.client, &self.namespace, Resource::Release);
        let name = release.metadata.name.as_str();
        match releases.get(name).await? {
            Some(found) if found.data["spec"] == json!(release.spec) => {}
            Some(_) => {
                let message = format!(
                    "Release {}/{name} exists and records something else than what runs",
                    self.namespace
                );
                return Err(Failure::new(Kind::Refused, message)
                    .with_help("delete it, or name the record of what runs with `--as`"));
            }
            None => {
                let object = DynamicObject::new(name, &Resource::Release.api())
                    .within(&self.namespace)
                    .data(json!({ "spec": release.spec }));
                releases.create(&object).await?;
            }
        }
        let now = Timestamp::now().to_string();
        let condition = |kind, reason: &str, message: &str| Condition {
            kind,
            status: ConditionStatus::True,
            observed_generation: 1,
            last_transition_time: now.clone(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        };
        let told = "what ran when the workload was adopted";
        let status = ReleaseStatus {
            observed_generation: 1,
            phase: "Promoted".to_owned(),
            outcome: Some("promoted".to_owned()),
            message: Some(told.to_owned()),
            ended_at: Some(now.clone()),
            conditions: vec![
                condition(ConditionType::Ready, "Adopted", told),
                condition(ConditionType::Promoted, "KnownGood", told),
            ],
            ..ReleaseStatus::default()
        };
        releases.apply_status(name, json!(status)).await.map(drop)
    }

    /// Gives the workload back. Nothing of ours is left on it; the records of its releases stay,
    /// for people to read.
    ///
    /// # Errors
    ///
    /// When a rollout is on its way, or a stage fails; calling it again goes on there.
    pub async fn detach(&self, progress: &mut Progress<'_>) -> Result<(), Failure> {
        let known = self.record.read().await?;
        let running = self.running().await?;
        self.adoption(None).detach(known.set.as_deref(), running.as_deref(), progress).await?;
        self.record.write(&KnownGood::default()).await
    }

    /// What of ours is left, in words.
    ///
    /// # Errors
    ///
    /// When it cannot be listed.
    pub async fn left(&self) -> Result<Vec<String>, Failure> {
        self.adoption(None).left().await
    }

    /// The release of the workload that is on its way, if there is one. One that is promoted and
    /// only keeps the previous one ready has no more traffic to move.
    async fn running(&self) -> Result<Option<String>, Failure> {
        let releases = api::objects(&self.client, &self.namespace, Resource::Release);
        let found = releases.list().await?.into_iter().find(|release| {
            let view = crate::manager::due::ReleaseView::of(release);
            view.workload == self.workload() && view.begun && !view.ended && !view.promoted
        });
        Ok(found.and_then(|release| release.metadata.name))
    }

    fn workload(&self) -> &str {
        self.sets.workload()
    }

    /// Name of the policy.
    #[must_use]
    pub fn policy(&self) -> &str {
        &self.policy
    }
}
