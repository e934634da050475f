//! The candidate uses up its capacity.

use backout_core::snapshot::Arm;
use backout_core::units::Share;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Fault, Kind, NOTICED_BY_SIGNAL, Named, Onset};
use crate::world::{Ailment, When, World};

/// The candidate uses up its capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Saturation {
    /// Share of the candidate's capacity that is used up besides the load.
    pub level: Share,
}

impl Saturation {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        let variants = [
            ("saturation", Onset::AtStart, 850_000),
            ("saturation-late", Onset::Late, 850_000),
            ("saturation-after-promotion", Onset::AfterPromotion, 600_000),
        ];
        for (name, onset, ppm) in variants {
            named.push(Named {
                name,
                when: onset.trigger(),
                fault: Fault::Saturation(Self { level: Share::from_ppm(ppm) }),
                about: About {
                    mode: "",
                    what: "The candidate uses up its capacity.",
                    stands_for: "A leak or a busy loop: users do not feel it yet, and will.",
                    shown_by: "The candidate's saturation is over the limit while requests are still answered.",
                    expected: NOTICED_BY_SIGNAL,
                },
            });
        }
    }
}

impl Kind for Saturation {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.ailments.push(Ailment {
            arm: Some(Arm::Candidate),
            errors_ppm: 0,
            slow_ppm: 0,
            level_ppm: self.level.as_ppm(),
            when: When::Always,
        });
        format!("{} of the candidate's capacity is used up besides the load", self.level)
    }
}
