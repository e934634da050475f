//! The route is changed, and traffic does not follow.

use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::{Flip, World};

/// The route is changed, and traffic does not follow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectorNotFlipped {}

impl SelectorNotFlipped {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "selector-not-flipped",
            when: Trigger::Start {},
            fault: Fault::SelectorNotFlipped(Self {}),
            about: About {
                mode: "F4",
                what: "The route is written, but the data plane keeps sending traffic where it went before.",
                stands_for: "A selector or listener that does not match, a gateway that missed the update (argoproj/argo-rollouts#2235, #4750).",
                shown_by: "Probes through the route do not reach the candidate.",
                expected: Expected {
                    seen_by: &[SeenBy::Probes],
                    ending: Ending::AsPlanned,
                    within: Span::from_mins(1),
                },
            },
        });
    }
}

impl Kind for SelectorNotFlipped {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.flip = Flip::Stuck;
        "the data plane does not follow the route".to_owned()
    }
}
