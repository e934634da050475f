//! At the end the routes name the stable set alone, and everything of the user's is there.

use std::collections::BTreeSet;

use super::timeline::Moment;
use super::{Breach, Evidence};

const ROUTES: &str = "at the end the route names only the stable set";
const KEPT: &str = "nothing of the user's is deleted";

pub(super) fn judge(evidence: &Evidence) -> Vec<Breach> {
    let mut found = deleted(evidence);
    let last: Moment = evidence.steps().pop().map(|step| step.after).unwrap_or_default();
    let mut stable_has_all = false;
    for (route, shares) in &last.shares {
        for set in shares.keys().filter(|set| **set != evidence.stable) {
            let what = format!("{route} names {set}, not {} alone", evidence.stable);
            found.push(Breach { rule: ROUTES, what });
        }
        stable_has_all |= shares.contains_key(&evidence.stable);
    }
    if !stable_has_all {
        let what = format!("no route names {}", evidence.stable);
        found.push(Breach { rule: ROUTES, what });
    }
    found
}

/// Deletions by Backout of what it did not make, and by anyone of what is the user's.
fn deleted(evidence: &Evidence) -> Vec<Breach> {
    let mut made: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut found = Vec::new();
    for step in &evidence.steps() {
        let (entry, object) = (step.entry, &step.entry.object_ref);
        let of_object = object.subresource.is_empty();
        let ours = evidence.is_ours(entry);
        // A name that the server chose is only in the answer.
        let answered = entry.response_object["metadata"]["name"].as_str().unwrap_or_default();
        let name = if object.name.is_empty() { answered } else { &object.name };
        match entry.verb.as_str() {
            // A server-side apply that makes something is a patch that is answered with 201.
            "create" | "patch" if ours && of_object && entry.response_status.code == 201 => {
                made.insert((&object.resource, name));
            }
            "deletecollection" if ours => {
                found.push(Breach::at(KEPT, entry, "a whole collection"));
            }
            "delete" if of_object => {
                let of_user = evidence
                    .users
                    .iter()
                    .any(|(resource, user)| *resource == object.resource && user == name);
                if of_user || (ours && !made.contains(&(object.resource.as_str(), name))) {
                    found.push(Breach::at(KEPT, entry, "it was not made by Backout"));
                }
            }
            _ => {}
        }
    }
    found
}
