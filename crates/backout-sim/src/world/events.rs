//! What is going to happen, ordered by time and then by the order in which it was scheduled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use backout_core::machine::{Command, EffectId, Input};
use backout_core::snapshot::Arm;
use backout_core::units::{Time, Weight};

/// Something that is going to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The machine gets an input.
    Deliver(Input),
    /// A person acts.
    Person(Command),
    /// Pods of a set get ready, unless the set is another one by then.
    PodsReady {
        /// Which arm.
        arm: Arm,
        /// The set that they belong to.
        uid: u64,
        /// So many are ready then.
        ready: u32,
    },
    /// A route change reaches the data plane.
    RouteReaches {
        /// Share of the candidate, in parts per million.
        ppm: u32,
    },
    /// The GitOps agent brings a commit into the environment.
    ConfigLive {
        /// The commit.
        revision: String,
    },
    /// The GitOps agent looks at the route.
    GitOpsLooks {
        /// The weight that it wants back.
        weight: Weight,
    },
    /// A planned fault strikes.
    Strike {
        /// Its place in the fault plan.
        index: usize,
    },
    /// The controller comes back after a crash.
    ControllerBack,
    /// The run is cut off.
    Horizon,
}

/// Something that was done to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// An effect was performed.
    Performed {
        /// Which one.
        effect: EffectId,
        /// What it did, in words.
        what: String,
        /// Whether the world was in that state already.
        redundant: bool,
        /// For a destructive one: whether it carried a precondition.
        fenced: Option<bool>,
    },
    /// The route was written.
    Routed {
        /// Share of the candidate that is asked for, in parts per million.
        ppm: u32,
        /// Whether the engine wrote it.
        by_engine: bool,
        /// Ready replicas of the stable release at that moment.
        stable_ready: u32,
        /// Ready replicas of the candidate at that moment.
        candidate_ready: u32,
    },
    /// A set was scaled.
    Scaled {
        /// Which arm.
        arm: Arm,
        /// Replicas before.
        from: u32,
        /// Replicas after.
        to: u32,
        /// Share of traffic that the arm had, in parts per million.
        share_ppm: u32,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    at: Time,
    order: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// The queue of events.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<Entry>>,
    order: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Time, event: Event) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at, order: self.order, event }));
    }

    pub(super) fn pop(&mut self) -> Option<(Time, Event)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }

    pub(super) fn peek(&self) -> Option<(Time, &Event)> {
        self.heap.peek().map(|Reverse(entry)| (entry.at, &entry.event))
    }

    /// Drops what is on its way to the machine.
    pub(super) fn drop_deliveries(&mut self) {
        self.heap.retain(|Reverse(entry)| !matches!(entry.event, Event::Deliver(_)));
    }

    /// Drops faults that have not struck yet.
    pub(super) fn drop_faults(&mut self) {
        self.heap.retain(|Reverse(entry)| {
            !matches!(entry.event, Event::Strike { .. } | Event::GitOpsLooks { .. })
        });
    }
}
