//! L1: without faults the candidate is promoted.
//!
//! Why: an engine that never promotes is safe, and of no use.
//! Mutant: answers of gates are lost.

use backout_core::journal::Event as Entry;
use backout_core::machine::{Command, Outcome};
use backout_core::plan::{Action, Plan};

use super::{About, Finale, Oracle, View, Violation};

const ABOUT: About = About { number: "L1", property: "without faults the candidate is promoted" };

/// L1: without faults the candidate is promoted.
///
/// Stands for F5 and K10: canaries that never get promoted although nothing is wrong
/// (argoproj/argo-rollouts#3015, stuck; #1905, reverted for want of traffic).
///
/// A plan that asks a person cannot go on where nobody answers, and a person may pause a good
/// release or give it up; neither is a breach.
#[derive(Debug, Default)]
pub(super) struct Promotes {
    /// Whether a person stood in the way.
    stopped: bool,
}

impl Oracle for Promotes {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        self.stopped |= view.effects.records.iter().any(stops);
        None
    }

    fn finish(&mut self, finale: &Finale<'_>) -> Option<Violation> {
        let record = finale.record;
        let nobody = finale.world.spec.people_answer_after.is_none() && asks(finale.plan);
        if !finale.faults.faults.is_empty()
            || nobody
            || self.stopped
            || matches!(record.outcome, Some(Outcome::Promoted))
        {
            return None;
        }
        let ended = record.outcome.as_ref().map_or_else(
            || format!("it still waits: {}", record.waiting_for),
            |outcome| format!("it ended {outcome}"),
        );
        let why = record.cause.as_ref().map_or_else(String::new, |cause| format!(" ({cause})"));
        let what = format!("without a fault the candidate is not promoted: {ended}{why}");
        Some(ABOUT.breach(finale.world.now, what))
    }
}

fn stops(record: &Entry) -> bool {
    let Entry::Commanded { command } = record else { return false };
    match command {
        Command::Pause | Command::Abort | Command::Rollback => true,
        Command::Promote | Command::Resume | Command::Seal => false,
    }
}

fn asks(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.action, Action::Approve { .. }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backout_core::machine::{EffectResult, Input, Machine, Outcome};
    use backout_core::policy::{Approval, CanaryStep, OnDeadline};
    use backout_core::units::{Limit, Span, Time};

    use super::super::testing::{Bug, Case, assert_clean, assert_found};

    /// Does not hear what gates say.
    #[derive(Clone)]
    struct Deaf;

    impl Bug for Deaf {
        fn hear(&mut self, _: &mut Machine, _: Time, input: Input) -> Option<Input> {
            match &input {
                Input::Done { result: EffectResult::Gate(_), .. } => None,
                Input::Start
                | Input::Observed(_)
                | Input::Done { .. }
                | Input::Timer(_)
                | Input::Command(_)
                | Input::Restarted => Some(input),
            }
        }
    }

    #[test]
    fn the_machine_promotes() {
        let record = Case::healthy().run();
        assert_eq!(record.outcome, Some(Outcome::Promoted));
        assert_clean(&record);
    }

    #[test]
    fn an_engine_that_does_not_hear_gates_is_caught() {
        assert_found(&Case::healthy().run_with(Deaf), "L1");
    }

    #[test]
    fn where_nobody_answers_nothing_is_promoted() {
        let mut case = Case::healthy();
        let strategy = &mut Arc::make_mut(&mut case.brief.policy).spec.strategy;
        let canary = strategy.canary.as_mut().expect("the small project has a canary");
        let within = Limit::Within(Span::from_hours(1));
        let approve = Some(Approval { within, then: OnDeadline::Rollback });
        canary.steps.insert(2, CanaryStep { approve, ..CanaryStep::default() });
        assert_eq!(case.run().outcome, Some(Outcome::Promoted));
        case.world.people_answer_after = None;
        let record = case.run();
        assert_ne!(record.outcome, Some(Outcome::Promoted));
        assert_clean(&record);
    }
}
