//! How a release goes: its status, its conditions, its journal, its pods.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use backout_controller::rollout;
use backout_core::journal::{Entry, Header};
use backout_world::kubernetes::names;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde_json::Value;
use tokio::time::Instant;

use super::super::demo::{self, NAMESPACE};
use super::super::http;
use super::{Shop, objects};

impl Shop<'_> {
    /// The status of a release; null if it has none yet.
    ///
    /// # Errors
    /// There is no such release, or it cannot be read.
    pub async fn status(&self, name: &str) -> Result<Value> {
        let kind = GroupVersionKind::gvk("backout.dev", "v1alpha1", "Release");
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.cluster.client(), NAMESPACE, &resource);
        let release = api.get(name).await.with_context(|| format!("Release {name}"))?;
        Ok(release.data["status"].clone())
    }

    /// Whether a condition of a release is true.
    ///
    /// # Errors
    /// The release cannot be read.
    pub async fn holds(&self, name: &str, condition: &str) -> Result<bool> {
        let status = self.status(name).await?;
        let conditions = status["conditions"].as_array().into_iter().flatten();
        Ok(conditions.into_iter().any(|it| it["type"] == condition && it["status"] == "True"))
    }

    /// Waits for the end of a release, and says how it ended.
    ///
    /// # Errors
    /// It does not end in time; shows its status.
    pub async fn outcome(&self, name: &str, within: Duration) -> Result<String> {
        let ended = self.reaches(name, "an outcome", within, |status| {
            status["outcome"].as_str().map(str::to_owned)
        });
        ended.await
    }

    /// Waits until a release is at this step, for example `bake`.
    ///
    /// # Errors
    /// It does not come there in time; shows its status.
    pub async fn at_step(&self, name: &str, step: &str, within: Duration) -> Result<()> {
        let what = format!("the step {step}");
        self.reaches(name, &what, within, |status| (status["step"] == step).then_some(())).await
    }

    /// Waits until a release is in this phase, for example `RollingBack`.
    ///
    /// # Errors
    /// It does not come there in time; shows its status.
    pub async fn in_phase(&self, name: &str, phase: &str, within: Duration) -> Result<()> {
        let what = format!("the phase {phase}");
        self.reaches(name, &what, within, |status| (status["phase"] == phase).then_some(())).await
    }

    async fn reaches<T>(
        &self,
        name: &str,
        what: &str,
        within: Duration,
        mut look: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + within;
        loop {
            // An API server that restarts is no end of the wait.
            let status = self.status(name).await;
            if let Ok(status) = &status
                && let Some(found) = look(status)
            {
                return Ok(found);
            }
            ensure!(
                Instant::now() < deadline,
                "{name} did not reach {what} within {} s; its status: {status:?}",
                within.as_secs()
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The journal of a release, as it is kept in the cluster.
    ///
    /// # Errors
    /// It cannot be read, or the rollout never began.
    pub async fn journal(&self, name: &str) -> Result<(Header, Vec<Entry>)> {
        let journal = rollout::journal(&self.cluster.client(), NAMESPACE, name).await;
        let journal = journal.map_err(|failure| anyhow!(failure.in_full()));
        let journal = journal.with_context(|| format!("the journal of {name}"))?;
        Ok((journal.header, journal.entries))
    }

    /// The addresses of the pods of a set.
    ///
    /// # Errors
    /// They cannot be listed.
    pub async fn pods_of(&self, set: &str) -> Result<Vec<(String, String)>> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client(), NAMESPACE);
        let of_set = ListParams::default().labels(&format!("{}={set}", names::RELEASE));
        let listed = pods.list(&of_set).await.with_context(|| format!("pods of {set}"))?;
        let told = listed.items.into_iter().filter_map(|pod| {
            let address = pod.status?.pod_ip?;
            Some((pod.metadata.name?, format!("{address}:8080")))
        });
        Ok(told.collect())
    }

    /// Makes every pod of a set behave like this from now on.
    ///
    /// # Errors
    /// There is none, or one does not take it.
    pub async fn behave(&self, set: &str, behaviour: &Value) -> Result<()> {
        let pods = self.pods_of(set).await?;
        ensure!(!pods.is_empty(), "{set} has no pod");
        let behaviour = behaviour.to_string();
        for (name, address) in pods {
            let answer = http::post(&address, "/control", &behaviour);
            let answer = answer.await.with_context(|| format!("pod {name}"))?;
            ensure!(answer.starts_with("HTTP/1.1 200"), "pod {name} refuses: {answer}");
        }
        Ok(())
    }

    /// Changes the user's settings, as a new chart would: `hello` is what they are at first.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn configure(&self, greeting: &str) -> Result<()> {
        demo::apply(&self.cluster.client(), &objects::config(greeting)).await
    }

    /// The greeting in the settings that each pod of a set runs with.
    ///
    /// # Errors
    /// A pod does not answer.
    pub async fn greetings(&self, set: &str) -> Result<Vec<String>> {
        let mut told = Vec::new();
        for (name, address) in self.pods_of(set).await? {
            let answer = http::get(&address, set, "/version").await;
            let answer = answer.with_context(|| format!("pod {name}"))?;
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            let body: Value = serde_json::from_str(body)
                .with_context(|| format!("pod {name} answers no JSON: {answer}"))?;
            let config = body["config"].as_str().unwrap_or_default();
            let greeting = config.trim().trim_start_matches("greeting: ");
            told.push(greeting.to_owned());
        }
        Ok(told)
    }
}
