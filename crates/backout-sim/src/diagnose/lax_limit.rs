//! A limit so high that a bad release stays under it.

use backout_core::finding::Code;
use backout_core::policy::{SignalKind, Threshold};
use backout_core::units::Share;

use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    for (index, signal) in project.brief.policy.spec.signals.iter().enumerate() {
        let (max, tight) = match signal.kind() {
            Ok(SignalKind::Ratio(_, max)) => (max, Share::from_ppm(10_000)),
            Ok(SignalKind::Gauge(_, max)) => (max, Share::from_ppm(850_000)),
            Ok(SignalKind::Quantile(..)) | Err(_) => continue,
        };
        if max <= tight {
            continue;
        }
        list.push(Weakness {
            code: Code("BO221"),
            path: spec(&["signals"]).index(index).key("max"),
            message: format!("a bad release stays under {max}"),
            help: format!("lower `max`, for example to {tight}"),
            mend: Box::new(move |policy| {
                if let Some(signal) = policy.spec.signals.get_mut(index) {
                    signal.max = Threshold::Share(tight);
                }
            }),
            plant: Box::new(move |policy, original| {
                if let (Some(signal), Some(was)) =
                    (policy.spec.signals.get_mut(index), original.spec.signals.get(index))
                {
                    signal.max = was.max;
                }
            }),
        });
    }
}
