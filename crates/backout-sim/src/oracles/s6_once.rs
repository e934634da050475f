//! S6: replay of the journal causes no second external effect.
//!
//! Why: a controller that crashes, or does not hear the answer, must not do twice what it did.
//! Mutant: after a restart, a message that was under way goes out under a new id.

use std::collections::BTreeSet;

use backout_core::journal::Event as Entry;
use backout_core::machine::{EffectId, Phase};

use super::{About, Oracle, View, Violation};
use crate::world::Happening;

const ABOUT: About =
    About { number: "S6", property: "replay of the journal causes no second external effect" };

/// S6: replay of the journal causes no second external effect: no effect is performed twice, and
/// none on a world that is already as the effect wants it.
///
/// Stands for K3 and K5: a crash between two writes (the intermediate states of Sieve, OSDI 2022),
/// and an answer that was lost after the effect (`commit_unknown_result` of FoundationDB); also
/// for K1, a decision on a read that is older than the engine's own write
/// (argoproj/argo-rollouts#720).
///
/// A message is the one effect that may be repeated on purpose: a second hold may say the same as
/// the first. Twice after a restart, or twice on the way back, is a replay.
#[derive(Debug, Default)]
pub(super) struct Once {
    performed: BTreeSet<EffectId>,
    reported: bool,
}

impl Oracle for Once {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        let mut found = None;
        for news in view.news {
            let Happening::Performed { effect, what, redundant, .. } = news else { continue };
            let again = !self.performed.insert(*effect);
            if again {
                found.get_or_insert_with(|| format!("{effect} is performed twice: {what}"));
            } else if *redundant && !is_said_again(view, what) {
                found.get_or_insert_with(|| format!("{effect} was done before: {what}"));
            }
        }
        let what = found.filter(|_| !self.reported)?;
        self.reported = true;
        Some(ABOUT.breach(view.now, what))
    }
}

/// Whether the engine may have meant to say the same again.
fn is_said_again(view: &View<'_>, what: &str) -> bool {
    let restarted =
        view.effects.records.iter().any(|record| matches!(record, Entry::Restarted { .. }));
    what.starts_with("notify: ") && !restarted && view.state.phase != Phase::Back
}

#[cfg(test)]
mod tests {
    use backout_core::journal::Event as Entry;
    use backout_core::machine::{EffectId, Effects, Machine, Request};
    use backout_core::plan::Action;
    use backout_core::units::Time;

    use super::super::testing::{Bug, Case, assert_clean, assert_found, number_of};
    use crate::faults::CrashPoint;

    /// Sends what was under way at a crash under a new id.
    #[derive(Clone)]
    struct Forgetful;

    impl Bug for Forgetful {
        fn act(&mut self, _: &mut Machine, _: Time, mut effects: Effects) -> Effects {
            let restarted =
                effects.records.iter().any(|record| matches!(record, Entry::Restarted { .. }));
            for effect in effects.effects.iter_mut().filter(|_| restarted) {
                if matches!(effect.request, Request::Apply(Action::Notify { .. })) {
                    effect.id = EffectId(effect.id.0 + 1_000_000);
                }
            }
            effects
        }
    }

    fn crash_at_the_message() -> Case {
        let number = number_of(&Case::fault("error-rate").run(), |request| {
            matches!(request, Request::Apply(Action::Notify { .. }))
        });
        Case::crash(number, CrashPoint::AfterPerform, true)
    }

    #[test]
    fn the_machine_takes_up_what_was_under_way() {
        assert_clean(&crash_at_the_message().run());
        assert_clean(&Case::fault("controller-crash").run());
    }

    #[test]
    fn an_engine_that_forgets_ids_is_caught() {
        assert_found(&crash_at_the_message().run_with(Forgetful), "S6");
    }
}
