//! What the controller says about its objects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Types of condition. `Ready`, `Reconciling` and `Stalled` mean what the kstatus convention says:
/// `Reconciling` and `Stalled` are there only while they are true.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum ConditionType {
    /// Settled: nothing is under way, and nothing is wrong.
    Ready,
    /// The controller works towards what the object asks for.
    Reconciling,
    /// The controller cannot go on without a person.
    Stalled,
    /// The release serves all traffic and is known good.
    Promoted,
    /// The release was given up and users are back where they were.
    RolledBack,
    /// A digest of the release is in quarantine.
    Quarantined,
    /// A gate does not pass.
    GateFailing,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It is not known.
    Unknown,
}

/// One condition, in the form of all Kubernetes conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which one.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Generation of the object that it was decided on.
    pub observed_generation: i64,
    /// When the status changed last, RFC 3339, in UTC.
    pub last_transition_time: String,
    /// Stable word for programs, in upper camel case.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Status of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyStatus {
    /// Generation of the policy that the status is about.
    pub observed_generation: i64,
    /// Name of the release that is known good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_good: Option<String>,
    /// Name of the set of objects that serves as the stable release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_set: Option<String>,
    /// Name of the release that is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_release: Option<String>,
    /// Whether the workload and its route were taken over.
    pub adopted: bool,
    /// Conditions, one of each type.
    pub conditions: Vec<Condition>,
}

/// What was seen of one signal in the newest window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SignalStatus {
    /// Its name.
    pub name: String,
    /// What was measured for the candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// What was measured for the stable release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<String>,
    /// The limit.
    pub threshold: String,
    /// The verdict over all windows so far.
    pub verdict: String,
    /// Requests to the candidate in the window.
    pub requests: u64,
}

/// A person's command, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastCommand {
    /// Identity that the person's tool gave it.
    pub id: String,
    /// The command.
    pub command: String,
    /// Whether it was taken, or why not.
    pub answer: String,
    /// When, RFC 3339, in UTC.
    pub at: String,
}

/// Status of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseStatus {
    /// Generation of the release that the status is about.
    pub observed_generation: i64,
    /// Where the rollout is, in one word for people; programs read the conditions.
    pub phase: String,
    /// The step under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// What the step waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// Since when, RFC 3339, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<String>,
    /// Share of user traffic that the candidate was given, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// The worst verdict of all signals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The rollback pattern that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What happened, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Identity of the plan that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// When the rollout began, RFC 3339, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it ended, RFC 3339, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// Who runs the rollout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// What would undo a way back, and what to write where so that it does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub undone_by: Vec<String>,
    /// What was seen of each signal.
    pub signals: Vec<SignalStatus>,
    /// Commands of people, newest last.
    pub last_commands: Vec<LastCommand>,
    /// Conditions, one of each type.
    pub conditions: Vec<Condition>,
}
