//! What came of a gate.

use backout_core::finding::{Finding, Level};
use backout_core::judgement::Verdict;
use backout_core::machine::GateReport;
use serde::Serialize;

/// What came of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Unknown is never a pass: what could not be read or evaluated has a verdict of its own.
    pub verdict: Verdict,
    /// The reason in one line: of a failure its first cause, of a pass what was looked at.
    pub message: String,
    /// Everything that was found, the worst first. A pass may have warnings and notes.
    pub findings: Vec<Finding>,
    /// Whether the image itself is at fault, and must not be deployed again.
    pub blames_image: bool,
}

impl Outcome {
    /// A pass.
    #[must_use]
    pub fn pass(message: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Pass,
            message: message.into(),
            findings: Vec::new(),
            blames_image: false,
        }
    }

    /// The gate could not be evaluated.
    #[must_use]
    pub fn not_evaluated(message: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotEvaluated, ..Self::pass(message) }
    }

    /// Judges by findings: an error fails, anything less passes. The message is that of the worst
    /// finding when it fails, and `passed` when it does not.
    #[must_use]
    pub fn of(mut findings: Vec<Finding>, passed: impl Into<String>) -> Self {
        // A stable sort: within a level, findings stay in the order that the gate found them in.
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        match findings.first() {
            Some(worst) if worst.level == Level::Error => Self {
                verdict: Verdict::Fail,
                message: worst.message.clone(),
                findings,
                blames_image: false,
            },
            Some(_) | None => Self { findings, ..Self::pass(passed) },
        }
    }

    /// Blames the image when the gate failed.
    #[must_use]
    pub fn blaming_image(mut self) -> Self {
        self.blames_image = self.verdict == Verdict::Fail;
        self
    }

    /// What the machine is told.
    #[must_use]
    pub fn report(&self) -> GateReport {
        GateReport {
            verdict: self.verdict,
            message: self.message.clone(),
            blames_image: self.blames_image,
        }
    }
}

#[cfg(test)]
mod tests {
    use backout_core::finding::{Code, Subject};

    use super::*;

    fn finding(level: Level, message: &str) -> Finding {
        Finding {
            code: Code("BO300"),
            level,
            subject: Subject::Object("image".to_owned()),
            message: message.to_owned(),
            label: String::new(),
            help: String::new(),
            replay: None,
        }
    }

    #[test]
    fn the_worst_finding_decides() {
        let findings =
            vec![finding(Level::Note, "n"), finding(Level::Error, "a"), finding(Level::Error, "b")];
        let outcome = Outcome::of(findings, "fine").blaming_image();
        assert_eq!((outcome.verdict, outcome.message.as_str()), (Verdict::Fail, "a"));
        assert!(outcome.report().blames_image);
        let outcome = Outcome::of(vec![finding(Level::Warning, "w")], "fine").blaming_image();
        assert_eq!((outcome.verdict, outcome.message.as_str()), (Verdict::Pass, "fine"));
        assert!(!outcome.blames_image);
        assert_eq!(Outcome::not_evaluated("x").verdict, Verdict::NotEvaluated);
    }
}
