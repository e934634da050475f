//! Sets that nobody needs any more. A set that was sealed stays at no replicas, so that people can
//! see what it was; beyond the newest few it is removed.

use std::collections::BTreeMap;
use std::time::Duration;

use backout_core::machine::Precondition;
use backout_world::failure::Failure;
use backout_world::kubernetes::set::{SetSummary, Sets};
use jiff::Timestamp;
use kube::Client;
use kube::core::DynamicObject;

use super::due::{Key, ReleaseView};
use crate::api;
use crate::resources::{Resource, parse_policy, parse_release};

/// Sets that are kept at no replicas, per workload. Kubernetes keeps ten old ReplicaSets of a
/// Deployment by default; a set is a Deployment with copies of its settings, and its record stays
/// as a Release in any case, so that half of that is enough to look back at.
pub const KEPT: usize = 5;

/// What counts of a set's release.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    /// When its rollout ended; `None` while it has not.
    ended: Option<Timestamp>,
}

/// Removes the sets that are too many of a policy's workload.
///
/// # Errors
///
/// If they cannot be listed, or one cannot be removed.
pub(super) async fn remove(
    client: &Client,
    object: &DynamicObject,
    now: Timestamp,
) -> Result<(), Failure> {
    // What is wrong with a policy is told elsewhere.
    let Ok(policy) = parse_policy(object) else { return Ok(()) };
    let Some(stable) = object.data["status"]["stableSet"].as_str() else { return Ok(()) };
    let Key { namespace, name } = Key::of(object);
    let sets = Sets::new(client.clone(), &namespace, policy.spec.workload.name.as_str(), &name);
    let listed = sets.list().await?;
    if listed.iter().filter(|set| set.desired == 0).count() <= KEPT {
        return Ok(());
    }
    let releases = api::objects(client, &namespace, Resource::Release).list().await?;
    let standings: Option<BTreeMap<String, Standing>> = releases
        .iter()
        .filter(|release| ReleaseView::of(release).workload == policy.spec.workload.name.as_str())
        .map(|release| {
            let ended = release.data["status"]["endedAt"].as_str();
            let ended = ended.and_then(|at| at.parse().ok());
            // One that cannot be read could be any of them.
            Some((parse_release(release).ok()?.set_name(), Standing { ended }))
        })
        .collect();
    let Some(standings) = standings else { return Ok(()) };
    let keep_failed = Duration::from_millis(policy.spec.rollback.keep_failed.as_millis());
    for set in surplus(&listed, &standings, stable, keep_failed, now) {
        tracing::info!(set = set.name, namespace, "set removed: newer ones are kept");
        let only = Precondition { uid: set.uid, resource_version: 0 };
        sets.remove(&set.name, only).await?;
    }
    Ok(())
}

/// The sets that are too many: at no replicas, not the one that serves, of a release whose rollout
/// ended, not kept as evidence any more, and older than the newest [`KEPT`] of these.
fn surplus<'a>(
    sets: &'a [SetSummary],
    releases: &BTreeMap<String, Standing>,
    stable: &str,
    keep_failed: Duration,
    now: Timestamp,
) -> Vec<&'a SetSummary> {
    let is_over = |set: &&SetSummary| {
        // A set without a release was made by adopting, or its release was deleted.
        let Some(release) = releases.get(&set.name) else { return !set.failed };
        let Some(ended) = release.ended else { return false };
        let age = Duration::try_from(now.duration_since(ended)).unwrap_or_default();
        !set.failed || age > keep_failed
    };
    let mut over: Vec<&SetSummary> =
        sets.iter().filter(|set| set.desired == 0 && set.name != stable).filter(is_over).collect();
    over.sort_by(|a, b| (&b.created, &b.name).cmp(&(&a.created, &a.name)));
    over.split_off(KEPT.min(over.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(number: u64) -> SetSummary {
        SetSummary {
            name: format!("checkout-{number}"),
            uid: number,
            version: number.to_string(),
            desired: 0,
            failed: false,
            created: format!("2026-01-{number:02}T00:00:00Z"),
        }
    }

    fn at(time: &str) -> Timestamp {
        time.parse().expect("a time")
    }

    fn surplus_of(sets: &[SetSummary], running: &str) -> Vec<u64> {
        let release = |set: &SetSummary| {
            let ended = (set.name != running).then(|| at(&set.created));
            (set.name.clone(), Standing { ended })
        };
        let releases = sets.iter().map(release).collect();
        let keep = Duration::from_secs(48 * 3600);
        let now = at("2026-01-10T12:00:00Z");
        surplus(sets, &releases, "checkout-1", keep, now).iter().map(|set| set.uid).collect()
    }

    #[test]
    fn the_newest_stay_and_the_one_that_serves() {
        let sets: Vec<SetSummary> = (1..=9).map(set).collect();
        assert_eq!(surplus_of(&sets, ""), [4, 3, 2], "1 serves, 5 to 9 are the newest");
        assert_eq!(surplus_of(&sets[..6], ""), [] as [u64; 0]);
    }

    #[test]
    fn what_runs_or_is_on_its_way_stays() {
        let mut sets: Vec<SetSummary> = (1..=9).map(set).collect();
        sets[2].desired = 1;
        assert_eq!(surplus_of(&sets, "checkout-4"), [2]);
    }

    #[test]
    fn evidence_stays_for_its_time() {
        let mut sets: Vec<SetSummary> = (1..=9).map(set).collect();
        for set in &mut sets {
            set.failed = true;
        }
        // The newest ended less than two days ago, so that 4 to 8 are the newest five of the others.
        assert_eq!(surplus_of(&sets, ""), [3, 2]);
    }
}
