//! Capacity first, then readiness, then traffic; a set is made smaller only when it has none.

use super::timeline::Step;
use super::{Breach, Evidence};

const RULE: &str = "capacity, readiness, traffic, scale-down";

pub(super) fn judge(evidence: &Evidence) -> Vec<Breach> {
    let mut found = Vec::new();
    for step in evidence.steps().iter().filter(|step| evidence.is_ours(step.entry)) {
        found.extend(traffic(evidence, step));
        found.extend(smaller(step));
    }
    found
}

/// Whoever gets more traffic has ready pods for it.
fn traffic(evidence: &Evidence, step: &Step<'_>) -> Vec<Breach> {
    let mut found = Vec::new();
    for (route, shares) in &step.after.shares {
        for (set, share) in shares {
            let before = step.before.shares.get(route).and_then(|before| before.get(set));
            // A name that is no Deployment's is not a set.
            if *share <= before.copied().unwrap_or(0) || step.after.replicas(set).is_none() {
                continue;
            }
            let needed = (evidence.replicas * share).div_ceil(100);
            let ready = step.after.ready(set);
            if ready < needed {
                let what =
                    format!("{route} gives {set} {share}% with {ready} ready of {needed} needed");
                found.push(Breach::at(RULE, step.entry, what));
            }
        }
    }
    found
}

/// Whoever is made smaller, or deleted, has no traffic.
fn smaller(step: &Step<'_>) -> Option<Breach> {
    let object = &step.entry.object_ref;
    if object.resource != "deployments" {
        return None;
    }
    let (before, after) =
        (step.before.replicas(&object.name)?, step.after.replicas(&object.name).unwrap_or(0));
    let share = step.before.share(&object.name);
    let what = format!("from {before} to {after} replicas while it has {share}% of a route");
    (after < before && share > 0).then(|| Breach::at(RULE, step.entry, what))
}
