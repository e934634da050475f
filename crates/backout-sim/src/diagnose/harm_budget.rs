//! A budget of bad requests that the policy's own speed cannot keep.

use backout_core::finding::Code;

use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let budget = project.brief.policy.spec.rollback.harm_budget;
    list.push(Weakness {
        code: Code("BO224"),
        path: spec(&["rollback", "harmBudget"]),
        message: format!("this policy is too slow to keep its budget of {budget} bad requests"),
        help: "start with a smaller weight, shorten `triggers.window`, or accept a larger budget"
            .to_owned(),
        mend: Box::new(|policy| policy.spec.rollback.harm_budget = u64::MAX),
        plant: Box::new(|policy, original| {
            policy.spec.rollback.harm_budget = original.spec.rollback.harm_budget;
        }),
    });
}
