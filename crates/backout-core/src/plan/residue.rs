//! What a rollback left behind.

use serde::{Deserialize, Serialize};

use super::Brief;
use crate::policy::External;
use crate::snapshot::{Arm, Snapshot};

/// One thing that differs from before the release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Residue {
    /// What differs, such as `module orders-queue`.
    pub subject: String,
    /// How it differs.
    pub what: String,
}

fn left(subject: impl Into<String>, what: impl Into<String>) -> Residue {
    Residue { subject: subject.into(), what: what.into() }
}

/// Lists everything that differs between the snapshot before the release and the one after the way
/// back. A fact that cannot be read is listed too, because unknown is never good.
#[must_use]
pub fn residue(brief: &Brief, before: &Snapshot, after: &Snapshot) -> Vec<Residue> {
    let mut list = Vec::new();
    route(before, after, &mut list);
    sets(before, after, &mut list);
    for part in External::ALL {
        if brief.policy.leaves_out(part) {
            external(brief, part, &mut list);
            continue;
        }
        match part {
            External::Config => config(before, after, &mut list),
            External::Migrations => database(before, after, &mut list),
            External::Flags => named("flag", before.flags.value(), after.flags.value(), &mut list),
            External::Infrastructure => {
                named("module", before.modules.value(), after.modules.value(), &mut list);
            }
        }
    }
    quarantine(before, after, &mut list);
    if let (Some(then), Some(now)) = (before.known_good.value(), after.known_good.value())
        && then != now
    {
        list.push(left("known-good release", format!("is {now}, was {then}")));
    }
    list.sort();
    list
}

/// What a pipeline changed for the release, and what nobody takes back but that pipeline.
fn external(brief: &Brief, part: External, list: &mut Vec<Residue>) {
    let stays = "stays: the policy leaves it to the pipeline";
    let (stable, candidate) = (&brief.stable, &brief.candidate);
    match part {
        External::Config => {
            let (then, now) = (&stable.spec.config.revision, &candidate.spec.config.revision);
            if then != now {
                let what = format!("{stays}, which moved it from {then} to {now}");
                list.push(left("configuration in Git", what));
            }
        }
        External::Migrations => list.extend(
            candidate
                .new_migrations(stable)
                .map(|migration| left(format!("migration {}", migration.id), stays)),
        ),
        External::Flags => list.extend(
            candidate
                .changed_flags(stable)
                .into_iter()
                .map(|flag| left(format!("flag {}", flag.key), stays)),
        ),
        External::Infrastructure => list.extend(
            candidate
                .changed_modules(stable)
                .into_iter()
                .map(|(module, _)| left(format!("module {}", module.name), stays)),
        ),
    }
}

fn route(before: &Snapshot, after: &Snapshot, list: &mut Vec<Residue>) {
    match (before.weight(), after.weight()) {
        (Some(then), Some(now)) if then == now => {}
        (Some(then), Some(now)) => {
            list.push(left("route", format!("sends {now} to the candidate, was {then}")));
        }
        _ => list.push(left("route", "could not be read")),
    }
}

fn sets(before: &Snapshot, after: &Snapshot, list: &mut Vec<Residue>) {
    for arm in [Arm::Stable, Arm::Candidate] {
        match (before.sets.get(arm).value(), after.sets.get(arm).value()) {
            (Some(None), Some(Some(set))) => list.push(left(
                format!("set of {arm}"),
                format!("is kept, out of traffic, at size {}", set.desired),
            )),
            (Some(Some(then)), Some(Some(now))) if then.desired != now.desired => {
                list.push(left(
                    format!("set of {arm}"),
                    format!("has {} replicas, had {}", now.desired, then.desired),
                ));
            }
            (Some(Some(_)), Some(None)) => list.push(left(format!("set of {arm}"), "is gone")),
            (Some(None), Some(None)) | (Some(Some(_)), Some(Some(_))) => {}
            _ => list.push(left(format!("set of {arm}"), "could not be read")),
        }
    }
}

fn config(before: &Snapshot, after: &Snapshot, list: &mut Vec<Residue>) {
    let (Some(then), Some(now)) = (before.config.value(), after.config.value()) else {
        list.push(left("configuration", "could not be read"));
        return;
    };
    if then.git_revision != now.git_revision {
        list.push(left(
            "configuration in Git",
            format!("is at {}, was at {}", now.git_revision, then.git_revision),
        ));
    }
    if then.live_revision != now.live_revision {
        list.push(left(
            "configuration that runs",
            format!("is at {}, was at {}", now.live_revision, then.live_revision),
        ));
    }
}

fn database(before: &Snapshot, after: &Snapshot, list: &mut Vec<Residue>) {
    let (Some(then), Some(now)) = (before.database.value(), after.database.value()) else {
        list.push(left("database", "could not be read"));
        return;
    };
    for id in now.applied.difference(&then.applied) {
        list.push(left(format!("migration {id}"), "stays applied"));
    }
    for id in then.applied.difference(&now.applied) {
        list.push(left(format!("migration {id}"), "is no longer applied"));
    }
}

fn named<V: PartialEq + std::fmt::Display>(
    kind: &str,
    before: Option<&std::sync::Arc<std::collections::BTreeMap<crate::units::Name, V>>>,
    after: Option<&std::sync::Arc<std::collections::BTreeMap<crate::units::Name, V>>>,
    list: &mut Vec<Residue>,
) {
    let (Some(before), Some(after)) = (before, after) else {
        list.push(left(format!("{kind}s"), "could not be read"));
        return;
    };
    for (name, now) in after.iter() {
        match before.get(name) {
            Some(then) if then == now => {}
            Some(then) => {
                list.push(left(format!("{kind} {name}"), format!("is {now}, was {then}")));
            }
            None => list.push(left(format!("{kind} {name}"), format!("is new, at {now}"))),
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        list.push(left(format!("{kind} {name}"), "is gone"));
    }
}

fn quarantine(before: &Snapshot, after: &Snapshot, list: &mut Vec<Residue>) {
    let (Some(then), Some(now)) = (before.quarantine.value(), after.quarantine.value()) else {
        list.push(left("quarantine", "could not be read"));
        return;
    };
    for digest in now.difference(then) {
        list.push(left(format!("digest {}", digest.short()), "is in quarantine"));
    }
}
