//! Whoever was overtaken writes no more.

use std::collections::BTreeMap;

use backout_world::kubernetes::names;

use super::timeline::text;
use super::{Breach, Evidence};

const RULE: &str = "no write of an older generation";

pub(super) fn judge(evidence: &Evidence) -> Vec<Breach> {
    let mut newest: BTreeMap<(&str, &str, String), u32> = BTreeMap::new();
    let mut found = Vec::new();
    for entry in evidence.own() {
        let noted = &entry.response_object["metadata"]["annotations"][names::GENERATION];
        let Some((run, generation)) = text(noted).rsplit_once('/') else { continue };
        let Ok(generation) = generation.parse::<u32>() else { continue };
        let object = &entry.object_ref;
        let key = (object.resource.as_str(), object.name.as_str(), run.to_owned());
        let known = newest.entry(key).or_insert(generation);
        if generation < *known {
            let what = format!("generation {generation} of run {run} after {known}");
            found.push(Breach::at(RULE, entry, what));
        }
        *known = generation.max(*known);
    }
    found
}
