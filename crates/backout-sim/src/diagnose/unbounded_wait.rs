//! A step that can wait for ever: no deadline of its own, none of the rollout, and missing data
//! decides nothing.

use backout_core::document::FieldPath;
use backout_core::finding::Code;
use backout_core::policy::{Analysis, Deadlines, NoData, NoDataAction, ReleasePolicy};
use backout_core::units::Limit;

use super::{Weakness, spec};
use crate::rehearse::Project;

pub(super) fn find(project: &Project, list: &mut Vec<Weakness>) {
    let policy = &project.brief.policy.spec;
    if policy.deadlines.rollout != Limit::None {
        return;
    }
    if policy.deadlines.step == Limit::None {
        list.push(Weakness {
            code: Code("BO211"),
            path: waiting_step(&project.brief.policy),
            message: "this step can wait for ever".to_owned(),
            help: "set `deadlines.step`, or `triggers.noData`".to_owned(),
            mend: Box::new(|policy| {
                let safe = Deadlines::default();
                policy.spec.deadlines.step = safe.step;
                policy.spec.deadlines.rollout = safe.rollout;
                let no_data = &mut policy.spec.triggers.no_data;
                if no_data.then == NoDataAction::Wait || no_data.after == Limit::None {
                    *no_data = NoData::default();
                }
            }),
            plant: Box::new(|policy, original| {
                policy.spec.deadlines.step = original.spec.deadlines.step;
                policy.spec.deadlines.rollout = original.spec.deadlines.rollout;
                policy.spec.triggers.no_data = original.spec.triggers.no_data.clone();
            }),
        });
    }
    if policy.deadlines.readiness == Limit::None {
        list.push(Weakness {
            code: Code("BO212"),
            path: spec(&["deadlines", "readiness"]),
            message: "pods that never get ready are waited for, for ever".to_owned(),
            help: "set `deadlines.readiness`".to_owned(),
            mend: Box::new(|policy| {
                let safe = Deadlines::default();
                policy.spec.deadlines.readiness = safe.readiness;
                policy.spec.deadlines.rollout = safe.rollout;
            }),
            plant: Box::new(|policy, original| {
                policy.spec.deadlines.readiness = original.spec.deadlines.readiness;
                policy.spec.deadlines.rollout = original.spec.deadlines.rollout;
            }),
        });
    }
}

/// The step that has no length of its own, or else the first that judges.
fn waiting_step(policy: &ReleasePolicy) -> FieldPath {
    let strategy = &policy.spec.strategy;
    let Some(canary) = &strategy.canary else {
        return spec(&["strategy", "blueGreen", "analyse"]);
    };
    let open = canary.steps.iter().position(|step| step.analyse == Some(Analysis::UntilPass));
    let any = canary.steps.iter().position(|step| step.analyse.is_some());
    match open.or(any) {
        Some(index) => spec(&["strategy", "canary", "steps"]).index(index).key("analyse"),
        None => spec(&["strategy", "canary", "steps"]),
    }
}
