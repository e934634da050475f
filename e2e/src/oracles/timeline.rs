//! The state of sets and routes at every write, as far as the audit log tells.

use std::collections::BTreeMap;

use backout_world::kubernetes::names;
use serde_json::Value;

use super::Evidence;
use crate::cluster::audit::Entry;

/// What was known at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// Ready endpoints by Service and slice.
    slices: BTreeMap<(String, String), u64>,
    /// Replicas that a Deployment asks for.
    replicas: BTreeMap<String, u64>,
    /// Shares in percent, rounded up, by route and by the Service or set that is named there.
    pub(super) shares: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Moment {
    /// Endpoints of a Service that are ready.
    pub(super) fn ready(&self, service: &str) -> u64 {
        let mine = self.slices.iter().filter(|((of, _), _)| of == service);
        mine.map(|(_, ready)| ready).sum()
    }

    /// Replicas that a Deployment asks for, once it was written.
    pub(super) fn replicas(&self, deployment: &str) -> Option<u64> {
        self.replicas.get(deployment).copied()
    }

    /// The largest share that any route gives, in percent.
    pub(super) fn share(&self, set: &str) -> u64 {
        self.shares.values().filter_map(|shares| shares.get(set)).copied().max().unwrap_or(0)
    }

    fn take(&mut self, entry: &Entry) {
        let (object, name) = (&entry.response_object, &entry.object_ref.name);
        let name = if name.is_empty() { text(&object["metadata"]["name"]) } else { name };
        let gone = entry.verb == "delete";
        match entry.object_ref.resource.as_str() {
            "endpointslices" => {
                // A deletion answers with no more than a status.
                self.slices.retain(|(_, slice), _| slice != name);
                if !gone {
                    let service = &object["metadata"]["labels"]["kubernetes.io/service-name"];
                    let ready = list(&object["endpoints"]).filter(|endpoint| {
                        endpoint["conditions"]["ready"].as_bool().unwrap_or(true)
                    });
                    let key = (text(service).to_owned(), name.to_owned());
                    self.slices.insert(key, ready.count() as u64);
                }
            }
            "deployments" if gone => drop(self.replicas.remove(name)),
            "deployments" => {
                if let Some(replicas) = object["spec"]["replicas"].as_u64() {
                    self.replicas.insert(name.to_owned(), replicas);
                }
            }
            "httproutes" | "grpcroutes" | "services" => {
                let key = format!("{}/{name}", entry.object_ref.resource);
                self.shares.remove(&key);
                if let Some(shares) = shares(object).filter(|_| !gone) {
                    self.shares.insert(key, shares);
                }
            }
            _ => {}
        }
    }
}

/// The shares that a route gives, in percent; nothing if it is none that was adopted.
fn shares(object: &Value) -> Option<BTreeMap<String, u64>> {
    // Services of ours lead to one set by nature, and other routes are nobody's business.
    object["metadata"]["annotations"].get(names::ORIGINAL)?;
    if text(&object["kind"]) == "Service" {
        let set = object["spec"]["selector"].get(names::RELEASE)?;
        return Some(BTreeMap::from([(text(set).to_owned(), 100)]));
    }
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for rule in list(&object["spec"]["rules"]) {
        let weight = |backend: &Value| backend["weight"].as_u64().unwrap_or(1);
        let all: u64 = list(&rule["backendRefs"]).map(weight).sum();
        for backend in list(&rule["backendRefs"]) {
            let share = (weight(backend) * 100).div_ceil(all.max(1));
            let highest = found.entry(text(&backend["name"]).to_owned()).or_default();
            *highest = share.max(*highest);
        }
    }
    Some(found)
}

/// A write that was accepted, with what was known before and after it.
pub(super) struct Step<'a> {
    pub(super) entry: &'a Entry,
    pub(super) before: Moment,
    pub(super) after: Moment,
}

impl Evidence {
    /// Every accepted write to objects of the workload's namespace, in the order of the answers.
    pub(super) fn steps(&self) -> Vec<Step<'_>> {
        let mut entries: Vec<&Entry> = self.accepted().collect();
        entries.sort_by_key(|entry| entry.answered);
        let mut now = Moment::default();
        let mut steps = Vec::new();
        for entry in entries {
            let before = now.clone();
            if entry.object_ref.subresource.is_empty() {
                now.take(entry);
            }
            steps.push(Step { entry, before, after: now.clone() });
        }
        steps
    }

    /// Accepted writes of Backout to objects of the workload's namespace.
    pub(super) fn own(&self) -> impl Iterator<Item = &Entry> {
        self.accepted().filter(|entry| self.is_ours(entry))
    }

    /// Whether Backout wrote it.
    pub(super) fn is_ours(&self, entry: &Entry) -> bool {
        self.ours.contains(&entry.user.username)
    }

    fn accepted(&self) -> impl Iterator<Item = &Entry> {
        self.audit.iter().filter(|entry| {
            entry.object_ref.namespace == self.namespace
                && (200..300).contains(&entry.response_status.code)
        })
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
