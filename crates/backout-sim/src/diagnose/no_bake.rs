//! Nobody watches after all traffic was moved.

use backout_core::finding::Code;
use backout_core::units::Span;

use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let bake = project.brief.policy.spec.strategy.bake;
    if bake >= Span::from_mins(10) {
        return;
    }
    list.push(Weakness {
        code: Code("BO222"),
        path: spec(&["strategy", "bake"]),
        message: format!("nobody watches longer than {bake} after all traffic was moved"),
        help: "set `strategy.bake` to 30m or more".to_owned(),
        mend: Box::new(|policy| policy.spec.strategy.bake = Span::from_mins(30)),
        plant: Box::new(|policy, original| {
            policy.spec.strategy.bake = original.spec.strategy.bake;
        }),
    });
}
