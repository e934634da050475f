//! A share of the candidate's requests becomes slow.

use backout_core::snapshot::Arm;
use backout_core::units::Share;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Fault, Kind, NOTICED_BY_SIGNAL, Named, Onset};
use crate::world::{Ailment, When, World};

/// A share of the candidate's requests becomes slow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlowRequests {
    /// Share of the candidate's requests that are slow.
    pub slow: Share,
}

impl SlowRequests {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        let variants = [
            ("latency", Onset::AtStart, 300_000),
            ("latency-late", Onset::Late, 150_000),
            ("latency-after-promotion", Onset::AfterPromotion, 50_000),
        ];
        for (name, onset, ppm) in variants {
            named.push(Named {
                name,
                when: onset.trigger(),
                fault: Fault::SlowRequests(Self { slow: Share::from_ppm(ppm) }),
                about: About {
                    mode: "",
                    what: "A share of the candidate's requests becomes slow.",
                    stands_for: "A missing index, a cold cache, a call that is no longer made in parallel.",
                    shown_by: "The candidate's latency quantile is over the limit.",
                    expected: NOTICED_BY_SIGNAL,
                },
            });
        }
    }
}

impl Kind for SlowRequests {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.ailments.push(Ailment {
            arm: Some(Arm::Candidate),
            errors_ppm: 0,
            slow_ppm: self.slow.as_ppm(),
            level_ppm: 0,
            when: When::Always,
        });
        format!("{} of the candidate's requests are slow", self.slow)
    }
}
