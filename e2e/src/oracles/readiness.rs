//! No traffic goes to a set without ready endpoints.

use super::{Breach, Evidence};

const RULE: &str = "no traffic to a set that is not ready";

pub(super) fn judge(evidence: &Evidence) -> Vec<Breach> {
    let mut found = Vec::new();
    for step in evidence.steps().iter().filter(|step| evidence.is_ours(step.entry)) {
        for (route, shares) in &step.after.shares {
            let before = step.before.shares.get(route);
            let newly = shares.iter().filter(|(set, share)| {
                **share > before.and_then(|before| before.get(*set)).copied().unwrap_or(0)
            });
            for (set, share) in newly.filter(|(set, _)| step.after.ready(set) == 0) {
                let what = format!("{route} gives {set} {share}%, which has no ready endpoint");
                found.push(Breach::at(RULE, step.entry, what));
            }
        }
    }
    found
}
