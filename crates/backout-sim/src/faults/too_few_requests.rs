//! So little traffic that the verdict stays inconclusive for ever.

use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::World;

/// So little traffic that the verdict stays inconclusive for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TooFewRequests {}

impl TooFewRequests {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "too-few-requests",
            when: Trigger::Start {},
            fault: Fault::TooFewRequests(Self {}),
            about: About {
                mode: "F5",
                what: "Traffic falls to a hundredth, and a scanner makes one failing request per minute.",
                stands_for: "Night, or an internal service: a single failing request of a handful looks like a breach (argoproj/argo-rollouts#1905, fluxcd/flagger#1689).",
                shown_by: "Windows have fewer requests than the minimum until the step's deadline.",
                expected: Expected {
                    seen_by: &[SeenBy::Inconclusive],
                    ending: Ending::AsPlanned,
                    within: Span::from_mins(1),
                },
            },
        });
    }
}

impl Kind for TooFewRequests {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.thin_ppm = Some(10_000);
        world.afflictions.stray_errors_per_minute = 1;
        "traffic falls to a hundredth; one request per minute fails by itself".to_owned()
    }
}
