//! Candidate and stable degrade alike: the release is not the cause.

use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::{Ailment, When, World};

/// Candidate and stable degrade alike: the release is not the cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BothDegrade {}

impl BothDegrade {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "both-degrade",
            when: Trigger::Exposed { after: Span::from_mins(1) },
            fault: Fault::BothDegrade(Self {}),
            about: About {
                mode: "",
                what: "A dependency that both releases use fails.",
                stands_for: "A database or payment provider that is down: rolling back would not help (Stripe 2019, a rollback in haste was the second outage).",
                shown_by: "The error rate of both releases is over the limit, by about as much.",
                expected: Expected {
                    seen_by: &[SeenBy::SharedCause, SeenBy::Signal],
                    ending: Ending::HeldIfComparable,
                    within: Span::from_mins(5),
                },
            },
        });
    }
}

impl Kind for BothDegrade {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.ailments.push(Ailment {
            arm: None,
            errors_ppm: 150_000,
            slow_ppm: 0,
            level_ppm: 0,
            when: When::Always,
        });
        "a dependency of both releases fails".to_owned()
    }
}
