//! What must hold in every rollout, judged by what the API server logged and by what users saw, and
//! not by what Backout says of itself. One rule, one file.

mod ending;
mod generations;
pub mod leadership;
mod order;
mod permissions;
mod preconditions;
mod readiness;
mod timeline;
mod users;

use std::collections::BTreeSet;

use anyhow::{Result, ensure};

use crate::cluster::audit::Entry;
use crate::load::Report;

/// What is judged.
pub struct Evidence {
    /// Every write of the cluster, oldest first.
    pub audit: Vec<Entry>,
    /// The names of the users that Backout acts as.
    pub ours: BTreeSet<String>,
    /// The namespace of the workload.
    pub namespace: String,
    /// How many replicas the workload had when it was adopted.
    pub replicas: u64,
    /// The user's objects, as plural and name: they must outlive every rollout.
    pub users: Vec<(&'static str, String)>,
    /// The set that has to serve at the end.
    pub stable: String,
    /// What users saw.
    pub load: Report,
    /// The sets that were meant to answer some requests with failures.
    pub bad: BTreeSet<String>,
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// The rule, in a few words.
    pub rule: &'static str,
    /// What happened, and when.
    pub what: String,
}

impl Breach {
    fn at(rule: &'static str, entry: &Entry, what: impl std::fmt::Display) -> Self {
        let object = &entry.object_ref;
        let what = format!(
            "{} {} of {}/{} by {}: {what}",
            entry.received, entry.verb, object.resource, object.name, entry.user.username
        );
        Self { rule, what }
    }
}

/// Every breach, rule by rule.
#[must_use]
pub fn breaches(evidence: &Evidence) -> Vec<Breach> {
    let rules = [
        readiness::judge,
        order::judge,
        generations::judge,
        preconditions::judge,
        ending::judge,
        permissions::judge,
        users::judge,
    ];
    rules.iter().flat_map(|judge| judge(evidence)).collect()
}

/// What Backout was forbidden so far, each message once.
#[must_use]
pub fn forbidden(audit: &[Entry]) -> BTreeSet<&str> {
    audit.iter().filter_map(permissions::forbidden).collect()
}

/// Fails if a rule was broken.
///
/// # Errors
/// Some were: names all of them.
pub fn judge(evidence: &Evidence) -> Result<()> {
    let told: Vec<String> = breaches(evidence)
        .iter()
        .map(|breach| format!("{}: {}", breach.rule, breach.what))
        .collect();
    ensure!(told.is_empty(), "{} breaches:\n{}", told.len(), told.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests;
