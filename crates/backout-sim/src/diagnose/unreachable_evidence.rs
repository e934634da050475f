//! A minimum of requests that a step's weight never brings: the verdict stays inconclusive.

use backout_core::finding::Code;
use backout_core::units::Weight;

use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let wanted = project.brief.policy.spec.triggers.min_requests;
    let reachable = reachable(project);
    if wanted <= reachable {
        return;
    }
    let rate = project.world.requests_per_second;
    let weight = first_weight(project);
    list.push(Weakness {
        code: Code("BO217"),
        path: spec(&["triggers", "minRequests"]),
        message: format!("a window at {weight} never has {wanted} requests"),
        help: format!(
            "at {rate} requests per second a window at {weight} has about {reachable}: use a \
             longer `triggers.window`, a higher first weight, or fewer `minRequests`"
        ),
        mend: Box::new(move |policy| policy.spec.triggers.min_requests = reachable / 2),
        plant: Box::new(|policy, original| {
            policy.spec.triggers.min_requests = original.spec.triggers.min_requests;
        }),
    });
}

fn first_weight(project: &Project) -> Weight {
    let canary = project.brief.policy.spec.strategy.canary.as_ref();
    canary
        .and_then(|canary| canary.steps.iter().find_map(|step| step.set_weight))
        .unwrap_or(Weight::FULL)
}

/// Requests in a window at the first weight, less a twentieth for scrapes that do not line up.
pub(super) fn reachable(project: &Project) -> u64 {
    let window = project.brief.policy.spec.triggers.window.as_millis();
    let rate = u64::from(project.world.requests_per_second);
    let percent = u64::from(first_weight(project).as_percent());
    rate * window * percent / 100_000 * 19 / 20
}
