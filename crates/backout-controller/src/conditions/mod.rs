//! Conditions of an object, as the kstatus convention wants them: `Reconciling` and `Stalled` are
//! there only while they are true, and `Ready` says the same as they do.
//!
//! Nothing here looks at a clock or at the world.

mod reason;
#[cfg(test)]
mod tests;

use backout_world::failure::{Failure, Kind};
use jiff::Timestamp;

use crate::resources::{Condition, ConditionStatus, ConditionType};

pub use reason::{About, Reason};

/// Longest message, in bytes. An answer of somebody's admission webhook may have any length.
pub const LONGEST_MESSAGE: usize = 4096;

/// The conditions of one object while they are decided on. There is one of each type, in the order
/// of the types, so that the same facts always give the same list.
#[derive(Debug)]
pub struct Conditions<'a> {
    kept: &'a mut Vec<Condition>,
    generation: i64,
    now: Timestamp,
}

impl<'a> Conditions<'a> {
    /// Changes the conditions of an object of this generation.
    pub fn of(kept: &'a mut Vec<Condition>, generation: i64, now: Timestamp) -> Self {
        Self { kept, generation, now }
    }

    /// Sets one. The time of its last transition changes only with its status. `Reconciling` and
    /// `Stalled` are taken away unless they are true.
    pub fn set(
        &mut self,
        kind: ConditionType,
        status: ConditionStatus,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) {
        if abnormal(kind) && status != ConditionStatus::True {
            return self.remove(kind);
        }
        let before = self.kept.iter().find(|condition| condition.kind == kind);
        let last_transition_time = before
            .filter(|before| before.status == status)
            .map_or_else(|| self.now_told(), |before| before.last_transition_time.clone());
        let condition = Condition {
            kind,
            status,
            observed_generation: self.generation,
            last_transition_time,
            reason: reason.into(),
            message: shortened(message.into()),
        };
        self.kept.retain(|condition| condition.kind != kind);
        self.kept.push(condition);
        self.kept.sort_by_key(|condition| condition.kind);
    }

    /// Takes one away, if it is there.
    pub fn remove(&mut self, kind: ConditionType) {
        self.kept.retain(|condition| condition.kind != kind);
    }

    /// Settled: nothing is under way, and nothing is wrong.
    pub fn ready(&mut self, reason: Reason, message: &str) {
        self.set(ConditionType::Ready, ConditionStatus::True, reason.word(), message);
        self.remove(ConditionType::Reconciling);
        self.remove(ConditionType::Stalled);
    }

    /// On the way, without a person.
    pub fn reconciling(&mut self, reason: Reason, message: &str) {
        self.set(ConditionType::Ready, ConditionStatus::False, reason.word(), message);
        self.set(ConditionType::Reconciling, ConditionStatus::True, reason.word(), message);
        self.remove(ConditionType::Stalled);
    }

    /// Waits for a person. The message says what the person has to do.
    pub fn stalled(&mut self, reason: Reason, message: &str) {
        self.set(ConditionType::Ready, ConditionStatus::False, reason.word(), message);
        self.set(ConditionType::Stalled, ConditionStatus::True, reason.word(), message);
        self.remove(ConditionType::Reconciling);
    }

    /// Nothing is wrong and nothing is under way, but a person has to begin.
    pub fn waits(&mut self, reason: Reason, message: &str) {
        self.set(ConditionType::Ready, ConditionStatus::False, reason.word(), message);
        self.remove(ConditionType::Reconciling);
        self.remove(ConditionType::Stalled);
    }

    /// Says why it does not go on. What was refused, or is missing, stalls until a person did
    /// something; what may pass by itself is still being worked on, under the same word.
    pub fn failed(&mut self, about: About, failure: &Failure) {
        let reason = Reason::of(about, failure);
        let message = failure.in_full();
        match failure.kind {
            Kind::Refused | Kind::Missing => self.stalled(reason, &message),
            Kind::Failed | Kind::Ambiguous => self.reconciling(reason, &message),
        }
    }

    /// The present, as all Kubernetes conditions write it: whole seconds, in UTC.
    fn now_told(&self) -> String {
        self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// Whether a condition is there only while it is true.
fn abnormal(kind: ConditionType) -> bool {
    matches!(kind, ConditionType::Reconciling | ConditionType::Stalled)
}

/// Cuts a message between two characters.
fn shortened(mut message: String) -> String {
    const MARK: &str = "…";
    if message.len() > LONGEST_MESSAGE {
        let mut end = LONGEST_MESSAGE - MARK.len();
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        message.push_str(MARK);
    }
    message
}
