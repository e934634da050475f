//! Nobody looks whether traffic really moved.

use backout_core::finding::Code;
use backout_core::policy::FlipRule;

use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    if project.brief.policy.spec.traffic.verify != FlipRule::Trust {
        return;
    }
    list.push(Weakness {
        code: Code("BO213"),
        path: spec(&["traffic", "verify"]),
        message: "nobody looks whether traffic really moved".to_owned(),
        help: "set `traffic.verify: { probe: { url, header }, within: 60s }`".to_owned(),
        mend: Box::new(|policy| policy.spec.traffic.verify = FlipRule::default()),
        plant: Box::new(|policy, original| {
            policy.spec.traffic.verify = original.spec.traffic.verify.clone();
        }),
    });
}
