//! What the machine remembers. It is stored before any effect is performed, and is all that a
//! restart needs besides a fresh snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::effect::{EffectId, Outcome, Request, TimerReason};
use super::watch::Watch;
use crate::journal::SignalSeen;
use crate::judgement::Window;
use crate::plan::decide::Reached;
use crate::plan::{Cause, Decision, Plan, Residue, Step};
use crate::snapshot::Snapshot;
use crate::units::{Span, Time, Weight};

/// Version of the stored state.
pub(super) const FORMAT: u32 = 1;

/// What the machine remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// Version of this format.
    pub format: u32,
    /// Rises with every restart and every new plan.
    pub generation: u32,
    /// Number of the next effect.
    pub next_effect: u32,
    /// The plan that runs, and where it stands.
    pub track: Track,
    /// Where the forward plan stood when the way back began.
    pub forward: Option<Track>,
    /// What the machine does at large.
    pub phase: Phase,
    /// How far the rollout has come.
    pub reached: Reached,
    /// Share of the candidate that was last asked for.
    pub weight: Weight,
    /// Signals under watch.
    pub watch: Option<Watch>,
    /// Effects that were asked for and not answered.
    pub pending: BTreeMap<EffectId, Request>,
    /// Times to be woken at.
    pub timers: BTreeMap<TimerReason, Time>,
    /// The world before the release.
    pub before: Option<Arc<Snapshot>>,
    /// Since when a person holds the rollout still.
    pub paused: bool,
    /// Why the way back was taken.
    pub cause: Option<Cause>,
    /// What was decided.
    pub decision: Option<Arc<Decision>>,
    /// How it ended, as far as it has.
    pub outcome: Option<Outcome>,
    /// What was left behind.
    pub residue: Vec<Residue>,
    /// When the machine last took an input: what passed since then, it did not see.
    pub last_step: Time,
    /// When the machine last asked for a write of the route, or heard that it was done: an older
    /// observation says nothing of that write.
    pub wrote_route: Option<Time>,
    /// When the machine last asked for an observation: an older one is not the answer.
    #[serde(default)]
    pub asked_to_observe: Time,
    /// How often traffic was moved back again after someone else moved it.
    pub reasserted: u32,
    /// The newest window that was judged. It stays when the signals are no longer under watch: it
    /// says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Arc<Judged>>,
}

/// A window that was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Judged {
    /// The window.
    pub window: Window,
    /// Share of the candidate during it.
    pub weight: Weight,
    /// Every signal, in the policy's order.
    pub signals: Vec<SignalSeen>,
}

/// A plan and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Track {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The step at hand.
    pub cursor: usize,
    /// When the step began.
    pub since: Time,
    /// What the step is doing.
    pub at: At,
    /// Whether the step's effect was applied, as far as the world said.
    pub performed: bool,
    /// The id to use again when it is not known whether the effect was applied.
    pub reuse: Option<EffectId>,
    /// How often the effect failed.
    pub failures: u32,
    /// How often the effect was applied and then not seen.
    #[serde(default)]
    pub vanished: u32,
    /// What the step waits for, in words.
    pub waiting_for: String,
    /// The last probe: hits and probes.
    pub probed: Option<(u64, u64)>,
}

/// What a step is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// Not begun.
    Start,
    /// Waits for an observation.
    Observing,
    /// Waits for an effect.
    Performing(EffectId),
    /// Waits for probes.
    Probing(EffectId),
    /// Waits for a gate.
    Gating(EffectId),
    /// Waits to look again.
    Polling,
    /// Waits for time, evidence or a person.
    Waiting,
    /// Done; waits for the end of a pause.
    Paused,
}

/// What the machine does at large.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Phase {
    /// Not begun.
    Ready,
    /// Reads the world before the first step.
    Surveying,
    /// Runs the forward plan.
    Forward,
    /// Reads the world to decide the way back.
    Deciding,
    /// Runs the way back.
    Back,
    /// Both arms degrade alike: stands still and goes on watching.
    Holding,
    /// Waits for a person. Ended, unless one answers.
    Held,
    /// Ended.
    Ended,
}

impl Track {
    /// A plan at its beginning.
    #[must_use]
    pub fn new(plan: Arc<Plan>, now: Time) -> Self {
        Self {
            plan,
            cursor: 0,
            since: now,
            at: At::Start,
            performed: false,
            reuse: None,
            failures: 0,
            vanished: 0,
            waiting_for: String::new(),
            probed: None,
        }
    }

    /// The step at hand.
    #[must_use]
    pub fn step(&self) -> Option<&Step> {
        self.plan.steps.get(self.cursor)
    }

    /// How long the step has taken.
    #[must_use]
    pub const fn elapsed(&self, now: Time) -> Span {
        now.since(self.since)
    }
}

impl State {
    /// The state before the first step.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            format: FORMAT,
            generation: 1,
            next_effect: 1,
            track: Track::new(plan, Time::ZERO),
            forward: None,
            phase: Phase::Ready,
            reached: Reached::default(),
            weight: Weight::ZERO,
            watch: None,
            pending: BTreeMap::new(),
            timers: BTreeMap::new(),
            before: None,
            paused: false,
            cause: None,
            decision: None,
            outcome: None,
            residue: Vec::new(),
            last_step: Time::ZERO,
            wrote_route: None,
            asked_to_observe: Time::ZERO,
            reasserted: 0,
            judged: None,
        }
    }

    /// Whether nothing will happen any more without a person.
    #[must_use]
    pub const fn is_at_rest(&self) -> bool {
        matches!(self.phase, Phase::Held | Phase::Ended)
    }
}
