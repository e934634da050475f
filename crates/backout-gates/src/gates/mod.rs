//! The gates: one gate, one file. Each says in its [`About`] what it looks at and what its findings
//! mean; `docs/gates.md` is written from that.

pub mod artifact_digest;
pub mod artifact_signature;
pub mod config_drift;
pub mod context;
mod found;
pub mod policies;
pub mod probes;
#[cfg(test)]
mod testing;
pub mod vulnerabilities;

use backout_core::finding::Level;

/// What a gate is for, and what its findings mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Its name, as policies, plans and output write it.
    pub name: &'static str,
    /// The failure modes and questions of release safety that it answers, such as `F1`; may be empty.
    pub mode: &'static str,
    /// What it makes sure of, in one sentence.
    pub what: &'static str,
    /// What it reads.
    pub reads: &'static str,
    /// Every finding that it can have, in the order of the codes.
    pub findings: &'static [Explained],
}

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explained {
    /// Its stable code, such as `BO301`.
    pub code: &'static str,
    /// How bad it is unless the policy says otherwise.
    pub level: Level,
    /// A short name in upper case where the field has one, such as `TAG_MOVED`; otherwise a few words.
    pub title: &'static str,
    /// What it means and how it comes about.
    pub means: &'static str,
    /// What to do next.
    pub next: &'static str,
}
