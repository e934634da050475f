//! Releases that are being deleted. Their set would go with them, so that one whose rollout began
//! is held by a finalizer until its set serves nobody.

#[cfg(test)]
mod tests;

use backout_core::machine::Precondition;
use backout_core::plan::ScalePurpose;
use backout_world::driver::Store as _;
use backout_world::failure::{Failure, Kind};
use backout_world::kubernetes::set::{SetSummary, Sets};
use backout_world::store::ClusterStore;
use backout_world::traffic::{self, Arms};
use jiff::Timestamp;
use kube::Client;
use kube::core::DynamicObject;

use super::due::{Departure, Key, Leaving, ReleaseView, departure};
use crate::api;
use crate::conditions::{About, Conditions, Reason};
use crate::resources::{Condition, Resource, parse_policy, parse_release};
use crate::rollout::{self, status_of};

/// What became of a release that is being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It is gone, or nothing of ours holds it.
    Gone,
    /// It stays for now.
    Stays,
    /// Its rollout is not over: it has to be led before it can be given up.
    ToBeLed,
}

/// Lets a release go if nobody is served by its set, which goes first. Otherwise its status says
/// why it stays.
///
/// # Errors
///
/// If something could not be read or removed; the status says so.
pub(super) async fn leave(client: &Client, key: &Key) -> Result<Left, Failure> {
    let objects = api::objects(client, &key.namespace, Resource::Release);
    let Some(object) = objects.get(&key.name).await? else { return Ok(Left::Gone) };
    let view = ReleaseView::of(&object);
    if !view.leaving || !view.held {
        return Ok(Left::Gone);
    }
    match depart(client, &object, &view).await {
        Ok(Ok(left)) => Ok(left),
        Ok(Err(Waits { reason, why, for_person })) => {
            tell(client, &object, |conditions| {
                if for_person {
                    conditions.stalled(reason, &why);
                } else {
                    conditions.reconciling(reason, &why);
                }
            })
            .await?;
            Ok(Left::Stays)
        }
        Err(failure) => {
            tell(client, &object, |conditions| conditions.failed(About::Other, &failure)).await?;
            Err(failure)
        }
    }
}

/// Why a release is not let go yet.
struct Waits {
    reason: Reason,
    why: String,
    for_person: bool,
}

async fn depart(
    client: &Client,
    object: &DynamicObject,
    view: &ReleaseView,
) -> Result<Result<Left, Waits>, Failure> {
    let Key { namespace, name } = &view.key;
    let stored = ClusterStore::new(client.clone(), namespace, name, None).load().await?;
    if stored.is_some_and(|kept| !rollout::is_over(&kept.stored.state)) && !view.promoted {
        return Ok(Ok(Left::ToBeLed));
    }
    let release = parse_release(object).map_err(|invalid| {
        Failure::new(Kind::Refused, invalid.to_string()).with_help(format!(
            "which set is its own is not known; take the finalizer {} off it by hand once its set \
             serves nobody",
            rollout::FINALIZER
        ))
    })?;
    let set = release.set_name();
    let sets = Sets::new(client.clone(), namespace, &view.workload, "");
    let found = sets.list().await?.into_iter().find(|one| one.name == set);
    if found.is_some()
        && let Some(other) = may_go_back_to(client, view).await?
    {
        let why = format!("release {other} is on its way, and may go back to its set {set}");
        return Ok(Err(Waits { reason: Reason::RollingOut, why, for_person: false }));
    }
    let leaving = facts(client, view, set, found.as_ref()).await?;
    match departure(&leaving) {
        Departure::Stays(why) => {
            return Ok(Err(Waits { reason: Reason::Serves, why, for_person: true }));
        }
        Departure::WithSet => {
            if let Some(found) = found {
                remove(&sets, &found).await?;
            }
        }
        Departure::Free => {}
    }
    rollout::let_go(client, namespace, name).await?;
    tracing::info!(release = %view.key, "release let go");
    Ok(Ok(Left::Gone))
}

async fn remove(sets: &Sets, set: &SetSummary) -> Result<(), Failure> {
    if set.desired > 0 {
        sets.scale(&set.name, 0, ScalePurpose::CleanUp, None).await?;
    }
    sets.remove(&set.name, Precondition { uid: set.uid, resource_version: 0 }).await
}

/// The release on its way that would go back to this one, if there is one.
async fn may_go_back_to(client: &Client, view: &ReleaseView) -> Result<Option<String>, Failure> {
    let namespace = &view.key.namespace;
    for other in api::objects(client, namespace, Resource::Release).list().await? {
        let other = ReleaseView::of(&other);
        if other.key == view.key || other.workload != view.workload || !other.begun || other.ended {
            continue;
        }
        let name = other.key.name;
        let kept = ClusterStore::new(client.clone(), namespace, &name, None).load().await?;
        let live = kept.and_then(|kept| kept.stored.header.live.clone());
        // What is not stored could go back to any of them.
        if live.is_none_or(|live| live.brief.stable.metadata.name.as_str() == view.key.name) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// What the cluster says of the release's set.
async fn facts(
    client: &Client,
    view: &ReleaseView,
    set: String,
    found: Option<&SetSummary>,
) -> Result<Leaving, Failure> {
    let mut leaving =
        Leaving { replicas: found.map(|found| found.desired), set, ..Leaving::default() };
    if leaving.replicas.is_none() {
        return Ok(leaving);
    }
    let namespace = &view.key.namespace;
    let policies = api::objects(client, namespace, Resource::ReleasePolicy).list().await?;
    let of_it = |policy: &&DynamicObject| {
        policy.data["spec"]["workload"]["name"].as_str() == Some(view.workload.as_str())
    };
    for object in policies.iter().filter(of_it) {
        let Some(stable) = object.data["status"]["stableSet"].as_str() else { continue };
        leaving.stable.push(stable.to_owned());
        if stable == leaving.set {
            continue;
        }
        let policy = parse_policy(object)
            .map_err(|invalid| Failure::new(Kind::Refused, invalid.to_string()))?;
        let route = &policy.spec.traffic.route;
        let arms = Arms {
            namespace: namespace.clone(),
            route: route.name.to_string(),
            service: None,
            workload: view.workload.clone(),
            stable: stable.to_owned(),
            candidate: Some(leaving.set.clone()),
        };
        let read = traffic::provider(route, client.clone()).read(&arms).await?;
        let share = u32::from(read.candidate_weight.as_percent());
        leaving.share = Some(leaving.share.unwrap_or_default().max(share));
    }
    Ok(leaving)
}

/// Writes conditions into the status, unless they are there already.
async fn tell(
    client: &Client,
    object: &DynamicObject,
    change: impl FnOnce(&mut Conditions<'_>),
) -> Result<(), Failure> {
    let before = status_of(object);
    let mut status = before.clone();
    let generation = object.metadata.generation.unwrap_or_default();
    let mut kept: Vec<Condition> = std::mem::take(&mut status.conditions);
    change(&mut Conditions::of(&mut kept, generation, Timestamp::now()));
    status.conditions = kept;
    if status == before {
        return Ok(());
    }
    let key = Key::of(object);
    let objects = api::objects(client, &key.namespace, Resource::Release);
    let status = serde_json::to_value(&status).unwrap_or_default();
    objects.apply_status(&key.name, status).await.map(drop)
}
