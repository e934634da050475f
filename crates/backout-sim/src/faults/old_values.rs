//! The environment's values are older than the chart: keys that it needs are missing.

use backout_core::plan::Pattern;
use backout_core::snapshot::Arm;
use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::{Ailment, When, World};

/// The environment's values are older than the chart: keys that it needs are missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OldValues {}

impl OldValues {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "values-older-than-chart",
            when: Trigger::Start {},
            fault: Fault::OldValues(Self {}),
            about: About {
                mode: "F3",
                what: "Production still has the values file of the chart before.",
                stands_for: "Configuration drift: staging runs the newest chart, production an older values file (Reddit 2023, a label that was gone).",
                shown_by: "The chart needs keys that the environment's values lack.",
                expected: Expected {
                    seen_by: &[SeenBy::Gate],
                    ending: Ending::Back(Pattern::Cancel),
                    within: Span::from_mins(1),
                },
            },
        });
    }
}

impl Kind for OldValues {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.old_values = true;
        world.afflictions.ailments.push(Ailment {
            arm: Some(Arm::Candidate),
            errors_ppm: 300_000,
            slow_ppm: 0,
            level_ppm: 0,
            when: When::Always,
        });
        "production has the values of the chart before".to_owned()
    }
}
