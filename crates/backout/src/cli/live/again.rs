//! An older release that is rolled out again: the same record under a new name, so that its set is
//! the one that it had.

use std::sync::Arc;

use backout_controller::api::{self, Objects};
use backout_controller::resources::{Resource, parse_release};
use backout_controller::rollout::Subject;
use backout_core::machine::Command;
use backout_core::plan::decide::{Cause, Reached, decide};
use backout_core::plan::{Brief, Choice, Decision};
use backout_core::policy::ApiVersion;
use backout_core::release::Release;
use backout_core::snapshot::{Fact, TargetFacts};
use backout_core::units::Time;
use backout_world::driver::{Start, World as _};
use backout_world::live::{Live, Setup, begin};
use jiff::Timestamp;
use kube::core::DynamicObject;
use serde_json::json;

use super::Cluster;
use super::follow::status_of;
use crate::error::Failure;
use crate::render::live::again::Again;

/// How many times a release is rolled out again at most, so that a name is found or not.
const MOST: u32 = 1000;

/// What would be done.
pub(super) struct Planned {
    /// For the terminal.
    pub(super) shown: Again,
    /// The release to create; nothing when it must not be rolled out without a person.
    pub(super) release: Option<Release>,
}

/// Plans a new rollout of `to`, while `from` serves. Changes nothing.
///
/// # Errors
/// When it cannot be rolled out, with what to do instead.
pub(super) async fn plan(cluster: &Cluster, from: &str, to: &str) -> Result<Planned, Failure> {
    let Cluster { client, namespace } = cluster;
    let releases = api::objects(client, namespace, Resource::Release);
    let object = releases.need(to).await?;
    let former = record(&object)?;
    let outcome = status_of(&object).outcome.unwrap_or_else(|| "not rolled out".to_owned());
    if outcome != "promoted" {
        return Err(Failure::cluster(
            format!("release {to} was never known good: its outcome is `{outcome}`"),
            "name a release that was promoted; `backout status` lists them",
        ));
    }
    let name = free_name(&releases, to).await?;
    let new = renamed(&object, &name, namespace);
    let subject = Subject::read(client, namespace, new).await;
    let subject = subject.map_err(|error| {
        Failure::cluster(error.to_string(), "nothing was changed; mend it and call this again")
    })?;
    let serves = subject.stable.metadata.name.to_string();
    if serves != from {
        return Err(Failure::cluster(
            format!("release {from} does not serve; {serves} does"),
            format!("`backout rollback {serves} -n {namespace} --to {to}`"),
        ));
    }
    let brief = subject.brief();
    let decision = judged(cluster, &brief, &former).await?;
    let release = (*brief.candidate).clone();
    let mut shown = Again {
        api_version: ApiVersion::V1Alpha1,
        kind: "NewRolloutPlan",
        release: name,
        version: release.spec.version.clone(),
        set: release.set_name(),
        from: serves,
        environment: brief.environment.to_string(),
        decision,
        plan: None,
    };
    if !matches!(shown.decision.choice, Choice::Back(_)) {
        return Ok(Planned { shown, release: None });
    }
    let start = begin(&looked_at(cluster, &brief), Timestamp::now()).await;
    match start {
        Ok(Start::New { plan, .. }) => shown.plan = Some((*plan).clone()),
        Ok(Start::Resumed(_)) => {}
        Err(error) => {
            return Err(Failure::cluster(error.to_string(), "nothing was changed"));
        }
    }
    Ok(Planned { shown, release: Some(release) })
}

/// Whether the older release can serve what the newer one left behind: the same question that a way
/// back is decided by, as if the newer one were still being watched.
async fn judged(cluster: &Cluster, brief: &Brief, former: &Release) -> Result<Decision, Failure> {
    let back = Brief {
        policy: Arc::clone(&brief.policy),
        environment: brief.environment.clone(),
        stable: Arc::new(former.clone()),
        candidate: Arc::clone(&brief.stable),
    };
    let reached = Reached {
        exposed: true,
        promoted: true,
        migrations: back.candidate.new_migrations(&back.stable).map(|it| it.id.clone()).collect(),
        modules: back
            .candidate
            .changed_modules(&back.stable)
            .into_iter()
            .map(|(it, _)| it.name.clone())
            .collect(),
        flags: back.candidate.changed_flags(&back.stable).into_iter().map(|it| it.key).collect(),
    };
    let mut snapshot = looked_at(cluster, &Arc::new(back.clone())).observe().await?;
    snapshot.targets.iter_mut().for_each(left_to_the_rollout);
    let cause = Cause::Operator { command: Command::Rollback.to_string() };
    Ok(decide(&back, &reached, &snapshot, &cause))
}

/// Whether its pods can be made is found out by making them, before any user traffic moves. A way
/// back must know it in advance; a new rollout need not.
fn left_to_the_rollout(target: &mut TargetFacts) {
    for fact in [&mut target.in_registry, &mut target.admitted, &mut target.has_capacity] {
        if fact.value().is_none() {
            *fact = Fact::known(Time::ZERO, true);
        }
    }
}

fn looked_at(cluster: &Cluster, brief: &Arc<Brief>) -> Live {
    Live::to_look_at(Setup {
        client: cluster.client.clone(),
        brief: Arc::clone(brief),
        started: Timestamp::now(),
        owner: None,
        runs_programs: false,
    })
}

fn record(object: &DynamicObject) -> Result<Release, Failure> {
    parse_release(object).map_err(|invalid| {
        Failure::cluster(invalid.to_string(), "a record never changes: name another release")
    })
}

fn renamed(object: &DynamicObject, name: &str, namespace: &str) -> DynamicObject {
    DynamicObject::new(name, &Resource::Release.api())
        .within(namespace)
        .data(json!({ "spec": object.data["spec"] }))
}

/// The name of a release without the number of the time that it was rolled out.
fn first_name(name: &str) -> &str {
    match name.rsplit_once("-again-") {
        Some((first, number)) if number.parse::<u32>().is_ok() => first,
        _ => name,
    }
}

async fn free_name(releases: &Objects, to: &str) -> Result<String, Failure> {
    for number in 1..=MOST {
        let name = format!("{}-again-{number}", first_name(to));
        if releases.get(&name).await?.is_none() {
            return Ok(name);
        }
    }
    Err(Failure::cluster(
        format!("release {to} was rolled out again {MOST} times"),
        "record it under a name of its own, and use `backout run`",
    ))
}

#[cfg(test)]
mod tests {
    use backout_core::release::ReleaseRef;

    use super::*;

    #[test]
    fn a_release_that_is_rolled_out_a_third_time_keeps_its_first_name() {
        assert_eq!(first_name("checkout-1.41.0"), "checkout-1.41.0");
        assert_eq!(first_name("checkout-1.41.0-again-2"), "checkout-1.41.0");
        assert_eq!(first_name("here-again-and-there"), "here-again-and-there");
    }

    #[test]
    fn what_is_known_to_be_missing_stays_missing() {
        let unknown = || Fact::Unknown { reason: "not asked".to_owned() };
        let mut target = TargetFacts {
            release: ReleaseRef {
                name: "checkout-1.41.0".parse().unwrap(),
                version: "1.41.0".to_owned(),
                set: "checkout-1b5c8a77".to_owned(),
            },
            in_registry: Fact::known(Time::ZERO, false),
            admitted: unknown(),
            config_restorable: Fact::known(Time::ZERO, false),
            has_capacity: unknown(),
            reintroduces: Fact::Unknown { reason: "not asked".to_owned() },
            is_stable_arm: true,
        };
        left_to_the_rollout(&mut target);
        assert_eq!(target.in_registry.value(), Some(&false));
        assert_eq!(target.config_restorable.value(), Some(&false));
        assert_eq!(target.has_capacity.value(), Some(&true));
        assert_eq!(target.reintroduces.value(), None);
    }

    #[test]
    fn the_same_record_has_the_same_set() {
        let spec = json!({
            "workload": "checkout", "version": "1.41.0",
            "images": [{
                "name": "checkout", "repository": "registry.example/checkout", "tag": "1.41.0",
                "digest": format!("sha256:{}", "5a".repeat(32)),
            }],
            "config": {"revision": "0".repeat(40), "chartVersion": "1.0.0"},
            "context": {
                "gitSha": "1".repeat(40), "gitRef": "refs/tags/v1.41.0",
                "repository": "https://git.example/checkout",
                "buildNumber": 1, "builtAt": "2026-01-02T03:04:05Z",
            },
        });
        let object = DynamicObject::new("checkout-1.41.0", &Resource::Release.api())
            .within("shop")
            .data(json!({ "spec": spec, "status": {"outcome": "promoted"} }));
        let new = renamed(&object, "checkout-1.41.0-again-1", "shop");
        assert_eq!(new.data["status"], json!(null));
        let (former, new) = (parse_release(&object).unwrap(), parse_release(&new).unwrap());
        assert_eq!(former.set_name(), new.set_name());
        assert_ne!(former.metadata.name, new.metadata.name);
    }
}
