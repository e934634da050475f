//! Scenarios: what goes wrong and when, as data. A stored failure is a scenario; a seed only makes
//! one.

use backout_core::plan::Pattern;
use backout_core::policy::{ApiVersion, Metadata};
use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::faults::{Fault, Named};

/// The kind of a scenario document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScenarioKind {
    /// The only value.
    #[default]
    Scenario,
}

/// A stored scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Always `backout.dev/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `Scenario`.
    pub kind: ScenarioKind,
    /// Name and namespace.
    pub metadata: Metadata,
    /// The scenario.
    pub spec: ScenarioSpec,
}

/// The body of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScenarioSpec {
    /// What it stands for.
    #[serde(default)]
    pub description: String,
    /// What goes wrong.
    pub faults: Vec<PlannedFault>,
    /// What must come of it; without one, only the oracles judge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
}

/// One fault and when it strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlannedFault {
    /// When. Default: at the start.
    #[serde(default)]
    pub when: Trigger,
    /// What.
    pub fault: Fault,
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Trigger {
    /// Before the first step.
    Start {},
    /// So long after the start.
    Elapsed {
        /// How long.
        after: Span,
    },
    /// So long after user traffic was first sent to the candidate.
    Exposed {
        /// How long.
        after: Span,
    },
    /// So long after all user traffic was sent to the candidate.
    FullWeight {
        /// How long.
        after: Span,
    },
}

impl Trigger {
    /// The same trigger, so much later; one at the start stays there.
    #[must_use]
    pub const fn later(self, by: Span) -> Self {
        match self {
            Self::Start {} => self,
            Self::Elapsed { after } => Self::Elapsed { after: after.saturating_add(by) },
            Self::Exposed { after } => Self::Exposed { after: after.saturating_add(by) },
            Self::FullWeight { after } => Self::FullWeight { after: after.saturating_add(by) },
        }
    }
}

impl Default for Trigger {
    fn default() -> Self {
        Self::Start {}
    }
}

/// What must come of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// How it ends.
    pub outcome: ExpectedOutcome,
    /// With which pattern, if it goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExpectedOutcome {
    /// The candidate serves.
    Promoted,
    /// Halted before user traffic.
    Cancelled,
    /// Went back.
    RolledBack,
    /// Waits for a person.
    Held,
    /// Page a person.
    RollbackFailed,
}

/// What is injected into one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// The name that the run is known by.
    pub name: String,
    /// What goes wrong.
    pub faults: Vec<PlannedFault>,
}

impl FaultPlan {
    /// The run without a fault.
    #[must_use]
    pub fn none() -> Self {
        Self { name: "none".to_owned(), faults: Vec::new() }
    }
}

impl From<&Named> for FaultPlan {
    fn from(named: &Named) -> Self {
        Self {
            name: named.name.to_owned(),
            faults: vec![PlannedFault { when: named.when, fault: named.fault.clone() }],
        }
    }
}

impl From<&Scenario> for FaultPlan {
    fn from(scenario: &Scenario) -> Self {
        Self { name: scenario.metadata.name.to_string(), faults: scenario.spec.faults.clone() }
    }
}
