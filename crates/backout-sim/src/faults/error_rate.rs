//! A share of the candidate's requests fails.

use backout_core::snapshot::Arm;
use backout_core::units::Share;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Fault, Kind, NOTICED_BY_SIGNAL, Named, Onset};
use crate::world::{Ailment, When, World};

/// A share of the candidate's requests fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorRate {
    /// Share of the candidate's requests that fail.
    pub errors: Share,
}

impl ErrorRate {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        let variants = [
            ("error-rate", Onset::AtStart, 200_000),
            ("error-rate-late", Onset::Late, 100_000),
            ("error-rate-after-promotion", Onset::AfterPromotion, 50_000),
        ];
        for (name, onset, ppm) in variants {
            named.push(Named {
                name,
                when: onset.trigger(),
                fault: Fault::ErrorRate(Self { errors: Share::from_ppm(ppm) }),
                about: About {
                    mode: "",
                    what: "A share of the candidate's requests fails.",
                    stands_for: "A plain bug in the new version, the most common cause of a rollback.",
                    shown_by: "The candidate's error rate is over the limit while the stable release's is not.",
                    expected: NOTICED_BY_SIGNAL,
                },
            });
        }
    }
}

impl Kind for ErrorRate {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.ailments.push(Ailment {
            arm: Some(Arm::Candidate),
            errors_ppm: self.errors.as_ppm(),
            slow_ppm: 0,
            level_ppm: 0,
            when: When::Always,
        });
        format!("{} of the candidate's requests fail", self.errors)
    }
}
