//! What `backout install` grants is enough: nothing that Backout does is forbidden to it.

use std::collections::BTreeSet;

use super::{Breach, Evidence};
use crate::cluster::audit::Entry;

const RULE: &str = "the permissions are enough";

pub(super) fn judge(evidence: &Evidence) -> Vec<Breach> {
    let own = || evidence.audit.iter().filter(|entry| evidence.is_ours(entry));
    // An API server that starts forbids everything until it has read who may do what. What was
    // permitted at any time is granted.
    let granted: BTreeSet<_> = own().filter(|entry| is_accepted(entry)).map(what).collect();
    let mut told = BTreeSet::new();
    own()
        .filter(|entry| !granted.contains(&what(entry)))
        .filter_map(forbidden)
        .filter(|message| told.insert(*message))
        .map(|message| Breach { rule: RULE, what: message.to_owned() })
        .collect()
}

fn is_accepted(entry: &Entry) -> bool {
    (200..300).contains(&entry.response_status.code)
}

/// Who asked for what, as permissions tell writes apart.
fn what(entry: &Entry) -> [&str; 5] {
    let object = &entry.object_ref;
    [&entry.user.username, &entry.verb, &object.namespace, &object.resource, &object.subresource]
}

/// What the API server said of a write that the writer has no permission for. Admission refuses
/// with the same code, and that is no lack of permission.
pub(super) fn forbidden(entry: &Entry) -> Option<&str> {
    let status = &entry.response_status;
    let lacks = status.code == 403 && status.message.contains("is forbidden: User");
    lacks.then_some(status.message.as_str())
}
