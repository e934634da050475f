//! A migration that the old release cannot run on, in a release that turns out bad.

use std::sync::Arc;

use backout_core::plan::{Brief, Pattern};
use backout_core::release::{Flag, Migration, PreviousRelease};
use backout_core::snapshot::Arm;
use backout_core::units::{Name, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::{Ailment, When, World};

/// A migration that the old release cannot run on, in a release that turns out bad.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MigrationBreaksStable {
    /// Whether a flag guards the change.
    pub guarded: bool,
}

const MIGRATION: &str = "9999_new_shape";

impl MigrationBreaksStable {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        let what = "The release writes rows that the release before cannot read, and fails one \
                    request in five.";
        let stands_for = "Code goes back, data does not (Stripe 2019, val.town 2025): the previous \
                          release meets rows of a shape that it does not know.";
        named.push(Named {
            name: "migration-breaks-stable",
            when: Trigger::Start {},
            fault: Fault::MigrationBreaksStable(Self { guarded: true }),
            about: About {
                mode: "",
                what,
                stands_for,
                shown_by: "The error rate; the migration's record says what the release before can \
                           do, and a flag guards the change.",
                expected: Expected {
                    seen_by: &[SeenBy::Signal],
                    ending: Ending::Back(Pattern::DataAware),
                    within: Span::from_mins(5),
                },
            },
        });
        named.push(Named {
            name: "migration-without-flag",
            when: Trigger::Start {},
            fault: Fault::MigrationBreaksStable(Self { guarded: false }),
            about: About {
                mode: "",
                what,
                stands_for,
                shown_by: "The error rate; no flag guards the change, so a person decides between \
                           a fix forward and a restore.",
                expected: Expected {
                    seen_by: &[SeenBy::Signal],
                    ending: Ending::Held,
                    within: Span::from_mins(5),
                },
            },
        });
    }

    fn flag() -> Name {
        Name::from_static("new-shape")
    }
}

impl Kind for MigrationBreaksStable {
    fn prepare(&self, brief: &mut Brief) {
        let candidate = &mut Arc::make_mut(&mut brief.candidate).spec;
        candidate.flags.push(Flag { key: Self::flag(), enabled: true });
        candidate.migrations.push(Migration {
            id: MIGRATION.to_owned(),
            file: None,
            previous_release: PreviousRelease::WorksUntilWritten,
            guarded_by: self.guarded.then(Self::flag),
        });
    }

    fn strike(&self, world: &mut World) -> String {
        world.afflictions.ailments.push(Ailment {
            arm: Some(Arm::Candidate),
            errors_ppm: 200_000,
            slow_ppm: 0,
            level_ppm: 0,
            when: if self.guarded { When::FlagOn(Self::flag()) } else { When::Always },
        });
        "the candidate writes rows of a new shape, and fails one request in five".to_owned()
    }
}
