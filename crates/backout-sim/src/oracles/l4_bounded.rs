//! L4: nothing stays "progressing" for ever.
//!
//! Why: a rollout that neither goes on nor goes back is one that nobody watches any more.
//! Mutant: deadlines are not armed.

use super::{About, Finale, Oracle, View, Violation};

const ABOUT: About = About { number: "L4", property: "nothing stays progressing for ever" };

/// L4: nothing stays "progressing" for ever: every run comes to an outcome.
///
/// Stands for K11 and K13: a rollout stuck in its promotion that cannot be taken back
/// (fluxcd/flagger#1588), one whose progress deadline never fires (argoproj/argo-rollouts#4750),
/// and a lost event that nothing makes up for (argoproj/argo-rollouts#3316).
///
/// A policy may take its deadlines away (`none`); then it is the policy that this oracle finds.
#[derive(Debug, Default)]
pub(super) struct Bounded {}

impl Oracle for Bounded {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, _: &View<'_>) -> Option<Violation> {
        None
    }

    fn finish(&mut self, finale: &Finale<'_>) -> Option<Violation> {
        let record = finale.record;
        let what = if record.cut_off {
            let waits = match record.waiting_for.as_str() {
                "" => "nothing that it names",
                waiting_for => waiting_for,
            };
            format!("still progressing at the end, waiting for: {waits}")
        } else if finale.state.is_at_rest() && record.outcome.is_none() {
            "at rest without an outcome".to_owned()
        } else {
            return None;
        };
        Some(ABOUT.breach(finale.world.now, what))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backout_core::machine::{Effects, Machine, TimerReason};
    use backout_core::units::{Limit, Time};

    use super::super::testing::{Bug, Case, assert_clean, assert_found};

    /// Arms no deadline.
    #[derive(Clone)]
    struct Timeless;

    impl Bug for Timeless {
        fn act(&mut self, _: &mut Machine, _: Time, mut effects: Effects) -> Effects {
            effects.arms.retain(|(_, reason)| {
                !matches!(reason, TimerReason::StepDeadline | TimerReason::RolloutDeadline)
            });
            effects
        }
    }

    #[test]
    fn the_machine_comes_to_an_end() {
        for fault in ["readiness-never", "metrics-absent", "too-few-requests"] {
            assert_clean(&Case::fault(fault).run());
        }
    }

    #[test]
    fn an_engine_without_deadlines_is_caught() {
        assert_found(&Case::fault("readiness-never").run_with(Timeless), "L4");
    }

    #[test]
    fn a_policy_without_deadlines_is_caught() {
        let mut case = Case::fault("readiness-never");
        let deadlines = &mut Arc::make_mut(&mut case.brief.policy).spec.deadlines;
        deadlines.readiness = Limit::None;
        deadlines.rollout = Limit::None;
        assert_found(&case.run(), "L4");
    }
}
