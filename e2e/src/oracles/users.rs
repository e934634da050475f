//! Users lose no request, but those that a bad release answered.

use super::{Breach, Evidence};

const RULE: &str = "users lose no request";
/// How many failures a breach tells of.
const SHOWN: usize = 5;

pub(super) fn judge(evidence: &Evidence) -> Vec<Breach> {
    let failures = evidence.load.failures();
    let unexpected = failures.iter().filter(|failed| {
        !failed.release.as_ref().is_some_and(|release| evidence.bad.contains(release))
    });
    let mut found: Vec<Breach> = unexpected
        .take(SHOWN)
        .map(|failed| {
            let what = format!(
                "{:.3} s after the load began, by way of {}: {:?} from {:?}",
                failed.after.as_secs_f64(),
                failed.target,
                failed.outcome,
                failed.release
            );
            Breach { rule: RULE, what }
        })
        .collect();
    if evidence.load.not_sent > 0 {
        let what = format!("the load was not as planned: {}", evidence.load.summary());
        found.push(Breach { rule: RULE, what });
    }
    found
}
