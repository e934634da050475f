//! The versioned event log of a run. Everything that is shown about a run is derived from it.
//!
//! A journal is JSON lines: a [`Header`], then one [`Entry`] per line. A reader refuses a format
//! that it does not know.

use serde::{Deserialize, Serialize};

use crate::judgement::{Observed, Verdict, Window};
use crate::machine::{Command, EffectId, Outcome, Request};
use crate::plan::{Brief, Cause, Decision, PlanId, Residue};
use crate::release::ReleaseRef;
use crate::replay::Taken;
use crate::snapshot::Snapshot;
use crate::units::{Name, Time, Weight};

/// Version of the journal format.
pub const FORMAT: &str = "backout.dev/journal/v1alpha1";

/// First line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// Version of this format.
    pub format: String,
    /// Name of the policy.
    pub policy: Name,
    /// Environment.
    pub environment: Name,
    /// The release that served.
    pub stable: ReleaseRef,
    /// The release on its way.
    pub candidate: ReleaseRef,
    /// How the policy shifts traffic, in words.
    pub strategy: String,
    /// For a rehearsal: what was injected, and from which seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
    /// For a live run: what the engine was given, so that it can be replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Box<Live>>,
}

/// What the engine was given at the beginning of a live run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Live {
    /// Time zero of the run, RFC 3339, in UTC.
    pub started_at: String,
    /// Policy, releases and environment.
    pub brief: Brief,
    /// What the plan was made on.
    pub planned_on: Snapshot,
}

/// What a rehearsal injected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rehearsal {
    /// Name of the fault or scenario.
    pub scenario: String,
    /// Seed of the world.
    pub seed: u64,
}

/// One line after the header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// When, since the start of the run.
    pub at: Time,
    /// What.
    pub event: Event,
}

/// Judgement of one signal over one window, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignalSeen {
    /// Name of the signal.
    pub signal: Name,
    /// The limit, in words.
    pub limit: String,
    /// What was measured for the candidate.
    pub candidate: Option<Observed>,
    /// What was measured for the stable release.
    pub stable: Option<Observed>,
    /// Requests to the candidate in the window.
    pub requests: u64,
    /// Verdict over all windows so far.
    pub verdict: Verdict,
    /// Bad windows in a row.
    pub bad_run: u32,
    /// What the query found, where it found nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Event {
    /// The world did something by itself (rehearsals only).
    World {
        /// What.
        what: String,
    },
    /// A plan began.
    PlanStarted {
        /// Which one.
        plan: PlanId,
        /// Forward, or back with which pattern.
        direction: String,
        /// Number of steps.
        steps: usize,
    },
    /// A step began.
    StepStarted {
        /// Its name.
        step: String,
        /// What it does.
        what: String,
    },
    /// A step is done.
    StepDone {
        /// Its name.
        step: String,
        /// How it is known.
        known_by: String,
    },
    /// A step waits.
    Waiting {
        /// Its name.
        step: String,
        /// For what.
        for_what: String,
    },
    /// A step was given up; it is listed as residue.
    LeftUndone {
        /// Its name.
        step: String,
        /// Why.
        why: String,
    },
    /// Something was asked of the world. Written before it is asked.
    Asked {
        /// Identity of the effect.
        effect: EffectId,
        /// What.
        request: Request,
    },
    /// The world answered.
    Answered {
        /// Identity of the effect.
        effect: EffectId,
        /// What it said.
        answer: String,
    },
    /// A window was judged.
    Judged {
        /// The window.
        window: Window,
        /// Share of the candidate during it.
        weight: Weight,
        /// Every signal.
        signals: Vec<SignalSeen>,
    },
    /// Something made the engine go back.
    Triggered {
        /// What.
        cause: Cause,
    },
    /// The way back was decided.
    Decided {
        /// What, and why not otherwise.
        decision: Box<Decision>,
    },
    /// The rollout holds still.
    Held {
        /// Why.
        why: String,
        /// Until when, if not until a person answers.
        until: Option<Time>,
    },
    /// The rollout goes on after a hold or a pause.
    Resumed {
        /// Why.
        why: String,
    },
    /// Someone else changed what the plan rests on.
    ThirdParty {
        /// What was seen.
        what: String,
    },
    /// A person's command was taken.
    Commanded {
        /// Which one.
        command: Command,
    },
    /// A person's command was refused.
    Refused {
        /// Which one.
        command: Command,
        /// Why.
        why: String,
    },
    /// The engine took an input (live runs only). What it recorded because of it follows.
    Took {
        /// What it took.
        input: Box<Taken>,
    },
    /// The controller came back after a crash.
    Restarted {
        /// Effects that were under way.
        pending: Vec<EffectId>,
    },
    /// How it ended.
    Ended {
        /// The outcome.
        outcome: Outcome,
        /// What is left behind.
        residue: Vec<Residue>,
    },
}
