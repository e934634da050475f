//! The candidate starts, but does not do its work.

use backout_core::plan::Pattern;
use backout_core::snapshot::Arm;
use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::{Ailment, When, World};

/// The candidate starts, but does not do its work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SmokeTestFails {}

impl SmokeTestFails {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "smoke-test-fails",
            when: Trigger::Start {},
            fault: Fault::SmokeTestFails(Self {}),
            about: About {
                mode: "",
                what: "Pods get ready, yet the main path of the service fails.",
                stands_for: "A readiness probe that checks only that the process is up.",
                shown_by: "The smoke test fails before any user traffic; without one, users find out.",
                expected: Expected {
                    seen_by: &[SeenBy::Gate],
                    ending: Ending::Back(Pattern::Cancel),
                    within: Span::from_mins(1),
                },
            },
        });
    }
}

impl Kind for SmokeTestFails {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.smoke_fails = true;
        world.afflictions.ailments.push(Ailment {
            arm: Some(Arm::Candidate),
            errors_ppm: 900_000,
            slow_ppm: 0,
            level_ppm: 0,
            when: When::Always,
        });
        "the main path of the candidate fails".to_owned()
    }
}
