//! How tests of gates look at outcomes.

use std::fmt::Write;

use backout_core::finding::Subject;

use crate::Outcome;

/// Verdict and findings as lines.
pub(crate) fn shown(outcome: &Outcome) -> String {
    let mut out = format!("{}: {}\n", outcome.verdict, outcome.message);
    for finding in &outcome.findings {
        let place = match &finding.subject {
            Subject::Policy(path) => path.to_string(),
            Subject::File(place) => place.to_string(),
            Subject::Object(object) => object.clone(),
        };
        let _ = writeln!(out, "{} {} {place}: {}", finding.level, finding.code, finding.message);
        for (sign, text) in [('^', &finding.label), ('=', &finding.help)] {
            if !text.is_empty() {
                let _ = writeln!(out, "    {sign} {text}");
            }
        }
    }
    out
}
