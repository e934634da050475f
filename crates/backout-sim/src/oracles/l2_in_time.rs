//! L2: a bad signal leads to zero bad traffic within the policy's time.
//!
//! Why: between the decision and the moved traffic, users are still harmed.
//! Mutant: the write of the route is put off for minutes.

use backout_core::journal::Event as Entry;
use backout_core::machine::Outcome;
use backout_core::plan::Pattern;
use backout_core::units::{Span, Time};

use super::{About, Finale, Oracle, View, Violation};

const ABOUT: About = About {
    number: "L2",
    property: "a bad signal leads to zero bad traffic within the policy's time",
};

/// L2: a bad signal leads to zero bad traffic within the policy's time: `rollback.within`, from
/// the decision to go back until no user is served badly any more. The data plane may take its own
/// time on top, twice: once for what was under way, once for the way back.
///
/// Stands for K15 and K19: a rollback that is undone by self-heal (argoproj/argo-cd#5351), and
/// propagation that goes on long after the write (OpenAI 2024-12-11).
///
/// - A rollback that is undone counts from the decision to the last moment of bad service.
/// - A release that keeps its traffic, with a flag turned off or its configuration restored, is
///   back when it serves well again. What is left below the signals' limits is not held against it.
/// - A run that is held for a person is exempt: the person's time is not the engine's. If the
///   person then says `rollback`, the time runs from there.
#[derive(Debug, Default)]
pub(super) struct InTime {
    /// When the newest decision to go back was made.
    decided: Option<Time>,
    /// Since when nobody is served badly.
    safe: Option<Time>,
}

impl Oracle for InTime {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        let mut records = view.effects.records.iter();
        if records.any(|record| matches!(record, Entry::Triggered { .. })) {
            (self.decided, self.safe) = (Some(view.now), None);
        }
        if self.decided.is_some() {
            self.safe = match self.safe {
                _ if view.world.serves_badly() => None,
                None => Some(view.now),
                since => since,
            };
        }
        None
    }

    fn finish(&mut self, finale: &Finale<'_>) -> Option<Violation> {
        let decided = self.decided?;
        let stays = match &finale.record.outcome {
            Some(Outcome::Held(_) | Outcome::Promoted) => return None,
            Some(Outcome::RolledBack(pattern)) => {
                matches!(pattern, Pattern::Config | Pattern::DataAware)
            }
            Some(Outcome::Cancelled | Outcome::RolledForward | Outcome::RollbackFailed(_))
            | None => false,
        };
        let limit = allowed(finale);
        let what = match self.safe {
            Some(safe) if safe.since(decided) <= limit => return None,
            Some(safe) => format!("users are safe {} after the decision", safe.since(decided)),
            None if stays => return None,
            None => "users are still served badly at the end".to_owned(),
        };
        Some(ABOUT.breach(finale.world.now, format!("{what}, {limit} is allowed")))
    }
}

/// The policy's time, and what the data plane needs.
fn allowed(finale: &Finale<'_>) -> Span {
    let within = finale.world.brief.policy.spec.rollback.within;
    within.saturating_add(finale.world.spec.route_propagation.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use backout_core::machine::{Effect, Effects, Machine, Request, TimerReason};
    use backout_core::plan::Action;
    use backout_core::units::{Span, Time, Weight};

    use super::super::testing::{Bug, Case, assert_clean, assert_found};

    /// Puts the return of traffic off.
    #[derive(Clone, Default)]
    struct Slow {
        held: Vec<(Time, Effect)>,
    }

    impl Bug for Slow {
        fn act(&mut self, _: &mut Machine, now: Time, mut effects: Effects) -> Effects {
            let due = now + Span::from_mins(3);
            let back = Request::Apply(Action::SetWeight { candidate: Weight::ZERO });
            let (held, rest) = effects.effects.into_iter().partition(|one| one.request == back);
            effects.effects = rest;
            for effect in held {
                self.held.push((due, effect));
                // The machine waits for no such timer, so that it only wakes the bug.
                effects.arms.push((due, TimerReason::HoldDeadline));
            }
            while self.held.first().is_some_and(|(due, _)| *due <= now) {
                effects.effects.push(self.held.remove(0).1);
            }
            effects
        }
    }

    #[test]
    fn the_machine_is_in_time() {
        for fault in ["error-rate", "latency", "gitops-undoes-rollback", "bad-values-commit"] {
            assert_clean(&Case::fault(fault).run());
        }
        assert_clean(&Case::fault("migration-breaks-stable").run());
        assert_clean(&Case::fault("migration-without-flag").run());
    }

    #[test]
    fn an_engine_that_takes_its_time_is_caught() {
        assert_found(&Case::fault("error-rate").run_with(Slow::default()), "L2");
    }
}
