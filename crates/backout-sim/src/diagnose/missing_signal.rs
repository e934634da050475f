//! A kind of regression that no signal shows.

use backout_core::finding::Code;

use super::blind_query::standard;
use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let signals = &project.brief.policy.spec.signals;
    let kinds = [
        ("ratio", signals.iter().any(|signal| signal.ratio.is_some()), "failing requests"),
        ("quantile", signals.iter().any(|signal| signal.quantile.is_some()), "slow requests"),
        ("gauge", signals.iter().any(|signal| signal.gauge.is_some()), "saturation"),
    ];
    for (kind, given, what) in kinds {
        let Some(stand_in) = standard(kind).filter(|_| !given) else { continue };
        let name = stand_in.name.clone();
        list.push(Weakness {
            code: Code("BO220"),
            path: spec(&["signals"]),
            message: format!("no signal shows {what}"),
            help: format!("add a signal with `{kind}`"),
            mend: Box::new(move |policy| policy.spec.signals.push(stand_in.clone())),
            plant: Box::new(move |policy, _| {
                policy.spec.signals.retain(|signal| signal.name != name);
            }),
        });
    }
}
