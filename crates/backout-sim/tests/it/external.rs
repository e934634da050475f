//! What a pipeline carries out itself is neither done nor taken back, and is said to stay.

use std::sync::Arc;

use backout_core::machine::Outcome;
use backout_core::plan::Action;
use backout_core::policy::External;
use backout_sim::faults::catalogue;
use backout_sim::rehearse::{AnswerKey, Options, Project, Rehearsed, rehearse};
use backout_sim::scenario::FaultPlan;

use crate::example::checkout;

fn leaving_out(parts: &[External]) -> Project {
    let mut project = checkout();
    let mut brief = (*project.brief).clone();
    Arc::make_mut(&mut brief.policy).spec.external = parts.to_vec();
    project.brief = Arc::new(brief);
    project
}

fn run(project: &Project, fault: &str) -> Rehearsed {
    let named = catalogue();
    let found = named.iter().find(|named| named.name == fault).map(FaultPlan::from);
    let plan = found.unwrap_or_else(FaultPlan::none);
    let options = Options { seed: 1, journal: true, forks: true };
    rehearse(project, &plan, &AnswerKey::OraclesOnly, options).expect("a plan")
}

#[test]
fn the_plan_has_no_step_for_what_is_left_out() {
    let before = leaving_out(&[]);
    assert_eq!(before.brief.undriven(&[]).len(), 4, "the example changes every part");
    assert_eq!(before.brief.undriven(&External::ALL), []);
    let project = leaving_out(&External::ALL);
    assert_eq!(project.brief.undriven(&[]), []);
    let healthy = run(&project, "none");
    assert_eq!(healthy.record.outcome, Some(Outcome::Promoted));
    assert_eq!(healthy.record.violations, []);
    let drives = |action: &Action| {
        matches!(
            action,
            Action::SetModule { .. }
                | Action::Migrate { .. }
                | Action::SetConfig { .. }
                | Action::SetFlag { .. }
        )
    };
    assert!(!healthy.plan.steps.iter().any(|step| drives(&step.action)));
}

#[test]
fn going_back_leaves_it_alone_and_says_so() {
    let rehearsed = run(&leaving_out(&External::ALL), "error-rate");
    assert!(matches!(rehearsed.record.outcome, Some(Outcome::RolledBack(_))));
    let told = serde_json::to_string(rehearsed.journal()).expect("JSON");
    assert!(told.contains("stays: the policy leaves it to the pipeline"), "{told}");
    assert!(!told.contains("setConfig"), "{told}");
}
