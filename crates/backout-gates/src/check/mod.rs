//! A check of a release: what each gate of its policy found, what was ignored on request, and what
//! it comes to.

use backout_core::finding::{Finding, Level, Place};
use backout_core::judgement::Verdict;
use serde::Serialize;

use crate::Outcome;

/// What came of a gate, after what its user ignores was taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Checked {
    /// The gate, such as `artifact-digest`.
    pub gate: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Findings that a comment in a file ignores, with its reason.
    pub ignored: Vec<Ignored>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A finding that its user knows of and lives with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ignored {
    /// The finding.
    pub finding: Finding,
    /// Why it is ignored, in its user's words.
    pub reason: String,
    /// The comment that says so.
    pub at: Place,
}

/// A check of a release by all gates of its policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Name of the policy.
    pub policy: String,
    /// The file of the policy, as its user would write it.
    pub file: String,
    /// The environment that is released to.
    pub environment: String,
    /// Version of the release on its way.
    pub candidate: String,
    /// Version of the release that serves, if there is one.
    pub stable: Option<String>,
    /// The command that checks the same again.
    pub command: String,
    /// Each gate, in the order of the policy.
    pub gates: Vec<Checked>,
    /// What the check itself has to say, such as a comment that ignores nothing.
    pub findings: Vec<Finding>,
}

impl Check {
    /// What it comes to: a failure if any gate failed, otherwise what is not known, otherwise a pass.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let verdicts = || self.gates.iter().map(|checked| checked.outcome.verdict);
        if verdicts().any(|verdict| verdict == Verdict::Fail)
            || self.findings.iter().any(|finding| finding.level == Level::Error)
        {
            return Verdict::Fail;
        }
        verdicts().find(|verdict| *verdict != Verdict::Pass).unwrap_or(Verdict::Pass)
    }

    /// Every finding that counts with the gate that found it, the worst first; within a level in
    /// the order of the policy's gates, and last what the check itself found.
    #[must_use]
    pub fn worst_first(&self) -> Vec<(Option<&str>, &Finding)> {
        let of_gates = self.gates.iter().flat_map(|checked| {
            let gate = Some(checked.gate.as_str());
            checked.outcome.findings.iter().map(move |finding| (gate, finding))
        });
        let own = self.findings.iter().map(|finding| (None, finding));
        let mut all: Vec<_> = of_gates.chain(own).collect();
        all.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.level));
        all
    }
}
