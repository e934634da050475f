//! A kind of regression that no signal shows.

use backout_core::finding::Code;
use backout_core::policy::SignalKind;

use super::blind_query::standard;
use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let signals = &project.brief.policy.spec.signals;
    let given: Vec<_> = signals.iter().filter_map(|signal| signal.kind().ok()).collect();
    let any = |is: fn(&SignalKind<'_>) -> bool| given.iter().any(is);
    let kinds = [
        ("ratio", any(|kind| matches!(kind, SignalKind::Ratio(..))), "failing requests"),
        ("quantile", any(|kind| matches!(kind, SignalKind::Quantile(..))), "slow requests"),
        ("gauge", any(|kind| matches!(kind, SignalKind::Gauge(..))), "saturation"),
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
