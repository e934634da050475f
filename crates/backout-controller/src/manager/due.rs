//! Which rollout is to be led next. Pure: what the cluster holds goes in, what to do comes out.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::DynamicObject;
use serde_json::Value;

use crate::rollout::COMMAND_PREFIX;

/// Namespace and name of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Key {
    /// The key of an object.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        Self {
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// What counts of a Release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseView {
    /// Which one.
    pub key: Key,
    /// The workload that it is a release of.
    pub workload: String,
    /// When it was created, and its name: the order in which releases are rolled out.
    pub created: String,
    /// Its rollout began.
    pub begun: bool,
    /// It was promoted.
    pub promoted: bool,
    /// Its rollout ended.
    pub ended: bool,
    /// It is being deleted.
    pub leaving: bool,
    /// Its way back failed, and a person commands to try it again.
    pub retried: bool,
}

impl ReleaseView {
    /// What counts of this object.
    #[must_use]
    pub fn of(object: &DynamicObject) -> Self {
        let status = &object.data["status"];
        let is_there = |key: &str| !matches!(status[key], Value::Null);
        Self {
            key: Key::of(object),
            workload: object.data["spec"]["workload"].as_str().unwrap_or_default().to_owned(),
            created: object
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| time.0.to_string())
                .unwrap_or_default(),
            begun: is_there("startedAt"),
            promoted: status["outcome"].as_str() == Some("promoted"),
            ended: is_there("endedAt"),
            leaving: object.metadata.deletion_timestamp.is_some(),
            retried: status["outcome"].as_str().is_some_and(|it| it.starts_with("rollback-failed"))
                && object
                    .metadata
                    .annotations
                    .iter()
                    .flatten()
                    .any(|(key, _)| key.starts_with(COMMAND_PREFIX)),
        }
    }
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// Lead the rollout of this release.
    Lead(Key),
    /// Seal this promoted release: another one waits.
    Seal(Key),
}

/// What is to be done now. Of the releases of one workload one at a time is on its way, the oldest
/// first; the workloads are those that have a policy. A release that is promoted and only keeps
/// the previous one ready makes room for the next.
#[must_use]
pub fn due(
    workloads: &BTreeSet<(String, String)>,
    releases: &[ReleaseView],
    led: &BTreeSet<Key>,
) -> Vec<Task> {
    let mut waiting: BTreeMap<(&str, &str), Vec<&ReleaseView>> = BTreeMap::new();
    for release in releases.iter().filter(|release| !release.ended || release.retried) {
        let workload = (release.key.namespace.as_str(), release.workload.as_str());
        waiting.entry(workload).or_default().push(release);
    }
    let mut tasks = Vec::new();
    for ((namespace, workload), mut unfinished) in waiting {
        if !workloads.contains(&(namespace.to_owned(), workload.to_owned())) {
            continue;
        }
        unfinished.sort_by(|a, b| {
            (!a.begun, &a.created, &a.key.name).cmp(&(!b.begun, &b.created, &b.key.name))
        });
        let on_its_way = unfinished.iter().find(|release| led.contains(&release.key));
        let next = unfinished.iter().find(|release| release.begun || !release.leaving);
        match (on_its_way, next) {
            (Some(current), _) => {
                let follows = unfinished.iter().any(|release| {
                    release.key != current.key && !release.begun && !release.leaving
                });
                if current.promoted && follows {
                    tasks.push(Task::Seal(current.key.clone()));
                }
            }
            (None, Some(next)) => tasks.push(Task::Lead(next.key.clone())),
            (None, None) => {}
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    fn release(name: &str, created: u32) -> ReleaseView {
        ReleaseView {
            key: key(name),
            workload: "checkout".to_owned(),
            created: format!("2026-01-01T00:00:{created:02}Z"),
            begun: false,
            promoted: false,
            ended: false,
            leaving: false,
            retried: false,
        }
    }

    fn workloads() -> BTreeSet<(String, String)> {
        [("shop".to_owned(), "checkout".to_owned())].into()
    }

    #[test]
    fn the_oldest_release_goes_first() {
        let releases = [release("b", 2), release("a", 3), release("c", 1)];
        let tasks = due(&workloads(), &releases, &BTreeSet::new());
        assert_eq!(tasks, [Task::Lead(key("c"))]);
    }

    #[test]
    fn what_began_goes_on_before_anything_begins() {
        let began = ReleaseView { begun: true, ..release("b", 2) };
        let releases = [release("c", 1), began];
        let tasks = due(&workloads(), &releases, &BTreeSet::new());
        assert_eq!(tasks, [Task::Lead(key("b"))]);
    }

    #[test]
    fn one_at_a_time_and_ended_ones_never() {
        let ended = ReleaseView { ended: true, begun: true, ..release("a", 1) };
        let releases = [ended, release("b", 2), release("c", 3)];
        let tasks = due(&workloads(), &releases, &[key("b")].into());
        assert_eq!(tasks, []);
    }

    #[test]
    fn a_way_back_that_failed_is_led_again_when_a_person_says_so() {
        let failed = ReleaseView { begun: true, ended: true, ..release("a", 1) };
        assert_eq!(due(&workloads(), std::slice::from_ref(&failed), &BTreeSet::new()), []);
        let retried = ReleaseView { retried: true, ..failed };
        let tasks = due(&workloads(), &[retried, release("b", 2)], &BTreeSet::new());
        assert_eq!(tasks, [Task::Lead(key("a"))]);
    }

    #[test]
    fn a_promoted_release_makes_room() {
        let kept = ReleaseView { begun: true, promoted: true, ..release("a", 1) };
        let led = [key("a")].into();
        assert_eq!(due(&workloads(), std::slice::from_ref(&kept), &led), []);
        let tasks = due(&workloads(), &[kept, release("b", 2)], &led);
        assert_eq!(tasks, [Task::Seal(key("a"))]);
    }

    #[test]
    fn without_a_policy_nothing_is_done() {
        assert_eq!(due(&BTreeSet::new(), &[release("a", 1)], &BTreeSet::new()), []);
    }

    #[test]
    fn a_release_that_leaves_is_not_begun() {
        let leaving = ReleaseView { leaving: true, ..release("a", 1) };
        assert_eq!(due(&workloads(), std::slice::from_ref(&leaving), &BTreeSet::new()), []);
        let begun = ReleaseView { begun: true, ..leaving };
        let tasks = due(&workloads(), &[begun], &BTreeSet::new());
        assert_eq!(tasks, [Task::Lead(key("a"))]);
    }
}
