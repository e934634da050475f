//! Windows that take so long that users pay for the wait.

use backout_core::finding::Code;
use backout_core::judgement::time_to_judge;
use backout_core::units::Span;

use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let triggers = &project.brief.policy.spec.triggers;
    let takes = time_to_judge(triggers.window, triggers.consecutive);
    if takes <= Span::from_mins(2) {
        return;
    }
    list.push(Weakness {
        code: Code("BO225"),
        path: spec(&["triggers", "window"]),
        message: format!("a verdict takes {takes}, and users pay for the wait"),
        help: "shorten `triggers.window`, or raise `rollback.harmBudget` if the harm is accepted"
            .to_owned(),
        mend: Box::new(|policy| {
            policy.spec.triggers.window = Span::from_mins(1);
            policy.spec.triggers.consecutive = 2;
        }),
        plant: Box::new(|policy, original| {
            policy.spec.triggers.window = original.spec.triggers.window;
            policy.spec.triggers.consecutive = original.spec.triggers.consecutive;
        }),
    });
}
