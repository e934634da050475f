//! Who really stands behind a Service: its EndpointSlices, by the set that each pod belongs to.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use kube::core::PartialObjectMeta;

use crate::failure::{Failure, Kind};
use crate::kubernetes::{names, objects};

/// Most slices or pods that are read: far beyond what one workload has.
const MOST: u32 = 5_000;

/// Endpoints of one set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Ready.
    pub ready: u32,
    /// Listed, and not ready.
    pub not_ready: u32,
}

/// Endpoints of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Ready, of all sets.
    pub ready: u32,
    /// Not ready, of all sets.
    pub not_ready: u32,
    /// By set; pods of no set, and endpoints that are no pods, are under the empty name.
    pub by_set: BTreeMap<String, Count>,
}

impl Endpoints {
    /// Ready endpoints of one set.
    #[must_use]
    pub fn ready_of(&self, set: &str) -> u32 {
        self.by_set.get(set).map_or(0, |count| count.ready)
    }

    /// The first set with ready endpoints that is not among these.
    #[must_use]
    pub fn stranger(&self, sets: &[&str]) -> Option<&str> {
        let mut ready = self.by_set.iter().filter(|(_, count)| count.ready > 0);
        ready.find(|(set, _)| !sets.contains(&set.as_str())).map(|(set, _)| set.as_str())
    }

    /// Counts the endpoints of slices; `sets` says which set a pod belongs to.
    #[must_use]
    pub fn count(slices: &[EndpointSlice], sets: &BTreeMap<String, String>) -> Self {
        let mut found = Self::default();
        // A pod with two addresses, or a dual-stack Service, lists a pod more than once.
        let mut seen: BTreeMap<String, (String, bool)> = BTreeMap::new();
        for endpoint in slices.iter().flat_map(|slice| slice.endpoints.iter().flatten()) {
            // A condition that is not there counts as ready, as the API's documentation says.
            let ready = endpoint.conditions.as_ref().and_then(|one| one.ready).unwrap_or(true);
            let target = endpoint.target_ref.as_ref();
            let pod = target
                .filter(|target| target.kind.as_deref() == Some("Pod"))
                .and_then(|target| target.name.clone());
            let set = pod.as_ref().and_then(|pod| sets.get(pod)).cloned().unwrap_or_default();
            let identity = pod.unwrap_or_else(|| format!("{:?}", endpoint.addresses));
            seen.entry(identity).and_modify(|(_, all)| *all &= ready).or_insert((set, ready));
        }
        for (set, ready) in seen.into_values() {
            let count = found.by_set.entry(set).or_default();
            if ready {
                found.ready += 1;
                count.ready += 1;
            } else {
                found.not_ready += 1;
                count.not_ready += 1;
            }
        }
        found
    }
}

/// Reads the endpoints of a Service.
///
/// # Errors
/// When slices or pods cannot be listed, or there are more than any workload has.
pub async fn endpoints(
    client: &kube::Client,
    namespace: &str,
    service: &str,
) -> Result<Endpoints, Failure> {
    let told = format!("EndpointSlices of Service {namespace}/{service}");
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let mine =
        ListParams::default().labels(&format!("kubernetes.io/service-name={service}")).limit(MOST);
    let slices = objects::read(&told, slices.list(&mine)).await?;
    whole(&told, slices.metadata.continue_.as_ref())?;
    let told = format!("Pods of namespace {namespace}");
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let of_sets = ListParams::default().labels(names::RELEASE).limit(MOST);
    let pods = objects::read(&told, pods.list_metadata(&of_sets)).await?;
    whole(&told, pods.metadata.continue_.as_ref())?;
    let sets = pods.items.into_iter().filter_map(set_of).collect();
    Ok(Endpoints::count(&slices.items, &sets))
}

fn set_of(pod: PartialObjectMeta<Pod>) -> Option<(String, String)> {
    let set = pod.metadata.labels?.remove(names::RELEASE)?;
    Some((pod.metadata.name?, set))
}

fn whole(told: &str, rest: Option<&String>) -> Result<(), Failure> {
    match rest.filter(|rest| !rest.is_empty()) {
        None => Ok(()),
        Some(_) => Err(Failure::new(Kind::Failed, format!("{told}: there are more than {MOST}"))),
    }
}
