//! What the machine asks of the world, and what the world answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::judgement::{Measurement, Verdict, Window};
use crate::plan::{Action, Pattern, PlanId};
use crate::policy::Gate;
use crate::snapshot::Snapshot;
use crate::units::{Time, Weight};

/// Identity of an effect, and its idempotency key: the same id is never performed twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EffectId(pub u32);

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}

/// One idempotent request to the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// Identity.
    pub id: EffectId,
    /// The plan that it belongs to.
    pub plan: PlanId,
    /// Rises with every restart and every new plan; the world refuses an older one.
    pub generation: u32,
    /// What is asked.
    pub request: Request,
    /// What must still be true of an object that is destroyed or moved.
    pub precondition: Option<Precondition>,
}

/// The object as it was when the decision was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Precondition {
    /// Its unique id; 0 for a route, which is never recreated by us.
    pub uid: u64,
    /// Its version.
    pub resource_version: u64,
}

/// What is asked of the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Request {
    /// Read everything afresh; answered by [`Input::Observed`].
    Observe,
    /// Run a gate.
    RunGate(Gate),
    /// Send requests through the route and count who answers.
    Probe {
        /// Share of the candidate that is expected.
        expected: Weight,
        /// How many requests.
        probes: u32,
    },
    /// Measure every signal on both arms over a window.
    Query(Window),
    /// Change the world.
    Apply(Action),
}

/// What a gate said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateReport {
    /// The verdict; only `pass` lets the release go on.
    pub verdict: Verdict,
    /// The reason, in one sentence fragment.
    pub message: String,
    /// Whether the image itself is at fault, so that its digest belongs in quarantine.
    pub blames_image: bool,
}

/// One signal's measurements over a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalMeasured {
    /// The candidate's.
    pub candidate: Measurement,
    /// The stable release's.
    pub stable: Measurement,
    /// What the candidate's query found, where it found nothing.
    pub note: Option<String>,
}

/// What the world answers to an effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum EffectResult {
    /// Done, or found already done.
    Applied,
    /// Refused for good, with the message of whoever refused.
    Refused(String),
    /// Not done; trying again may help.
    Failed(String),
    /// Timed out; may or may not have been done.
    Ambiguous(String),
    /// What a gate said.
    Gate(GateReport),
    /// Probes that reached the candidate, of all that were answered.
    Share {
        /// Reached the candidate.
        hits: u64,
        /// Answered by either release.
        probes: u64,
    },
    /// Every signal of the policy, in its order.
    Measured(Vec<SignalMeasured>),
}

/// What comes into the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Input {
    /// Begin.
    Start,
    /// A fresh observation, asked for or not.
    Observed(Box<Snapshot>),
    /// An effect was answered.
    Done {
        /// Which one.
        effect: EffectId,
        /// The answer.
        result: EffectResult,
    },
    /// A deadline or an appointment.
    Timer(TimerReason),
    /// A person's command.
    Command(Command),
    /// The controller restarted from its stored state.
    Restarted,
}

/// Why the machine wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimerReason {
    /// Look again.
    Poll,
    /// The data of a window is complete.
    Window,
    /// A wait that the plan asks for is over.
    StepWait,
    /// The current step's time is over.
    StepDeadline,
    /// The whole rollout's time is over.
    RolloutDeadline,
    /// A hold's time is over.
    HoldDeadline,
    /// A decision could not be made for too long.
    DecisionDeadline,
    /// A person's pause has lasted too long.
    PauseDeadline,
}

/// A person's command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Go on: answers an approval, or ends a hold.
    Promote,
    /// Stand still after the current step; signals are still watched.
    Pause,
    /// End a pause or a hold.
    Resume,
    /// Give the release up before it is promoted.
    Abort,
    /// Go back, also after promotion.
    Rollback,
    /// Let the previous release go before its time, because another release is to follow.
    Seal,
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Rollback => "rollback",
            Self::Seal => "seal",
        })
    }
}

/// How a rollout ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The candidate serves, and is known good.
    Promoted,
    /// Halted before any user traffic.
    Cancelled,
    /// Users are back where they were, or on the candidate with the cause taken away.
    RolledBack(Pattern),
    /// Waits for a person.
    Held(String),
    /// Mended by going on.
    RolledForward,
    /// The way back did not work: page a person.
    RollbackFailed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promoted => f.write_str("promoted"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::RolledBack(pattern) => write!(f, "rolled-back ({pattern})"),
            Self::Held(why) => write!(f, "held: {why}"),
            Self::RolledForward => f.write_str("rolled-forward"),
            Self::RollbackFailed(why) => write!(f, "rollback-failed: {why}"),
        }
    }
}

/// What one step of the machine wants done. The caller keeps this order: store the records and the
/// machine's state, then arm the timers, then perform the effects in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Entries for the journal.
    pub records: Vec<crate::journal::Event>,
    /// Times to be woken at.
    pub arms: Vec<(Time, TimerReason)>,
    /// Requests to the world.
    pub effects: Vec<Effect>,
}
