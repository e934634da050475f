//! A threshold without enough requests behind it: one failing request is a breach.

use backout_core::finding::Code;
use backout_core::policy::{ReleasePolicy, SignalKind};

use super::unreachable_evidence::reachable;
use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let needed = needed(&project.brief.policy);
    if project.brief.policy.spec.triggers.min_requests >= needed {
        return;
    }
    // Never more than the weakest step can bring, or the mend would be a weakness of its own.
    let mend_to = needed.max(300).min(reachable(project)).max(needed.min(reachable(project)));
    list.push(Weakness {
        code: Code("BO216"),
        path: spec(&["triggers", "minRequests"]),
        message: "a threshold without enough requests behind it judges noise".to_owned(),
        help: format!(
            "one failing request in {needed} reaches the limit: set `triggers.minRequests` to at \
             least {mend_to}"
        ),
        mend: Box::new(move |policy| policy.spec.triggers.min_requests = mend_to),
        plant: Box::new(|policy, original| {
            policy.spec.triggers.min_requests = original.spec.triggers.min_requests;
        }),
    });
}

/// Requests of which a single bad one stays within the tightest ratio.
fn needed(policy: &ReleasePolicy) -> u64 {
    policy
        .spec
        .signals
        .iter()
        .filter_map(|signal| match signal.kind() {
            Ok(SignalKind::Ratio(_, max)) if max.as_ppm() > 0 => {
                Some(1_000_000_u64.div_ceil(u64::from(max.as_ppm())))
            }
            _ => None,
        })
        .max()
        .unwrap_or(0)
}
