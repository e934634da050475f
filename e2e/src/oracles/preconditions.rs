//! Nothing is deleted, made smaller or redirected but what was looked at before.

use super::timeline::Step;
use super::{Breach, Evidence};

const RULE: &str = "a destructive write has a precondition";

pub(super) fn judge(evidence: &Evidence) -> Vec<Breach> {
    let steps = evidence.steps();
    let own = steps.iter().filter(|step| evidence.is_ours(step.entry));
    own.filter(|step| is_destructive(step) && !has_precondition(step))
        .map(|step| Breach::at(RULE, step.entry, "neither a uid nor a resource version is given"))
        .collect()
}

fn is_destructive(step: &Step<'_>) -> bool {
    let entry = step.entry;
    let (resource, name) = (entry.object_ref.resource.as_str(), &entry.object_ref.name);
    if !entry.object_ref.subresource.is_empty() {
        return false;
    }
    match entry.verb.as_str() {
        "delete" | "deletecollection" => true,
        "update" | "patch" if resource == "deployments" => {
            step.after.replicas(name) < step.before.replicas(name)
        }
        "update" | "patch" => {
            let key = format!("{resource}/{name}");
            step.after.shares.get(&key) != step.before.shares.get(&key)
        }
        _ => false,
    }
}

fn has_precondition(step: &Step<'_>) -> bool {
    let request = &step.entry.request_object;
    let place =
        if step.entry.verb == "delete" { &request["preconditions"] } else { &request["metadata"] };
    ["uid", "resourceVersion"].iter().any(|field| place[field].as_str().is_some())
}
