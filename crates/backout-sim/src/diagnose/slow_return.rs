//! A time for the way back that traffic cannot keep.

use backout_core::finding::Code;
use backout_core::units::Span;

use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let within = project.brief.policy.spec.rollback.within;
    if within >= Span::from_mins(1) {
        return;
    }
    list.push(Weakness {
        code: Code("BO226"),
        path: spec(&["rollback", "within"]),
        message: format!("traffic does not come back within {within}"),
        help: "allow for the time that a route change takes to reach the data plane".to_owned(),
        mend: Box::new(|policy| policy.spec.rollback.within = Span::from_mins(1)),
        plant: Box::new(|policy, original| {
            policy.spec.rollback.within = original.spec.rollback.within;
        }),
    });
}
