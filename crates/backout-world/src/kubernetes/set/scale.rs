//! Changes the size of a set.

use backout_core::machine::Precondition;
use backout_core::plan::ScalePurpose as Purpose;
use serde_json::{Value, json};

use super::{Sets, build, ours, uid};
use crate::failure::{Failure, Kind};
use crate::kubernetes::names;
use crate::kubernetes::objects::{self, AUTOSCALER, DEPLOYMENT};

impl Sets {
    /// Changes the size of a set. Capacity never makes it smaller; evidence and cleaning up never
    /// make it larger, and take the autoscaler away first, which would make it larger again. At
    /// the autoscaler's smallest size and above, capacity brings it back.
    ///
    /// # Errors
    ///
    /// If the set is another one, or asks for something else, than the precondition says; if it
    /// does not exist and is to serve; or if the API server refuses.
    pub async fn scale(
        &self,
        set: &str,
        replicas: u32,
        purpose: Purpose,
        only: Option<Precondition>,
    ) -> Result<(), Failure> {
        let told = self.objects.in_words(DEPLOYMENT, set);
        let Some(deployment) = self.deployment_of(set).await? else {
            return match purpose {
                Purpose::Capacity => {
                    Err(Failure::new(Kind::Missing, format!("{told} does not exist")))
                }
                Purpose::Evidence | Purpose::CleanUp => Ok(()),
            };
        };
        let intent = Intent { told: &told, replicas, purpose, only, uid: uid(&deployment) };
        // The precondition is checked before anything is taken away.
        let patch = intent.patch(&deployment)?;
        if purpose != Purpose::Capacity {
            self.drop_autoscaler(set).await?;
        }
        if patch.is_some() {
            self.objects.change(DEPLOYMENT, set, |now| intent.patch(now)).await?;
        }
        if purpose == Purpose::Capacity {
            self.keep_autoscaler(&deployment, replicas).await?;
        }
        Ok(())
    }

    /// Brings a set that was scaled down back to this size: a release that is released again has
    /// the set that it had. A set that is as large is left as it is.
    ///
    /// # Errors
    ///
    /// As [`Self::scale`].
    pub async fn wake(&self, set: &str, replicas: u32) -> Result<(), Failure> {
        let deployment = self.deployment_of(set).await?;
        let desired = deployment.map(|found| objects::count(&found["spec"]["replicas"], 1));
        if desired.is_some_and(|desired| desired < replicas) {
            return self.scale(set, replicas, Purpose::Capacity, None).await;
        }
        Ok(())
    }

    async fn drop_autoscaler(&self, set: &str) -> Result<(), Failure> {
        let labels = ours(&format!("{}={set}", names::RELEASE));
        for autoscaler in self.objects.list(AUTOSCALER, &labels).await? {
            let uid = autoscaler["metadata"]["uid"].as_str().unwrap_or_default();
            self.objects.delete(AUTOSCALER, objects::name(&autoscaler), uid).await?;
        }
        Ok(())
    }

    async fn keep_autoscaler(&self, deployment: &Value, replicas: u32) -> Result<(), Failure> {
        let Some(mut autoscaler) = build::autoscaler(deployment)? else { return Ok(()) };
        if replicas < objects::count(&autoscaler["spec"]["minReplicas"], 1) {
            // A part of full size is what the plan asks for: an autoscaler would make it more.
            return Ok(());
        }
        autoscaler["metadata"]["ownerReferences"] =
            deployment["metadata"]["ownerReferences"].clone();
        self.ensure(&autoscaler).await
    }
}

/// What a set is to become. The Deployment controller writes the status at any moment, so that
/// the same question is asked again of what it left.
struct Intent<'a> {
    told: &'a str,
    replicas: u32,
    purpose: Purpose,
    only: Option<Precondition>,
    /// The Deployment that was found to be ours.
    uid: u64,
}

impl Intent<'_> {
    /// What is to be changed, if anything.
    fn patch(&self, deployment: &Value) -> Result<Option<Value>, Failure> {
        let desired = objects::count(&deployment["spec"]["replicas"], 1);
        let (size, mark) = match self.purpose {
            Purpose::Capacity => (desired.max(self.replicas), Value::Null),
            Purpose::Evidence => (desired.min(self.replicas), json!("true")),
            Purpose::CleanUp => (desired.min(self.replicas), as_it_is(deployment)),
        };
        if uid(deployment) != self.uid {
            return Err(anew(self.told));
        }
        let marked = objects::label(deployment, names::FAILED) == mark.as_str();
        let is_done = size == desired;
        if self.purpose != Purpose::Capacity || !is_done || !marked {
            check(self.told, deployment, is_done, self.only)?;
        }
        Ok((!is_done || !marked).then(|| {
            json!({
                "metadata": {"labels": {names::FAILED: mark}},
                "spec": {"replicas": size},
            })
        }))
    }
}

fn as_it_is(deployment: &Value) -> Value {
    json!(objects::label(deployment, names::FAILED))
}

/// Whether the Deployment is still the one that was decided on. A change that was made already,
/// by an attempt whose answer was lost, has moved the generation on, and is no reason to refuse.
fn check(
    told: &str,
    deployment: &Value,
    is_done: bool,
    only: Option<Precondition>,
) -> Result<(), Failure> {
    let Some(only) = only else { return Ok(()) };
    if uid(deployment) != only.uid {
        return Err(anew(told));
    }
    let generation = deployment["metadata"]["generation"].as_u64().unwrap_or_default();
    if generation != only.resource_version && !is_done {
        let message = format!("{told} was changed since it was decided on");
        return Err(Failure::new(Kind::Failed, message));
    }
    Ok(())
}

fn anew(told: &str) -> Failure {
    let message = format!("{told} was deleted and made anew since it was decided on");
    Failure::new(Kind::Failed, message)
}
