//! A Service that selects both sets while a share is given by the number of pods of each. All and
//! nothing are selectors of one set, so that going back is one write and waits for no pod.

use std::collections::BTreeSet;
use std::sync::Arc;

use backout_core::machine::Precondition;
use backout_core::snapshot::RouteFacts;
use backout_core::units::Weight;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::endpoints::{Endpoints, endpoints};
use super::object::{Object, written_by};
use super::selector::Selector;
use super::service::{self, of_workload};
use super::{Arms, Fence, Provider};
use crate::failure::{Failure, Kind};
use crate::kubernetes::names;
use crate::kubernetes::objects::{Objects, POD, annotation, label};

struct Replicas {
    client: kube::Client,
    whole: Selector,
}

/// Splits a Service's traffic by numbers of pods.
#[must_use]
pub fn provider(client: kube::Client) -> Arc<dyn Provider> {
    Arc::new(Replicas { whole: Selector::new(client.clone()), client })
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Replicas")
    }
}

/// Refuses a selector of the whole workload while pods of a third set run, such as one that is kept
/// as evidence: it would send users to them. One that runs and is not ready may be at any time.
async fn alone(at: &Object, client: &kube::Client, arms: &Arms) -> Result<(), Failure> {
    let labels = format!("{}={}", names::WORKLOAD, arms.workload);
    let pods = Objects::new(client.clone(), &arms.namespace).list(POD, &labels).await?;
    let others: BTreeSet<&str> = pods
        .iter()
        .filter(|pod| pod["status"]["phase"] == "Running")
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| label(pod, names::RELEASE).unwrap_or("no set"))
        .filter(|set| *set != arms.stable && Some(*set) != arms.candidate.as_deref())
        .collect();
    if others.is_empty() {
        return Ok(());
    }
    let message = format!(
        "pods of {} run beside those of {} and {}, and a selector of both sets would send users to \
         them too",
        others.into_iter().collect::<Vec<_>>().join(", "),
        arms.stable,
        arms.candidate.as_deref().unwrap_or("the candidate"),
    );
    let help = "scale their Deployment to 0 as soon as its evidence is no longer needed";
    Err(at.failure(Kind::Refused, message).with_help(help))
}

/// Why the ready pods cannot give the candidate what was asked for. More than was asked for is no
/// reason: the plan brings up the pods of the next weight before it asks for that weight. One pod may
/// be missing, because readiness flaps.
fn misfit(found: &Endpoints, arms: &Arms, candidate: &str, asked: Weight) -> Option<String> {
    if let Some(set) = found.stranger(&[&arms.stable, candidate]) {
        let set = if set.is_empty() { "pods of no set" } else { set };
        return Some(format!("{set} gets traffic beside {} and {candidate}", arms.stable));
    }
    let (stable, new) = (found.ready_of(&arms.stable), found.ready_of(candidate));
    if stable == 0 || new == 0 {
        return Some(format!(
            "{stable} ready endpoints of {} and {new} of {candidate}: both are needed for {asked}",
            arms.stable
        ));
    }
    let all = u64::from(stable) + u64::from(new);
    let best = (u64::from(new) + 1) * 100;
    (best < u64::from(asked.as_percent()) * all)
        .then(|| format!("{new} of {all} ready endpoints are the candidate's, too few for {asked}"))
}

impl Provider for Replicas {
    fn kind(&self) -> &'static str {
        "Service"
    }

    fn read<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<RouteFacts, Failure>> {
        async move {
            let at = service::object(&self.client, &arms.namespace, &arms.route);
            let object = at.get().await?;
            let is = service::selector(&object);
            let (true, Some(candidate)) = (is == of_workload(&arms.workload), &arms.candidate)
            else {
                return self.whole.read(arms).await;
            };
            let noted =
                annotation(&object, names::WEIGHT).and_then(|text| text.parse::<u64>().ok());
            let asked =
                noted.and_then(|percent| Weight::try_from(percent).ok()).ok_or_else(|| {
                    at.failure(
                        Kind::Failed,
                        format!(
                            "it selects both sets, and {} does not say for what",
                            names::WEIGHT
                        ),
                    )
                })?;
            if annotation(&object, names::CANDIDATE) != Some(candidate.as_str()) {
                let message =
                    format!("it selects both sets, and not for the candidate {candidate}");
                return Err(at.failure(Kind::Failed, message));
            }
            let found = endpoints(&self.client, &arms.namespace, &arms.route).await?;
            if let Some(misfit) = misfit(&found, arms, candidate, asked) {
                return Err(at.failure(Kind::Failed, misfit));
            }
            let resource_version = service::shown(&object, &is);
            let written_by = written_by(&object, "selector");
            Ok(RouteFacts { candidate_weight: asked, resource_version, written_by })
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        arms: &'a Arms,
        candidate: Weight,
        expected: Option<Precondition>,
        fence: &'a Fence,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            if candidate == Weight::ZERO || candidate == Weight::FULL {
                return self.whole.write(arms, candidate, expected, fence).await;
            }
            let at = service::object(&self.client, &arms.namespace, &arms.route);
            if arms.candidate.is_none() {
                return Err(at.failure(Kind::Refused, "there is no candidate to split with"));
            }
            alone(&at, &self.client, arms).await?;
            let wanted = of_workload(&arms.workload);
            service::write(&at, arms, (candidate, &wanted), expected, fence).await
        }
        .boxed()
    }

    fn adopt<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<(), Failure>> {
        self.whole.adopt(arms)
    }

    fn follow<'a>(
        &'a self,
        arms: &'a Arms,
        fence: &'a Fence,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        self.whole.follow(arms, fence)
    }

    fn detach<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<(), Failure>> {
        self.whole.detach(arms)
    }
}
