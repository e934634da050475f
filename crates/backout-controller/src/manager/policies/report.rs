//! From what was found to conditions. Pure.

use backout_world::failure::{Failure, Kind};
use jiff::Timestamp;

use crate::conditions::{About, Conditions, Reason};
use crate::resources::Condition;

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// What waits for a person.
    stalls: Vec<(Reason, String)>,
    /// What may pass by itself.
    retries: Vec<(Reason, String)>,
    /// Why the workload is not released by it yet.
    waits: Option<String>,
    /// What is good to know.
    notes: Vec<String>,
}

impl Report {
    /// Something that a person has to mend.
    pub(super) fn stall(&mut self, reason: Reason, message: impl Into<String>) {
        self.stalls.push((reason, message.into()));
    }

    /// Something that could not be read or asked.
    pub(super) fn failed(&mut self, about: About, failure: &Failure) {
        let found = (Reason::of(about, failure), failure.in_full());
        match failure.kind {
            Kind::Refused | Kind::Missing => self.stalls.push(found),
            Kind::Failed | Kind::Ambiguous => self.retries.push(found),
        }
    }

    /// A person has to begin.
    pub(super) fn wait(&mut self, message: impl Into<String>) {
        self.waits = Some(message.into());
    }

    /// Something that is good to know, and stops nothing.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds what another look found.
    pub(super) fn add(&mut self, other: Self) {
        self.stalls.extend(other.stalls);
        self.retries.extend(other.retries);
        self.waits = self.waits.take().or(other.waits);
        self.notes.extend(other.notes);
    }

    /// Whether something failed that may pass by itself.
    pub(super) fn may_pass(&self) -> bool {
        !self.retries.is_empty()
    }

    /// Writes the conditions. What waits for a person comes first: until it is mended nothing else
    /// helps. The reason is that of the first thing found, the message tells all of them.
    pub(super) fn conclude(
        &self,
        kept: &mut Vec<Condition>,
        active: Option<&str>,
        generation: i64,
        now: Timestamp,
    ) {
        let mut conditions = Conditions::of(kept, generation, now);
        let told = |last: Option<String>| {
            let found = self.stalls.iter().chain(&self.retries).map(|(_, message)| message.clone());
            let notes = self.notes.iter().map(|note| format!("note: {note}"));
            let all = found.chain(self.waits.clone()).chain(last).chain(notes);
            all.collect::<Vec<_>>().join("\n")
        };
        match (self.stalls.first(), self.retries.first(), &self.waits, active) {
            (Some((reason, _)), ..) => conditions.stalled(*reason, &told(None)),
            (None, Some((reason, _)), ..) => conditions.reconciling(*reason, &told(None)),
            (None, None, Some(_), _) => conditions.waits(Reason::NotAdopted, &told(None)),
            (None, None, None, Some(active)) => {
                let message = format!("release {active} is on its way");
                conditions.reconciling(Reason::RollingOut, &told(Some(message)));
            }
            (None, None, None, None) => {
                conditions
                    .ready(Reason::Settled, &told(Some("ready for the next release".to_owned())));
            }
        }
    }
}
