//! S3: the last known good stays restorable until the release is sealed.
//!
//! Why: going back is a route change only for as long as there is something to go back to.
//! Mutant: the previous release is scaled down at promotion.

use backout_core::machine::Outcome;
use backout_core::plan::Brief;
use backout_core::units::Time;

use super::{About, Oracle, View, Violation};

const ABOUT: About = About {
    number: "S3",
    property: "the last known good stays restorable until the release is sealed",
};

/// S3: the last known good stays restorable until the release is sealed: its set stands at the size
/// that it had, and none of its digests is put in quarantine, until `rollback.keepPrevious` has
/// passed since the promotion.
///
/// Stands for K8 and K11: an abort that scaled the stable release to zero
/// (argoproj/argo-rollouts#1292), and a rollout from which no way led back because what it leads
/// to was gone (fluxcd/flagger#1588, fluxcd/flagger#639).
#[derive(Debug, Default)]
pub(super) struct Restorable {
    /// Replicas of the stable release at the start.
    size: Option<u32>,
    /// Since when the candidate is the promoted one.
    promoted: Option<Time>,
    sealed: bool,
    reported: bool,
}

impl Oracle for Restorable {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        let what = self.missing(view).filter(|_| !self.reported)?;
        self.reported = true;
        Some(ABOUT.breach(view.now, what))
    }
}

impl Restorable {
    fn missing(&mut self, view: &View<'_>) -> Option<String> {
        let stands = view.world.sets.stable.as_ref().map(|set| set.desired);
        let size = *self.size.get_or_insert(stands.unwrap_or(0));
        self.promoted = match view.state.outcome {
            Some(Outcome::Promoted) => self.promoted.or(Some(view.now)),
            _ => None,
        };
        let brief = &view.world.brief;
        let keep = brief.policy.spec.rollback.keep_previous;
        self.sealed |= self.promoted.is_some_and(|promoted| view.now.since(promoted) >= keep);
        if self.sealed {
            return None;
        }
        match stands {
            None if size > 0 => Some("the set of stable is gone".to_owned()),
            Some(desired) if desired < size => {
                Some(format!("the set of stable has {desired} replicas, had {size}"))
            }
            _ => quarantined(brief, view),
        }
    }
}

fn quarantined(brief: &Brief, view: &View<'_>) -> Option<String> {
    let held = &view.world.quarantine;
    let mut digests = brief.stable.spec.images.iter().map(|image| &image.digest);
    digests
        .find(|digest| held.contains(*digest))
        .map(|digest| format!("digest {} of stable is in quarantine", digest.short()))
}

#[cfg(test)]
mod tests {
    use backout_core::machine::{Effects, Input, Machine, Precondition, Request};
    use backout_core::plan::{Action, ScalePurpose};
    use backout_core::snapshot::Arm;
    use backout_core::units::Time;

    use super::super::testing::{
        Bug, Case, assert_clean, assert_found, extra, has_promoted, precondition_of,
    };

    /// Scales the previous release down at promotion.
    #[derive(Clone, Default)]
    struct Tidy {
        stable: Option<Precondition>,
    }

    impl Bug for Tidy {
        fn hear(&mut self, _: &mut Machine, _: Time, input: Input) -> Option<Input> {
            self.stable = precondition_of(&input, Arm::Stable).or(self.stable);
            Some(input)
        }

        fn act(&mut self, machine: &mut Machine, _: Time, mut effects: Effects) -> Effects {
            if has_promoted(&effects) {
                let purpose = ScalePurpose::CleanUp;
                let action = Action::Scale { arm: Arm::Stable, replicas: 0, purpose };
                let mut effect = extra(machine, 0, Request::Apply(action));
                effect.precondition = self.stable;
                effects.effects.push(effect);
            }
            effects
        }
    }

    #[test]
    fn the_machine_keeps_the_previous_release() {
        assert_clean(&Case::healthy().run());
        assert_clean(&Case::fault("error-rate-after-promotion").run());
    }

    #[test]
    fn an_engine_that_tidies_up_at_promotion_is_caught() {
        assert_found(&Case::healthy().run_with(Tidy::default()), "S3");
    }
}
