//! S10: after cancel or rollback every field that was changed is restored or listed as residue.
//!
//! Why: what is left behind and not named is found by the next release, or by the next incident.
//! Mutants: the list of residue is lost; the configuration is neither restored nor listed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backout_core::machine::{Outcome, Request};
use backout_core::plan::Action;
use backout_core::snapshot::{Arm, PerArm};
use backout_core::units::{Digest, Name, Time};

use super::{About, Finale, Oracle, UNSEEN, View, Violation};
use crate::world::World;

const ABOUT: About = About {
    number: "S10",
    property: "after cancel or rollback every field that was changed is restored or listed as \
               residue",
};

/// S10: after cancel or rollback every field that was changed is restored or listed as residue.
///
/// Stands for K9: aborts that restored a part (argoproj/argo-rollouts#2576, #2781, #2316: the
/// service's selector; #1665: traffic to a canary that was aborted), and for the aftermath that
/// broke a site hours after a rollback that was right (Slack 2020-05-12).
///
/// The world is compared with itself, field by field, and not through the engine's snapshots. A
/// field that somebody else changed counts as well: the engine says how the world differs, not who
/// did it.
#[derive(Debug, Default)]
pub(super) struct Restored {
    before: Option<Box<Fields>>,
    /// When the engine last looked for residue, and what was there to be seen.
    looked: Option<(Time, Box<Fields>)>,
}

/// Everything that a rollout may change.
#[derive(Clone, Debug)]
struct Fields {
    asked_ppm: u32,
    sets: PerArm<Option<u32>>,
    git: String,
    live: String,
    applied: Arc<BTreeSet<String>>,
    flags: Arc<BTreeMap<Name, bool>>,
    modules: Arc<BTreeMap<Name, String>>,
    quarantine: Arc<BTreeSet<Digest>>,
    known_good: Name,
}

impl Oracle for Restored {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        if self.before.is_none() {
            self.before = Some(Box::new(Fields::of(view.world)));
        }
        let step = view.state.track.step().map(|step| &step.action);
        if step == Some(&Action::CheckResidue)
            && view.effects.effects.iter().any(|effect| effect.request == Request::Observe)
        {
            self.looked = Some((view.now, Box::new(Fields::of(view.world))));
        }
        None
    }

    fn finish(&mut self, finale: &Finale<'_>) -> Option<Violation> {
        let went_back =
            matches!(finale.record.outcome, Some(Outcome::Cancelled | Outcome::RolledBack(_)));
        let before = self.before.take().filter(|_| went_back)?;
        let now = finale.world.now;
        let looked = self.looked.take().filter(|(at, _)| now.since(*at) <= UNSEEN);
        let after = looked.map_or_else(|| Box::new(Fields::of(finale.world)), |(_, seen)| seen);
        let mut left = before.differing(&after);
        let listed = &finale.state.residue;
        left.retain(|subject| !listed.iter().any(|residue| residue.subject == *subject));
        if left.is_empty() {
            return None;
        }
        let what = format!("neither restored nor listed as residue: {}", left.join(", "));
        Some(ABOUT.breach(now, what))
    }
}

impl Fields {
    fn of(world: &World) -> Self {
        let size = |arm| world.sets.get(arm).as_ref().map(|set| set.desired);
        Self {
            asked_ppm: world.gateway.asked_ppm,
            sets: PerArm { stable: size(Arm::Stable), candidate: size(Arm::Candidate) },
            git: world.config.git.clone(),
            live: world.config.live.clone(),
            applied: Arc::clone(&world.applied),
            flags: Arc::clone(&world.flags),
            modules: Arc::clone(&world.modules),
            quarantine: Arc::clone(&world.quarantine),
            known_good: world.known_good.clone(),
        }
    }

    /// What differs, by the name that residue has for it.
    fn differing(&self, after: &Self) -> Vec<String> {
        let mut left = Vec::new();
        let mut unless = |same: bool, subject: &str| {
            if !same {
                left.push(subject.to_owned());
            }
        };
        unless(self.asked_ppm == after.asked_ppm, "route");
        unless(self.sets.stable == after.sets.stable, "set of stable");
        unless(self.sets.candidate == after.sets.candidate, "set of candidate");
        unless(self.git == after.git, "configuration in Git");
        unless(self.live == after.live, "configuration that runs");
        unless(self.known_good == after.known_good, "known-good release");
        let migrations = self.applied.symmetric_difference(&after.applied);
        left.extend(migrations.map(|id| format!("migration {id}")));
        let digests = self.quarantine.symmetric_difference(&after.quarantine);
        left.extend(digests.map(|digest| format!("digest {}", digest.short())));
        left.extend(changed(&self.flags, &after.flags).map(|key| format!("flag {key}")));
        left.extend(changed(&self.modules, &after.modules).map(|name| format!("module {name}")));
        left
    }
}

/// Keys whose value is new, gone or another.
fn changed<'a, V: PartialEq>(
    before: &'a BTreeMap<Name, V>,
    after: &'a BTreeMap<Name, V>,
) -> impl Iterator<Item = &'a Name> {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    keys.into_iter().filter(|key| before.get(*key) != after.get(*key))
}

#[cfg(test)]
mod tests {
    use backout_core::machine::{Effects, Machine, Phase};
    use backout_core::plan::{Action, Residue};
    use backout_core::units::Time;

    use super::super::testing::{Bug, Case, assert_clean, assert_found, leave_out, rewrite};

    /// Loses a part of the list of residue.
    #[derive(Clone)]
    struct Silent(fn(&Residue) -> bool);

    impl Bug for Silent {
        fn act(&mut self, machine: &mut Machine, _: Time, effects: Effects) -> Effects {
            if !machine.state().residue.is_empty() {
                rewrite(machine, |state| state.residue.retain(|residue| !(self.0)(residue)));
            }
            effects
        }
    }

    /// Does not restore the configuration, and does not say so.
    #[derive(Clone)]
    struct Sloppy;

    impl Bug for Sloppy {
        fn act(&mut self, machine: &mut Machine, now: Time, effects: Effects) -> Effects {
            if machine.state().phase == Phase::Back {
                leave_out(machine, |action| matches!(action, Action::SetConfig { .. }));
            }
            Silent(|residue| residue.subject.starts_with("configuration"))
                .act(machine, now, effects)
        }
    }

    #[test]
    fn the_machine_restores_or_lists() {
        for fault in ["smoke-test-fails", "error-rate", "module-breaks-app", "bad-values-commit"] {
            assert_clean(&Case::fault(fault).run());
        }
    }

    #[test]
    fn an_engine_that_loses_residue_is_caught() {
        for fault in ["smoke-test-fails", "error-rate", "module-breaks-app", "bad-values-commit"] {
            assert_found(&Case::fault(fault).run_with(Silent(|_| true)), "S10");
        }
    }

    #[test]
    fn an_engine_that_keeps_the_configuration_is_caught() {
        let record = Case::fault("error-rate").run_with(Sloppy);
        assert_found(&record, "S10");
        let found = record.violations.iter().find(|violation| violation.oracle == "S10");
        let what = found.map(|violation| violation.what.as_str()).unwrap_or_default();
        assert!(what.contains("configuration in Git, configuration that runs"), "{what}");
    }
}
