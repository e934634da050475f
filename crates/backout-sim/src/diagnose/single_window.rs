//! A single window decides.

use backout_core::finding::Code;

use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    if project.brief.policy.spec.triggers.consecutive >= 2 {
        return;
    }
    list.push(Weakness {
        code: Code("BO218"),
        path: spec(&["triggers", "consecutive"]),
        message: "a single window decides".to_owned(),
        help: "set `triggers.consecutive` to 2 or more".to_owned(),
        mend: Box::new(|policy| policy.spec.triggers.consecutive = 2),
        plant: Box::new(|policy, original| {
            policy.spec.triggers.consecutive = original.spec.triggers.consecutive;
        }),
    });
}
