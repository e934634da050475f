//! Crash exhaustion: for every fault, the controller is crashed at every single effect boundary.

use backout_core::units::Span;
use backout_sim::faults::{ControllerCrash, CrashAt, CrashPoint, Fault, catalogue};
use backout_sim::rehearse::{AnswerKey, Class, Options, Project, rehearse};
use backout_sim::scenario::{FaultPlan, PlannedFault, Trigger};

use crate::example::checkout;

const OPTIONS: Options = Options { seed: 1, journal: false, forks: false };

/// The fault plan with a crash put into it.
fn crashing(plan: &FaultPlan, effect: u32, point: CrashPoint, down: Span) -> FaultPlan {
    let mut plan = plan.clone();
    plan.name = format!("{}, crash at effect {effect} {point:?}", plan.name);
    plan.faults.push(PlannedFault {
        when: Trigger::Start {},
        fault: Fault::ControllerCrash(ControllerCrash {
            at: CrashAt::Effect(effect),
            point,
            down,
            bad_release: false,
        }),
    });
    plan
}

/// Crashes one fault's run everywhere; gives back what went wrong and how many runs there were.
fn crash_everywhere(project: &Project, plan: &FaultPlan, key: &AnswerKey) -> (Vec<String>, u32) {
    let calm = rehearse(project, plan, key, OPTIONS).expect("a plan");
    let mut wrong = Vec::new();
    let mut runs = 0;
    for effect in 0..calm.record.effects {
        for point in [CrashPoint::BeforeStore, CrashPoint::BeforePerform, CrashPoint::AfterPerform]
        {
            let run = rehearse(
                project,
                &crashing(plan, effect, point, Span::from_secs(10)),
                key,
                OPTIONS,
            )
            .expect("a plan");
            runs += 1;
            if !run.is_as_expected() {
                wrong.push(format!("{}: {:?}", run.name, run.unexpected));
            }
        }
    }
    (wrong, runs)
}

#[test]
fn every_oracle_holds_at_every_crash_point_of_every_fault() {
    let project = checkout();
    let mut plans = vec![(FaultPlan::none(), AnswerKey::OraclesOnly)];
    plans.extend(
        catalogue()
            .iter()
            .filter(|named| named.name != "controller-crash")
            .map(|named| (FaultPlan::from(named), AnswerKey::Fault(named.about.expected))),
    );
    let (mut wrong, mut runs) = (Vec::new(), 0);
    for (plan, key) in &plans {
        let (found, made) = crash_everywhere(&project, plan, key);
        wrong.extend(found);
        runs += made;
    }
    println!("{runs} runs with a crash");
    assert!(runs > 5_000, "only {runs} runs: the exhaustion lost its ground");
    assert!(
        wrong.is_empty(),
        "{} of {runs}:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}

/// While the controller is gone nobody goes back, so that harm and time are no measure. Nothing may
/// be given up, skipped or promoted because of the lost time, though.
#[test]
fn a_long_outage_is_never_unsafe_and_never_wedges() {
    let project = checkout();
    let down = Span::from_mins(15);
    let mut wrong = Vec::new();
    for named in catalogue().iter().filter(|named| named.name != "controller-crash") {
        let plan = FaultPlan::from(named);
        let calm = rehearse(&project, &plan, &AnswerKey::OraclesOnly, OPTIONS).expect("a plan");
        for effect in (0..calm.record.effects).step_by(3) {
            let plan = crashing(&plan, effect, CrashPoint::BeforePerform, down);
            let run = rehearse(&project, &plan, &AnswerKey::OraclesOnly, OPTIONS).expect("a plan");
            if matches!(run.class, Class::Unsafe | Class::Wedged) {
                wrong.push(format!("{}: {:?}", run.name, run.unexpected));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
}
