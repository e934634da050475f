//! S8: no automatic rollback across a point of no return.
//!
//! Why: old code on new data is a second outage, and what it writes cannot be taken back.
//! Mutants: a hold becomes a return of traffic; nobody is asked before the point is crossed.

use backout_core::journal::Event as Entry;
use backout_core::machine::Command;
use backout_core::plan::Brief;
use backout_core::release::{Migration, ModuleChange, PreviousRelease};
use backout_core::units::Name;

use super::{About, Oracle, View, Violation};
use crate::world::{Happening, World};

const ABOUT: About =
    About { number: "S8", property: "no automatic rollback across a point of no return" };

/// S8: no automatic rollback across a point of no return, and no way across it that a person did
/// not agree to.
///
/// Stands for K20: code goes back and data does not (Stripe 2019-07-10, whose second outage was
/// the rollback; val.town 2025-04-02; GitHub 2018-10-21).
///
/// What counts as crossed is worked out anew, from what is applied in the world and from whether
/// the route ever asked for user traffic: a schema that old code cannot run on is crossed at
/// once, one that it cannot run on after the candidate has written is crossed with the first
/// traffic. A person's command does not lift it either: the way back of such a release is a
/// restore, and no route change.
#[derive(Debug, Default)]
pub(super) struct NoReturn {
    boundaries: Option<Vec<Boundary>>,
    /// Share of the candidate that the route asks for, in parts per million.
    asked_ppm: u32,
    /// Whether that was ever above zero.
    exposed: bool,
    /// Whether a person agreed to go on.
    agreed: bool,
    reported: bool,
}

/// Something from which no route change leads back.
#[derive(Debug)]
struct Boundary {
    crossing: Crossing,
    /// Whether only data that the candidate writes makes it one.
    on_write: bool,
    /// Whether a person must have agreed. Not where a flag keeps the candidate from writing: then
    /// the flag is the way back.
    to_agree: bool,
}

#[derive(Debug)]
enum Crossing {
    /// A migration, by id.
    Migration(String),
    /// A module at a version.
    Module(Name, String),
}

impl Oracle for NoReturn {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        let boundaries = self.boundaries.get_or_insert_with(|| boundaries(&view.world.brief));
        if boundaries.is_empty() || self.reported {
            return None;
        }
        self.agreed |= view
            .effects
            .records
            .iter()
            .any(|record| matches!(record, Entry::Commanded { command: Command::Promote }));
        let what = view.news.iter().find_map(|news| self.takes(news, view.world))?;
        self.reported = true;
        Some(ABOUT.breach(view.now, what))
    }
}

impl NoReturn {
    /// Takes note of what was done; says what is wrong with it.
    fn takes(&mut self, news: &Happening, world: &World) -> Option<String> {
        let goes_back = match *news {
            Happening::Routed { ppm, by_engine, .. } => {
                let before = std::mem::replace(&mut self.asked_ppm, ppm);
                self.exposed |= ppm > 0;
                by_engine && ppm < before
            }
            Happening::Performed { .. } => false,
            Happening::Scaled { .. } => return None,
        };
        let mut boundaries = self.boundaries.iter().flatten();
        boundaries.find_map(|boundary| {
            let crossed = boundary.is_applied(world) && (self.exposed || !boundary.on_write);
            if crossed && goes_back {
                Some(format!("traffic goes back by itself across {}", boundary.crossing))
            } else if boundary.is_applied(world) && boundary.to_agree && !self.agreed {
                Some(format!("nobody agreed to {}", boundary.crossing))
            } else {
                None
            }
        })
    }
}

impl Boundary {
    fn is_applied(&self, world: &World) -> bool {
        match &self.crossing {
            Crossing::Migration(id) => world.applied.contains(id),
            Crossing::Module(name, version) => world.modules.get(name) == Some(version),
        }
    }
}

impl std::fmt::Display for Crossing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Migration(id) => write!(f, "migration {id}"),
            Self::Module(name, version) => write!(f, "module {name} {version}"),
        }
    }
}

fn boundaries(brief: &Brief) -> Vec<Boundary> {
    let migrations = brief.candidate.new_migrations(&brief.stable).filter_map(boundary);
    let changes = brief.candidate.changed_modules(&brief.stable);
    let destroyed = changes.iter().filter(|(_, change)| *change == ModuleChange::Destructive);
    let modules = destroyed.map(|(module, _)| Boundary {
        crossing: Crossing::Module(module.name.clone(), module.version.clone()),
        on_write: false,
        to_agree: true,
    });
    migrations.chain(modules).collect()
}

fn boundary(migration: &Migration) -> Option<Boundary> {
    let on_write = match migration.previous_release {
        PreviousRelease::Works => return None,
        PreviousRelease::WorksUntilWritten | PreviousRelease::DependsOnData => true,
        PreviousRelease::WritesFail
        | PreviousRelease::ReadsFail
        | PreviousRelease::DataDestroyed
        | PreviousRelease::Unknown => false,
    };
    Some(Boundary {
        crossing: Crossing::Migration(migration.id.clone()),
        on_write,
        to_agree: !(on_write && migration.guarded_by.is_some()),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backout_core::journal::Event as Entry;
    use backout_core::machine::{Effects, Input, Machine, Request};
    use backout_core::plan::Action;
    use backout_core::release::{Migration, PreviousRelease};
    use backout_core::units::{Time, Weight};

    use super::super::testing::{Bug, Case, assert_clean, assert_found, extra, leave_out};

    /// Sends traffic back instead of holding.
    #[derive(Clone)]
    struct Impatient;

    impl Bug for Impatient {
        fn act(&mut self, machine: &mut Machine, _: Time, mut effects: Effects) -> Effects {
            let held = effects.records.iter().any(|record| matches!(record, Entry::Held { .. }));
            if held {
                let action = Action::SetWeight { candidate: Weight::ZERO };
                let mut effect = extra(machine, 0, Request::Apply(action));
                effect.precondition = None;
                effects.effects.push(effect);
            }
            effects
        }
    }

    /// Asks nobody.
    #[derive(Clone)]
    struct Presumptuous;

    impl Bug for Presumptuous {
        fn hear(&mut self, machine: &mut Machine, _: Time, input: Input) -> Option<Input> {
            if input == Input::Start {
                leave_out(machine, |action| matches!(action, Action::Approve { .. }));
            }
            Some(input)
        }
    }

    /// The small project with a migration of this class, in a release that turns out bad.
    fn bad_release_with(previous_release: PreviousRelease) -> Case {
        let mut case = Case::fault("error-rate");
        Arc::make_mut(&mut case.brief.candidate).spec.migrations.push(Migration {
            id: "0009_drop".to_owned(),
            file: None,
            previous_release,
            guarded_by: None,
        });
        case
    }

    #[test]
    fn the_machine_stops_at_a_point_of_no_return() {
        assert_clean(&Case::fault("migration-without-flag").run());
        assert_clean(&Case::fault("migration-breaks-stable").run());
        for class in [
            PreviousRelease::WorksUntilWritten,
            PreviousRelease::DependsOnData,
            PreviousRelease::WritesFail,
            PreviousRelease::ReadsFail,
            PreviousRelease::DataDestroyed,
            PreviousRelease::Unknown,
        ] {
            assert_clean(&bad_release_with(class).run());
        }
    }

    #[test]
    fn an_engine_that_goes_back_nevertheless_is_caught() {
        assert_found(&Case::fault("migration-without-flag").run_with(Impatient), "S8");
        let destroyed = bad_release_with(PreviousRelease::DataDestroyed);
        assert_found(&destroyed.run_with(Impatient), "S8");
    }

    #[test]
    fn an_engine_that_asks_nobody_is_caught() {
        assert_found(&Case::fault("migration-without-flag").run_with(Presumptuous), "S8");
    }
}
