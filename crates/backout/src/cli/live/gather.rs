//! Reads what is shown of a release. What cannot be read is named, and the rest is shown.

use std::sync::Arc;

use backout_controller::api;
use backout_controller::resources::{Resource, parse_policy, parse_release};
use backout_core::machine::Phase;
use backout_core::plan::Brief;
use backout_core::policy::{ApiVersion, ReleasePolicy};
use backout_core::release::Release;
use backout_world::driver::{Store as _, Stored};
use backout_world::kubernetes::set::{SetSummary, Sets};
use backout_world::store::ClusterStore;
use backout_world::traffic::{Arms, provider};
use jiff::Timestamp;
use kube::core::DynamicObject;

use super::Cluster;
use super::follow::status_of;
use crate::error::Failure;
use crate::render::live::status::{
    List, ListKind, Listed, Overview, Role, Shown, ShownSet, ShownStep,
};

/// What stands for something that is not known.
const UNKNOWN: &str = "?";

/// Reads a release and everything that belongs to it.
///
/// # Errors
/// When there is no such release, or it cannot be read.
pub(super) async fn release(cluster: &Cluster, name: &str) -> Result<Shown, Failure> {
    let Cluster { client, namespace } = cluster;
    let releases = api::objects(client, namespace, Resource::Release);
    let object = releases.need(name).await?;
    let mut unreadable = Vec::new();
    let record = noted(&mut unreadable, "the record", parse_release(&object));
    let stored = ClusterStore::new(client.clone(), namespace, name, None).load().await;
    let stored = noted(&mut unreadable, "the run", stored.map_err(|failure| failure.in_full()));
    let stored = stored.flatten().map(|kept| kept.stored);
    let workload = object.data["spec"]["workload"].as_str().unwrap_or_default();
    let policy = Policy::of(cluster, workload, &mut unreadable).await;
    let brief = stored.as_ref().and_then(|stored| stored.header.live.as_deref());
    let brief = brief.map(|live| live.brief.clone());
    let policy_read = brief.as_ref().map(|brief| (*brief.policy).clone()).or(policy.read.clone());
    let strategy = brief.as_ref().map(Brief::strategy_in_words);
    let strategy = strategy.or_else(|| strategy_of(policy.read.as_ref()?, record.as_ref()?));
    let arms = arms(namespace, workload, &policy, stored.as_ref());
    let sets = match (&policy_read, &arms) {
        (Some(read), Some(arms)) => {
            let candidate = record.as_ref().map(Release::set_name);
            sets(cluster, read, arms, candidate.as_deref(), &mut unreadable).await
        }
        _ => Vec::new(),
    };
    let triggers = policy_read.as_ref().map(|policy| &policy.spec.triggers);
    let version = object.data["spec"]["version"].as_str().unwrap_or(UNKNOWN);
    Ok(Shown {
        api_version: ApiVersion::V1Alpha1,
        kind: Overview::ReleaseOverview,
        name: name.to_owned(),
        namespace: namespace.clone(),
        version: version.to_owned(),
        policy: policy_read.as_ref().map_or(UNKNOWN.to_owned(), |it| it.metadata.name.to_string()),
        strategy: strategy.unwrap_or_else(|| "strategy unknown".to_owned()),
        known_good: policy.known_good,
        window: triggers.map_or(UNKNOWN.to_owned(), |triggers| triggers.window.to_string()),
        min_requests: triggers.map_or(0, |triggers| triggers.min_requests),
        sets,
        steps: stored.as_ref().map(steps).unwrap_or_default(),
        status: status_of(&object),
        unreadable,
        now: Timestamp::now(),
    })
}

/// Reads all releases of the namespace, newest first.
///
/// # Errors
/// When they cannot be listed.
pub(super) async fn releases(cluster: &Cluster) -> Result<List, Failure> {
    let Cluster { client, namespace } = cluster;
    let mut objects = api::objects(client, namespace, Resource::Release).list().await?;
    // Without policies the list is as good; who may read releases may read them as well.
    let policies = api::objects(client, namespace, Resource::ReleasePolicy).list().await;
    let policies = policies.unwrap_or_default();
    let age = |object: &DynamicObject| {
        let created = object.metadata.creation_timestamp.as_ref();
        (created.map(|created| created.0), object.metadata.name.clone())
    };
    objects.sort_by_key(|object| std::cmp::Reverse(age(object)));
    let items = objects.iter().map(|object| {
        let text = |field: &str| object.data["spec"][field].as_str().unwrap_or(UNKNOWN).to_owned();
        let workload = text("workload");
        let policy = policies.iter().find(|policy| is_for(policy, &workload));
        Listed {
            namespace: namespace.clone(),
            name: object.metadata.name.clone().unwrap_or_default(),
            version: text("version"),
            policy: policy.and_then(|policy| policy.metadata.name.clone()),
            status: status_of(object),
        }
    });
    Ok(List {
        api_version: ApiVersion::V1Alpha1,
        kind: ListKind::ReleaseOverviewList,
        items: items.collect(),
        now: Timestamp::now(),
    })
}

fn is_for(policy: &DynamicObject, workload: &str) -> bool {
    policy.data["spec"]["workload"]["name"].as_str() == Some(workload)
}

/// A value, or a note of why it is not known.
fn noted<T, E: ToString>(
    unreadable: &mut Vec<String>,
    what: &str,
    read: Result<T, E>,
) -> Option<T> {
    read.map_err(|error| unreadable.push(format!("{what}: {}", error.to_string()))).ok()
}

/// The policy of a workload as it is now.
#[derive(Debug, Default)]
struct Policy {
    read: Option<ReleasePolicy>,
    known_good: Option<String>,
    stable_set: Option<String>,
}

impl Policy {
    async fn of(cluster: &Cluster, workload: &str, unreadable: &mut Vec<String>) -> Self {
        let Cluster { client, namespace } = cluster;
        let listed = api::objects(client, namespace, Resource::ReleasePolicy).list().await;
        let listed = listed.map_err(|failure| failure.in_full());
        let Some(policies) = noted(unreadable, "the policy", listed) else {
            return Self::default();
        };
        let Some(object) = policies.iter().find(|policy| is_for(policy, workload)) else {
            unreadable.push(format!("the policy: none in {namespace} is for workload {workload}"));
            return Self::default();
        };
        let text = |field: &str| object.data["status"][field].as_str().map(str::to_owned);
        Self {
            read: noted(unreadable, "the policy", parse_policy(object)),
            known_good: text("knownGood"),
            stable_set: text("stableSet"),
        }
    }
}

/// The strategy by which the policy would release this record.
fn strategy_of(policy: &ReleasePolicy, record: &Release) -> Option<String> {
    let record = Arc::new(record.clone());
    let brief = Brief {
        environment: policy.spec.environments.first()?.name.clone(),
        policy: Arc::new(policy.clone()),
        stable: Arc::clone(&record),
        candidate: record,
    };
    Some(brief.strategy_in_words())
}

/// Whose traffic is moved: while the run is under way its two releases, otherwise what serves.
fn arms(namespace: &str, workload: &str, policy: &Policy, stored: Option<&Stored>) -> Option<Arms> {
    let under_way = stored.filter(|stored| stored.state.phase != Phase::Ended);
    let brief = under_way.and_then(|stored| Some(&stored.header.live.as_ref()?.brief));
    let (stable, candidate) = match brief {
        Some(brief) => (brief.stable.set_name(), Some(brief.candidate.set_name())),
        None => (policy.stable_set.clone()?, None),
    };
    let read = brief.map(|brief| &*brief.policy).or(policy.read.as_ref())?;
    Some(Arms {
        namespace: namespace.to_owned(),
        route: read.spec.traffic.route.name.to_string(),
        service: None,
        workload: workload.to_owned(),
        stable,
        candidate,
    })
}

/// The sets of the workload: stable, candidate, then older ones, newest first. `own` is the set of
/// the release that is shown.
async fn sets(
    cluster: &Cluster,
    policy: &ReleasePolicy,
    arms: &Arms,
    own: Option<&str>,
    unreadable: &mut Vec<String>,
) -> Vec<ShownSet> {
    let Cluster { client, namespace } = cluster;
    let workload = policy.spec.workload.name.as_str();
    let sets = Sets::new(client.clone(), namespace, workload, policy.metadata.name.as_str());
    let listed = sets.list().await.map_err(|failure| failure.in_full());
    let Some(listed) = noted(unreadable, "the sets", listed) else { return Vec::new() };
    let route = provider(&policy.spec.traffic.route, client.clone());
    let route = route.read(arms).await.map_err(|failure| failure.in_full());
    let route = noted(unreadable, "the route", route);
    let candidate_share = route.map(|route| u32::from(route.candidate_weight.as_percent()));
    let mut shown = Vec::new();
    for set in listed.into_iter().rev() {
        let role = role(&set.name, arms, own);
        let share = match (&arms.candidate, &set.name) {
            (_, name) if *name == arms.stable => {
                candidate_share.map(|it| 100_u32.saturating_sub(it))
            }
            (Some(candidate), name) if name == candidate => candidate_share,
            _ => candidate_share.map(|_| 0),
        };
        shown.push(shown_set(&sets, set, role, share, unreadable).await);
    }
    shown.sort_by_key(|set| set.role);
    shown
}

fn role(set: &str, arms: &Arms, own: Option<&str>) -> Role {
    if set == arms.stable {
        Role::Stable
    } else if arms.candidate.as_deref().or(own) == Some(set) {
        Role::Candidate
    } else {
        Role::Older
    }
}

async fn shown_set(
    sets: &Sets,
    set: SetSummary,
    role: Role,
    share: Option<u32>,
    unreadable: &mut Vec<String>,
) -> ShownSet {
    // A set without replicas has nothing more to tell.
    let (ready, trouble) = if set.desired == 0 {
        (Some(0), None)
    } else {
        let facts = sets.observe(&set.name).await.map_err(|failure| failure.in_full());
        let facts = noted(unreadable, &format!("set {}", set.name), facts).flatten();
        let trouble =
            facts.as_ref().and_then(|facts| facts.refused.clone().or(facts.waiting.clone()));
        (facts.map(|facts| facts.ready), trouble)
    };
    let SetSummary { name, version, desired, failed, .. } = set;
    ShownSet { name, version, role, ready, desired, share, failed, trouble }
}

fn steps(stored: &Stored) -> Vec<ShownStep> {
    ShownStep::of(&stored.state.track, stored.state.phase == Phase::Ended)
}
