//! The Common Expression Language as Kubernetes has it.
//!
//! [`Environment::compile`] reads an expression and finds out, before anything is evaluated, whether
//! every function and name in it is known. [`Scope`] holds what expressions see and evaluates them.
//! A value, an error of the language, and something that Backout cannot evaluate are three things:
//! a failure policy decides on the second and never on the third.
//!
//! The libraries are those of <https://kubernetes.io/docs/reference/using-api/cel/>, and the string,
//! list, math and encoder extensions of cel-go, which Kyverno adds.

mod check;
mod depth;
mod expression;
mod functions;
mod json;
mod library;
mod meter;
pub mod policy;
mod scope;

use std::collections::{BTreeMap, BTreeSet};

pub use expression::{Environment, Expression, Refused};
pub use scope::{Outcome, Scope, Variable};

/// The fields of a request that are known before it is made.
const REQUEST_FIELDS: &[&str] = &[
    "dryRun",
    "kind",
    "name",
    "namespace",
    "operation",
    "requestKind",
    "requestResource",
    "requestSubResource",
    "resource",
    "subResource",
];

/// How much an evaluation may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest expression that is read, in bytes.
    pub max_bytes: usize,
    /// Steps that one expression may take, its variables included. A step is about one value that is
    /// looked at or copied.
    pub max_steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_bytes: 64 * 1024, max_steps: 1_000_000 }
    }
}

/// What an expression may name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declarations {
    /// Names that have a value, such as `object`.
    pub names: BTreeSet<String>,
    /// Names that exist in a cluster and have no value here, with the reason.
    pub unsupported: BTreeMap<String, String>,
    /// Variables of the policy that were declared so far: the fields of `variables`.
    pub variables: BTreeSet<String>,
}

impl Declarations {
    /// Declares names that have a value.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), ..Self::default() }
    }

    /// Declares a name that only a cluster has a value for.
    #[must_use]
    pub fn unsupported(mut self, name: &str, reason: &str) -> Self {
        self.unsupported.insert(name.to_owned(), reason.to_owned());
        self
    }
}

/// What an expression uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Names, such as `object` or `params`.
    pub names: BTreeSet<String>,
    /// Variables of the policy.
    pub variables: BTreeSet<String>,
}

#[cfg(test)]
mod tests;
