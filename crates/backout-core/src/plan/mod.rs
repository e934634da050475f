//! Plans: immutable data that leaves no choice to whoever executes them.
//!
//! A plan holds, for every step forward, what it waits for, how it is verified and its inverse. The
//! planner ([`forward`], [`back`]) makes plans; [`decide`] picks the pattern of the way back; the
//! machine runs them.

mod action;
pub mod assume;
pub mod back;
pub mod decide;
pub mod forward;
mod residue;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use action::{Action, Progress, Purpose as ScalePurpose};
pub use decide::{Cause, Choice, Decision, HoldReason, Pattern, PatternReason};
pub use residue::{Residue, residue};

use crate::document::FieldPath;
use crate::policy::{External, ReleasePolicy, SignalKind};
use crate::release::{ModuleChange, Release, ReleaseRef};
use crate::snapshot::{Arm, Snapshot};
use crate::units::{Digest, Limit, Name, Weight};

/// Version of the plan format. A reader refuses a version that it does not know.
pub const FORMAT: &str = "backout.dev/plan/v1alpha1";

/// What a plan is made for: the policy, the releases and the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Brief {
    /// The policy.
    pub policy: Arc<ReleasePolicy>,
    /// The environment that is released to.
    pub environment: Name,
    /// The release that serves.
    pub stable: Arc<Release>,
    /// The release on its way.
    pub candidate: Arc<Release>,
}

/// Why a plan cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A fact that the plan rests on is not known.
    #[error("cannot plan: {fact} is not known: {reason}")]
    UnknownFact {
        /// Which fact.
        fact: &'static str,
        /// Why it is not known.
        reason: String,
    },
    /// The policy contradicts itself; validation reports it with its place.
    #[error("cannot plan: {0}")]
    Policy(String),
    /// The releases do not belong together.
    #[error("cannot plan: {0}")]
    Releases(String),
}

/// Identity of a plan: a hash over its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub String);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which way a plan leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Direction {
    /// From stable to candidate.
    Forward,
    /// The way back.
    Back {
        /// With this pattern.
        pattern: Pattern,
    },
}

/// Immutable data: ordered steps and what applies if things fail between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Version of this format.
    pub format: String,
    /// Identity.
    pub id: PlanId,
    /// The plan that this one is the way back from.
    pub parent: Option<PlanId>,
    /// Which way it leads.
    pub direction: Direction,
    /// Environment.
    pub environment: Name,
    /// The release that serves when the plan begins.
    pub stable: ReleaseRef,
    /// The release on its way.
    pub candidate: ReleaseRef,
    /// Replicas of the stable release when the plan was made: what it needs to take all traffic.
    pub stable_replicas: u32,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// For a forward plan: the way back from each stretch of steps.
    pub ways_back: Vec<WayBack>,
}

/// Part of a rollout, as people think of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Checks before anything is changed.
    Gates,
    /// Infrastructure, schema, flags and the candidate's set, without user traffic.
    Prepare,
    /// User traffic moves.
    Shift,
    /// All traffic on the candidate, still watched.
    Bake,
    /// Promoted; the previous release is still ready.
    Keep,
    /// Going back: make the target able to serve.
    Ready,
    /// Going back: move traffic and verify that it moved.
    Return,
    /// Going back: make it stick.
    Stick,
    /// Going back: notify, clean up, check residue.
    Close,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gates => "gates",
            Self::Prepare => "prepare",
            Self::Shift => "shift traffic",
            Self::Bake => "bake",
            Self::Keep => "keep previous",
            Self::Ready => "make the target able to serve",
            Self::Return => "move traffic",
            Self::Stick => "make it stick",
            Self::Close => "close",
        })
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Short name, unique in the plan.
    pub name: String,
    /// Part of the rollout that it belongs to.
    pub stage: Stage,
    /// What is done.
    pub action: Action,
    /// Why the step is there.
    pub why: String,
    /// The field of the policy that asks for it.
    pub origin: FieldPath,
    /// What must hold before it is done.
    pub requires: Vec<Condition>,
    /// How it is known that it is done.
    pub verification: Verification,
    /// How it is taken back.
    pub inverse: Inverse,
    /// How long it may take.
    pub deadline: Deadline,
}

/// Something that must hold before a step is done. Checked on a fresh snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Condition {
    /// At least so many replicas of the arm are ready.
    Ready {
        /// Which arm.
        arm: Arm,
        /// How many.
        replicas: u32,
    },
    /// The route asks for this weight.
    RouteAt {
        /// Share of the candidate.
        candidate: Weight,
    },
}

/// How it is known that a step is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// The gate's verdict is pass.
    GatePasses,
    /// A fresh observation shows what was asked for.
    Observed,
    /// A fresh observation shows it, and probes or counters show the share of traffic.
    ObservedAndProbed,
    /// Every signal passes with sufficient, fresh evidence.
    SignalsPass,
    /// The time passed and nothing spoke against it.
    TimePassed,
    /// A person answered.
    PersonAnswered,
    /// It is sent once; nothing rests on it.
    Sent,
}

/// How a step is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Inverse {
    /// The step changes nothing.
    Nothing,
    /// This action takes it back.
    Undo(Action),
    /// It stays when going back, for this reason.
    Stays(String),
    /// It cannot be taken back, for this reason. A person is asked before it.
    PointOfNoReturn(String),
}

/// What happens when a step's time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expiry {
    /// Go back.
    Rollback,
    /// Stop and ask a person.
    Hold,
    /// The way back failed: page a person.
    Fail,
    /// Go on, and list what was left undone as residue.
    Continue,
}

/// How long something may take, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deadline {
    /// How long.
    pub within: Limit,
    /// The field of the policy that says so.
    pub origin: FieldPath,
    /// What then.
    pub then: Expiry,
}

/// The way back from a stretch of a forward plan, as the planner would choose it at that point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WayBack {
    /// First step of the stretch.
    pub from: usize,
    /// Last step of the stretch.
    pub to: usize,
    /// What would be decided if things failed there.
    pub decision: Decision,
    /// Titles of the steps back, in order.
    pub steps: Vec<String>,
}

impl Plan {
    /// Fills in the identity from the content.
    #[must_use]
    pub fn identified(mut self) -> Self {
        self.id = PlanId(String::new());
        // A plan holds only strings, numbers and lists, which always serialise.
        let content = serde_json::to_vec(&self).unwrap_or_default();
        self.id = PlanId(Digest::of_bytes(&content).short()[..8].to_owned());
        self
    }
}

impl Brief {
    /// Digests that the candidate's containers must run, by container.
    #[must_use]
    pub fn candidate_digests(&self) -> Arc<std::collections::BTreeMap<Name, Digest>> {
        Arc::new(
            self.candidate
                .spec
                .images
                .iter()
                .map(|image| (image.name.clone(), image.digest.clone()))
                .collect(),
        )
    }

    /// How the policy shifts traffic, in words.
    #[must_use]
    pub fn strategy_in_words(&self) -> String {
        match &self.policy.spec.strategy.canary {
            Some(canary) => {
                let weights: Vec<_> = canary
                    .steps
                    .iter()
                    .filter_map(|step| step.set_weight)
                    .map(|weight| weight.as_percent().to_string())
                    .collect();
                format!("canary {}", weights.join(" > "))
            }
            None => "blue/green".to_owned(),
        }
    }

    /// Names and limits of the policy's signals.
    ///
    /// # Errors
    /// When a signal contradicts itself, which validation reports with its place.
    pub fn signals(&self) -> Result<Vec<(Name, SignalKind<'_>)>, PlanError> {
        self.policy
            .spec
            .signals
            .iter()
            .map(|signal| Ok((signal.name.clone(), signal.kind().map_err(PlanError::Policy)?)))
            .collect()
    }

    /// What the release changes in parts that neither Backout drives nor the policy leaves to a
    /// pipeline: each part with what would have to be done. A rollout must not begin with any.
    #[must_use]
    pub fn undriven(&self, drives: &[External]) -> Vec<(External, String)> {
        let (stable, candidate) = (&self.stable, &self.candidate);
        External::ALL
            .into_iter()
            .filter(|part| !drives.contains(part) && !self.policy.leaves_out(*part))
            .filter_map(|part| {
                let changes: Vec<String> = match part {
                    External::Config => {
                        let (old, new) = (&stable.spec.config, &candidate.spec.config);
                        (old.revision != new.revision)
                            .then(|| format!("{} to {}", old.revision, new.revision))
                            .into_iter()
                            .collect()
                    }
                    External::Migrations => {
                        candidate.new_migrations(stable).map(|one| one.id.clone()).collect()
                    }
                    External::Flags => {
                        let flags = candidate.changed_flags(stable).into_iter();
                        flags.map(|flag| flag.key.to_string()).collect()
                    }
                    External::Infrastructure => {
                        let modules = candidate.changed_modules(stable).into_iter();
                        let kept = modules.filter(|(_, change)| *change != ModuleChange::Removed);
                        kept.map(|(module, _)| module.name.to_string()).collect()
                    }
                };
                (!changes.is_empty()).then(|| (part, changes.join(", ")))
            })
            .collect()
    }

    /// Checks that the two releases belong to the policy's workload and differ.
    ///
    /// # Errors
    /// When they do not.
    pub fn check(&self) -> Result<(), PlanError> {
        let workload = &self.policy.spec.workload.name;
        for release in [&self.stable, &self.candidate] {
            if &release.spec.workload != workload {
                return Err(PlanError::Releases(format!(
                    "release `{}` is of workload `{}`, the policy is for `{workload}`",
                    release.metadata.name, release.spec.workload
                )));
            }
        }
        if self.stable.set_name() == self.candidate.set_name() {
            return Err(PlanError::Releases(format!(
                "candidate and stable are the same release, `{}`",
                self.stable.metadata.name
            )));
        }
        if self.policy.environment(self.environment.as_str()).is_none() {
            return Err(PlanError::Policy(format!(
                "the policy has no environment `{}`",
                self.environment
            )));
        }
        Ok(())
    }
}

impl Condition {
    /// Whether the condition holds; otherwise why not.
    ///
    /// # Errors
    /// The reason why it does not hold, or cannot be told.
    pub fn check(&self, snapshot: &Snapshot) -> Result<(), String> {
        match *self {
            Self::Ready { arm, replicas } => match snapshot.set(arm) {
                Some(set) if set.ready >= replicas => Ok(()),
                Some(set) => {
                    Err(format!("{} of {replicas} replicas of {arm} are ready", set.ready))
                }
                None => Err(format!("the set of {arm} is not known to exist")),
            },
            Self::RouteAt { candidate } => match snapshot.weight() {
                Some(weight) if weight == candidate => Ok(()),
                Some(weight) => {
                    Err(format!("the route sends {weight} to the candidate, not {candidate}"))
                }
                None => Err("the route could not be read".to_owned()),
            },
        }
    }
}
