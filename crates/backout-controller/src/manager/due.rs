//! Which rollout is to be led next. Pure: what the cluster holds goes in, what to do comes out.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::DynamicObject;
use serde_json::Value;

use crate::rollout::{COMMAND_PREFIX, FINALIZER};

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
    /// Our finalizer keeps it until its set serves nobody.
    pub held: bool,
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
            held: object.metadata.finalizers.iter().flatten().any(|held| held == FINALIZER),
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
    /// Go back from this release: it is being deleted while users may be on it.
    GiveUp(Key),
    /// Find out whether this release, which is being deleted, may go.
    Leave(Key),
}

/// What is to be done now. Of the releases of one workload one at a time is on its way, the oldest
/// first; the workloads are those that have a policy. What began goes on without one: it carries
/// everything that it needs. A release that is promoted and only keeps the previous one ready makes
/// room for the next.
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
        let has_policy = workloads.contains(&(namespace.to_owned(), workload.to_owned()));
        unfinished.sort_by(|a, b| {
            (!a.begun, &a.created, &a.key.name).cmp(&(!b.begun, &b.created, &b.key.name))
        });
        let on_its_way = unfinished.iter().find(|release| led.contains(&release.key));
        let may = |release: &&&ReleaseView| release.begun || (has_policy && !release.leaving);
        match (on_its_way, unfinished.iter().find(may)) {
            (Some(current), _) => {
                let follows = unfinished.iter().any(|release| {
                    has_policy && release.key != current.key && !release.begun && !release.leaving
                });
                if current.promoted && follows {
                    tasks.push(Task::Seal(current.key.clone()));
                }
            }
            (None, Some(next)) => tasks.push(Task::Lead(next.key.clone())),
            (None, None) => {}
        }
    }
    tasks.extend(releases.iter().filter_map(|release| departing(release, led)));
    tasks
}

/// What becomes of a release that is being deleted while it is ours to hold.
fn departing(release: &ReleaseView, led: &BTreeSet<Key>) -> Option<Task> {
    if !release.leaving || !release.held {
        return None;
    }
    let key = release.key.clone();
    match (led.contains(&release.key), release.begun && !release.ended) {
        // Users are on a promoted release, and nobody asked for them to be moved.
        (_, true) if release.promoted => Some(Task::Leave(key)),
        (true, _) => Some(Task::GiveUp(key)),
        // It has to be led before it can be given up.
        (false, true) => None,
        (false, false) => Some(Task::Leave(key)),
    }
}

/// What is known of a release that is being deleted, whose rollout is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Replicas that its set asks for; `None` if it has no set.
    pub replicas: Option<u32>,
    /// Names of the sets that the workload's policies have as stable.
    pub stable: Vec<String>,
    /// Name of its own set.
    pub set: String,
    /// Share of the workload's users that its set has, in percent; `None` if no policy says where
    /// to look.
    pub share: Option<u32>,
}

/// Whether a release may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It stays: users would be without the set that serves them. The reason in words.
    Stays(String),
    /// Its set goes first.
    WithSet,
    /// There is nothing of it.
    Free,
}

/// Whether a release that is being deleted may go.
#[must_use]
pub fn departure(leaving: &Leaving) -> Departure {
    let set = &leaving.set;
    let Some(replicas) = leaving.replicas else { return Departure::Free };
    if leaving.stable.contains(set) {
        return Departure::Stays(format!(
            "its set {set} serves as the stable release; release another one, or give the workload \
             back with `backout detach`"
        ));
    }
    match leaving.share {
        Some(0) => Departure::WithSet,
        Some(share) => Departure::Stays(format!(
            "its set {set} has {share}% of the users; release another one, or give the workload \
             back with `backout detach`"
        )),
        // Without replicas it serves nobody, wherever the route leads.
        None if replicas == 0 => Departure::WithSet,
        None => Departure::Stays(format!(
            "its set {set} runs {replicas} replicas, and no policy says whether users are on it; \
             apply the policy of the workload again, or scale Deployment {set} to 0"
        )),
    }
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
            held: false,
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

    #[test]
    fn what_began_goes_on_without_a_policy() {
        let begun = ReleaseView { begun: true, ..release("a", 1) };
        let tasks = due(&BTreeSet::new(), &[begun, release("b", 2)], &BTreeSet::new());
        assert_eq!(tasks, [Task::Lead(key("a"))]);
    }

    #[test]
    fn a_release_that_is_deleted_goes_back_before_it_goes() {
        let leaving = ReleaseView { leaving: true, held: true, ..release("a", 1) };
        let begun = ReleaseView { begun: true, ..leaving.clone() };
        let led = [key("a")].into();
        let of = |release: &ReleaseView, led: &BTreeSet<Key>| {
            due(&workloads(), std::slice::from_ref(release), led)
        };
        assert_eq!(of(&begun, &BTreeSet::new()), [Task::Lead(key("a"))]);
        assert_eq!(of(&begun, &led), [Task::GiveUp(key("a"))]);
        let promoted = ReleaseView { promoted: true, ..begun.clone() };
        assert_eq!(of(&promoted, &led), [Task::Leave(key("a"))]);
        let ended = ReleaseView { ended: true, ..begun };
        assert_eq!(of(&ended, &BTreeSet::new()), [Task::Leave(key("a"))]);
        assert_eq!(of(&leaving, &BTreeSet::new()), [Task::Leave(key("a"))]);
        let free = ReleaseView { held: false, ..ended };
        assert_eq!(of(&free, &BTreeSet::new()), []);
    }

    #[test]
    fn a_set_that_serves_stays() {
        let set = "checkout-1".to_owned();
        let leaving = Leaving { replicas: Some(3), set: set.clone(), ..Leaving::default() };
        let stays = |leaving: &Leaving, why: &str| match departure(leaving) {
            Departure::Stays(told) => assert!(told.contains(why), "{told}"),
            other => panic!("{other:?}"),
        };
        stays(&leaving, "no policy says");
        stays(&Leaving { stable: vec![set], share: Some(0), ..leaving.clone() }, "stable release");
        stays(&Leaving { share: Some(5), ..leaving.clone() }, "5% of the users");
        let kept = Leaving { share: Some(0), ..leaving.clone() };
        assert_eq!(departure(&kept), Departure::WithSet);
        let idle = Leaving { replicas: Some(0), ..leaving.clone() };
        assert_eq!(departure(&idle), Departure::WithSet);
        assert_eq!(departure(&Leaving { replicas: None, ..leaving }), Departure::Free);
    }
}
