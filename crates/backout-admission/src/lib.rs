//! Admission policies on manifests, evaluated without a cluster.
//!
//! Each engine reads policies in the form that people have them, and says of every rule and every
//! object that it applies to what was decided. What an engine cannot evaluate is
//! [`Decision::NotEvaluated`] with the reason, and never a pass.

pub mod cel;
pub mod gatekeeper;
pub mod kyverno_cel;
pub mod rego;
pub mod validating_admission_policy;

pub use backout_gates::gates::policies::{Decided, Decision, Engine, Rule};
