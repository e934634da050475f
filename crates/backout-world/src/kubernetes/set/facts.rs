//! What is observed of a set.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backout_core::snapshot::{Fact, SetFacts};
use backout_core::units::{Digest, Name, Time};
use serde_json::Value;

use super::condition::SetCondition;
use super::{Sets, ours, uid};
use crate::failure::Failure;
use crate::kubernetes::names;
use crate::kubernetes::objects::{self, ENDPOINT_SLICE, POD, REPLICA_SET};

impl Sets {
    /// Observes a set; `None` if there is none. `resource_version` is the Deployment's generation,
    /// which changes with what is asked for, and not with its status.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub async fn observe(&self, set: &str) -> Result<Option<SetFacts>, Failure> {
        let Some(deployment) = self.deployment_of(set).await? else { return Ok(None) };
        // ReplicaSets and pods carry the labels of the pod template, which says nothing of who
        // manages the set.
        let labels = format!("{}={set}", names::RELEASE);
        // A pod may be ready long before the set's Service leads to it.
        let of_service = format!("kubernetes.io/service-name={set}");
        let (replica_sets, pods, slices) = futures::try_join!(
            self.objects.list(REPLICA_SET, &labels),
            self.objects.list(POD, &labels),
            self.objects.list(ENDPOINT_SLICE, &of_service),
        )?;
        Ok(Some(observed(&deployment, &replica_sets, &pods, &slices)))
    }

    /// A set as the engine is told of it.
    pub async fn facts(&self, set: &str, as_of: Time) -> Fact<Option<SetFacts>> {
        match self.observe(set).await {
            Ok(observed) => Fact::known(as_of, observed),
            Err(failure) => Fact::Unknown { reason: failure.in_full() },
        }
    }

    /// Names of the sets that still have objects of any kind.
    pub(in crate::kubernetes) async fn remains(&self) -> Result<Vec<(String, String)>, Failure> {
        let labels = ours(&format!("{}={}", names::WORKLOAD, self.deployment));
        let mut remains = Vec::new();
        for sort in objects::OF_A_SET {
            for object in self.listed(sort, &labels).await? {
                let set = objects::label(&object, names::RELEASE).unwrap_or_default();
                remains.push((set.to_owned(), self.objects.in_words(sort, objects::name(&object))));
            }
        }
        Ok(remains)
    }
}

fn observed(
    deployment: &Value,
    replica_sets: &[Value],
    pods: &[Value],
    slices: &[Value],
) -> SetFacts {
    let newest = newest(deployment, replica_sets);
    let pods = newest.map(|newest| pods_of(newest, pods)).unwrap_or_default();
    let reached = reached(slices);
    let serves = |pod: &&&Value| is_ready(pod) && reached.contains(objects::name(pod));
    let ready_pods = pods.iter().filter(serves).count();
    let told = objects::count(&deployment["status"]["readyReplicas"], 0);
    let SetCondition { refused, waiting } = SetCondition::of(deployment, newest, &pods);
    SetFacts {
        uid: uid(deployment),
        resource_version: deployment["metadata"]["generation"].as_u64().unwrap_or_default(),
        desired: objects::count(&deployment["spec"]["replicas"], 1),
        ready: told.min(u32::try_from(ready_pods).unwrap_or(u32::MAX)),
        running: Arc::new(running(&recorded(deployment), &pods)),
        evidence: objects::label(deployment, names::FAILED).is_some(),
        refused,
        waiting,
    }
}

/// The ReplicaSet that makes the Deployment's pods now.
pub(in crate::kubernetes) fn newest<'a>(
    deployment: &Value,
    replica_sets: &'a [Value],
) -> Option<&'a Value> {
    let revision = |replica_set: &Value| {
        objects::annotation(replica_set, "deployment.kubernetes.io/revision")
            .and_then(|revision| revision.parse::<u64>().ok())
            .unwrap_or_default()
    };
    let of_it = replica_sets.iter().filter(|replica_set| is_owned(replica_set, deployment));
    of_it.max_by_key(|replica_set| revision(replica_set))
}

/// The pods of a ReplicaSet that are not on their way out.
pub(in crate::kubernetes) fn pods_of<'a>(replica_set: &Value, pods: &'a [Value]) -> Vec<&'a Value> {
    let staying = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
    pods.iter().filter(|pod| is_owned(pod, replica_set)).filter(staying).collect()
}

fn is_owned(object: &Value, owner: &Value) -> bool {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let uid = owner["metadata"]["uid"].as_str();
    uid.is_some() && owners.into_iter().flatten().any(|owner| owner["uid"].as_str() == uid)
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"].as_str() == Some("Ready") && condition["status"].as_str() == Some("True")
    })
}

/// The pods that a Service's slices lead to. A pod with two addresses is in two slices, and has to
/// be ready in both.
fn reached(slices: &[Value]) -> BTreeSet<&str> {
    let (mut ready, mut not_ready) = (BTreeSet::new(), BTreeSet::new());
    for endpoint in slices.iter().filter_map(|slice| slice["endpoints"].as_array()).flatten() {
        let Some(pod) = endpoint["targetRef"]["name"].as_str() else { continue };
        // A condition that is not there counts as ready, as the API's documentation says.
        let is_ready = endpoint["conditions"]["ready"].as_bool().unwrap_or(true);
        if is_ready {
            ready.insert(pod)
        } else {
            not_ready.insert(pod)
        };
    }
    ready.difference(&not_ready).copied().collect()
}

/// The digests that the set was made with, by container.
fn recorded(deployment: &Value) -> BTreeMap<Name, Digest> {
    let noted = objects::annotation(deployment, names::context::IMAGE_DIGESTS).unwrap_or_default();
    let entries = noted.split(',').filter_map(|entry| entry.split_once('='));
    entries.filter_map(|(name, digest)| Some((name.parse().ok()?, digest.parse().ok()?))).collect()
}

/// The digests that run, by container. Where pods disagree, one that is not the recorded digest
/// is told: a single wrong pod makes the set a wrong one.
fn running(recorded: &BTreeMap<Name, Digest>, pods: &[&Value]) -> BTreeMap<Name, Digest> {
    let mut running: BTreeMap<Name, Digest> = BTreeMap::new();
    for (name, digest) in pods.iter().flat_map(|pod| digests(pod)) {
        let wanted = recorded.get(&name);
        let told = running.entry(name).or_insert_with(|| digest.clone());
        if Some(&*told) == wanted {
            *told = digest;
        }
    }
    running
}

/// The digests that a pod runs, by container. A runtime tells them with or without a repository
/// before them; a container that has not started has none.
pub(in crate::kubernetes) fn digests(pod: &Value) -> Vec<(Name, Digest)> {
    let statuses = pod["status"]["containerStatuses"].as_array();
    statuses
        .into_iter()
        .flatten()
        .filter_map(|status| {
            let name = status["name"].as_str()?.parse().ok()?;
            let id = status["imageID"].as_str()?;
            let digest = id.rsplit(['@', '/']).next().unwrap_or(id);
            Some((name, digest.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::reached;

    #[test]
    fn a_pod_is_reached_when_every_slice_that_lists_it_says_so() {
        let endpoint = |pod: &str, conditions: &serde_json::Value| json!({"targetRef": {"kind": "Pod", "name": pod}, "conditions": conditions});
        let (yes, no) = (json!({"ready": true}), json!({"ready": false}));
        let slices = [
            json!({"endpoints": [endpoint("a", &yes), endpoint("b", &no), endpoint("c", &yes)]}),
            json!({"endpoints": [endpoint("c", &no), endpoint("d", &json!({}))]}),
            json!({"endpoints": null}),
        ];
        assert_eq!(reached(&slices).into_iter().collect::<Vec<_>>(), ["a", "d"]);
    }
}
