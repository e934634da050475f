//! What a snapshot would show after a step. The planner uses it to answer, for every stage in
//! advance, what the way back would be.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::action::{Action, Purpose};
use super::decide::Reached;
use crate::snapshot::{Arm, Fact, SetFacts, Snapshot};
use crate::units::Weight;

/// Changes snapshot and progress as the action would when all goes well.
pub fn assume(action: &Action, snapshot: &mut Snapshot, reached: &mut Reached) {
    match action {
        Action::SetWeight { candidate } => {
            if let Fact::Known { value, .. } = &mut snapshot.route {
                value.candidate_weight = *candidate;
            }
            reached.exposed |= *candidate > Weight::ZERO;
        }
        Action::Migrate { id } => {
            if let Fact::Known { value, .. } = &mut snapshot.database {
                Arc::make_mut(&mut value.applied).insert(id.clone());
            }
            reached.migrations.insert(id.clone());
        }
        Action::SetModule { name, version } => {
            if let Fact::Known { value, .. } = &mut snapshot.modules {
                set_or_remove(Arc::make_mut(value), name, version.clone());
            }
            reached.modules.insert(name.clone());
        }
        Action::SetFlag { key, enabled } => {
            if let Fact::Known { value, .. } = &mut snapshot.flags {
                Arc::make_mut(value).insert(key.clone(), *enabled);
            }
            reached.flags.insert(key.clone());
        }
        Action::CreateSet { replicas, digests } => {
            if let Fact::Known { value, .. } = &mut snapshot.sets.candidate {
                *value = Some(SetFacts {
                    uid: 0,
                    resource_version: 0,
                    desired: *replicas,
                    ready: *replicas,
                    running: Arc::clone(digests),
                    evidence: false,
                    refused: None,
                    waiting: None,
                });
            }
        }
        Action::Scale { arm, replicas, purpose } => scale(snapshot, *arm, *replicas, *purpose),
        Action::MarkKnownGood { release } => {
            if let Fact::Known { value, .. } = &mut snapshot.known_good {
                *value = release.clone();
            }
            reached.promoted = true;
        }
        Action::SetConfig { revision } => {
            if let Fact::Known { value, .. } = &mut snapshot.config {
                value.git_revision.clone_from(revision);
                value.live_revision.clone_from(revision);
            }
        }
        Action::Quarantine { digests } => {
            if let Fact::Known { value, .. } = &mut snapshot.quarantine {
                Arc::make_mut(value).extend(digests.iter().cloned());
            }
        }
        Action::Gate { .. }
        | Action::Analyse { .. }
        | Action::Approve { .. }
        | Action::Bake { .. }
        | Action::KeepPrevious { .. }
        | Action::Settle { .. }
        | Action::ConfirmRecovery
        | Action::Notify { .. }
        | Action::CheckResidue => {}
    }
}

fn scale(snapshot: &mut Snapshot, arm: Arm, replicas: u32, purpose: Purpose) {
    if let Fact::Known { value: Some(set), .. } = snapshot.sets.get_mut(arm) {
        set.desired = match purpose {
            Purpose::Capacity => set.desired.max(replicas),
            Purpose::Evidence | Purpose::CleanUp => set.desired.min(replicas),
        };
        set.evidence = purpose == Purpose::Evidence;
        set.ready = set.desired;
    }
}

fn set_or_remove<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, key: &K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key.clone(), value)),
        None => drop(map.remove(key)),
    }
}
