//! What a rule decided on an object.

use std::fmt;

use backout_core::document::FieldPath;
use backout_core::finding::Place;
use serde::Serialize;

/// Whose way of evaluating a policy it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Rego files with conftest's conventions.
    Rego,
    /// Gatekeeper constraints and their templates.
    Gatekeeper,
    /// Kubernetes' own ValidatingAdmissionPolicy.
    ValidatingAdmissionPolicy,
    /// Kyverno's policies in CEL, such as ValidatingPolicy.
    KyvernoCel,
    /// Kyverno's ClusterPolicy and Policy.
    Kyverno,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rego => "Rego",
            Self::Gatekeeper => "Gatekeeper",
            Self::ValidatingAdmissionPolicy => "ValidatingAdmissionPolicy",
            Self::KyvernoCel => "Kyverno (CEL)",
            Self::Kyverno => "Kyverno",
        })
    }
}

/// A rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Whose policy it is.
    pub engine: Engine,
    /// The policy: a Rego package, a constraint, or the name of a policy object.
    pub policy: String,
    /// The rule of it, such as `deny` or the name of a Kyverno rule; empty when there is but one.
    pub rule: String,
    /// Where it is written.
    pub at: Place,
}

/// What a rule decided.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    /// The object keeps the rule.
    Pass,
    /// The object breaks the rule, and admission refuses it.
    Deny {
        /// What the policy says.
        message: String,
    },
    /// The object breaks the rule, and the policy only warns or audits.
    Warn {
        /// What the policy says.
        message: String,
    },
    /// The object breaks the rule, and an exception allows it.
    Excepted {
        /// Which exception does.
        by: String,
        /// What the policy says.
        message: String,
    },
    /// Nobody knows whether the object keeps the rule.
    NotEvaluated {
        /// Why not: what is not supported, or what went wrong.
        reason: String,
    },
}

/// One rule on one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// The rule.
    pub rule: Rule,
    /// Which of the objects that were given, counted from zero; nothing when the rule looks at all of
    /// them together, or when the policy as a whole cannot be evaluated.
    pub object: Option<usize>,
    /// The field of the object that is to blame, when the engine knows.
    pub field: Option<FieldPath>,
    /// What was decided.
    pub decision: Decision,
}
