//! S11: harm stays within the policy's budget.
//!
//! Why: a rollback that works, but only after too many users were harmed, is no rollback.
//! Mutant: alarms are ignored.

use super::{About, Finale, Oracle, View, Violation};

const ABOUT: About =
    About { number: "S11", property: "harm (bad requests) stays within the policy's budget" };

/// S11: harm stays within the policy's budget: requests that failed or were slow because of the
/// release, against `rollback.harmBudget`.
///
/// Stands for K10 and K19 as users feel them: a verdict that comes late or gets lost on its way
/// while traffic rises (Google Compute Engine 16007), and a way back that takes its time (Roblox
/// 2021, OpenAI 2024-12-11).
///
/// A run that is held for a person ends there: harm counts up to the moment at which the person is
/// paged, because from then on the time is no longer the engine's.
#[derive(Debug, Default)]
pub(super) struct HarmBudget {}

impl Oracle for HarmBudget {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, _: &View<'_>) -> Option<Violation> {
        None
    }

    fn finish(&mut self, finale: &Finale<'_>) -> Option<Violation> {
        let budget = finale.world.brief.policy.spec.rollback.harm_budget;
        let harm = finale.world.harm.by_release;
        (harm > budget).then(|| {
            let what =
                format!("the release cost users {harm} bad requests, the budget is {budget}");
            ABOUT.breach(finale.world.now, what)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backout_core::judgement::{Judge, Judgement, Question, Verdict};
    use backout_judge::Windows;

    use super::super::testing::{Case, assert_clean, assert_found};

    /// Never says that a signal fails.
    #[derive(Debug)]
    struct Deaf;

    impl Judge for Deaf {
        fn name(&self) -> &'static str {
            "deaf"
        }

        fn judge(&self, question: &Question<'_>) -> Judgement {
            let mut judgement = Windows.judge(question);
            if judgement.verdict == Verdict::Fail {
                judgement.verdict = Verdict::Inconclusive;
            }
            judgement
        }
    }

    #[test]
    fn the_machine_stays_within_the_budget() {
        for fault in ["error-rate", "error-rate-late", "latency"] {
            let record = Case::fault(fault).run();
            assert_clean(&record);
            assert!(record.bad_requests > 0, "{fault} harms nobody");
        }
    }

    #[test]
    fn a_judge_that_never_fails_a_signal_is_caught() {
        assert_found(&Case::fault("error-rate").judged_by(Arc::new(Deaf)).run(), "S11");
    }

    #[test]
    fn harm_until_a_person_is_paged_counts() {
        let mut case = Case::fault("migration-without-flag");
        assert_clean(&case.run());
        Arc::make_mut(&mut case.brief.policy).spec.rollback.harm_budget = 1;
        assert_found(&case.run(), "S11");
    }
}
