//! What `backout install` grants is enough: nothing that Backout does is forbidden to it.

use std::collections::BTreeSet;

use super::{Breach, Evidence};
use crate::cluster::audit::Entry;

const RULE: &str = "the permissions are enough";

pub(super) fn judge(evidence: &Evidence) -> Vec<Breach> {
    let own = evidence.audit.iter().filter(|entry| evidence.is_ours(entry));
    let mut told = BTreeSet::new();
    own.filter_map(forbidden)
        .filter(|message| told.insert(*message))
        .map(|message| Breach { rule: RULE, what: message.to_owned() })
        .collect()
}

/// What the API server said of a write that the writer has no permission for. Admission refuses
/// with the same code, and that is no lack of permission.
pub(super) fn forbidden(entry: &Entry) -> Option<&str> {
    let status = &entry.response_status;
    let lacks = status.code == 403 && status.message.contains("is forbidden: User");
    lacks.then_some(status.message.as_str())
}
