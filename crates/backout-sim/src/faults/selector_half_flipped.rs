//! The route is changed, and only a part of the gateways follows.

use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::{Flip, World};

/// The route is changed, and only a part of the gateways follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectorHalfFlipped {}

impl SelectorHalfFlipped {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "selector-half-flipped",
            when: Trigger::Start {},
            fault: Fault::SelectorHalfFlipped(Self {}),
            about: About {
                mode: "F4",
                what: "One of ten gateway instances takes the new route; the others keep the old one.",
                stands_for: "Partial propagation: a gateway instance that lost its watch, or a cache that is not invalidated.",
                shown_by: "Probes show a smaller share than was asked for.",
                expected: Expected {
                    seen_by: &[SeenBy::Probes],
                    ending: Ending::AsPlanned,
                    within: Span::from_mins(1),
                },
            },
        });
    }
}

impl Kind for SelectorHalfFlipped {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.flip = Flip::Part(100_000);
        "one gateway instance of ten follows the route".to_owned()
    }
}
