//! The candidate's pods never get ready.

use backout_core::plan::Pattern;
use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::World;

/// The candidate's pods never get ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadinessNever {}

impl ReadinessNever {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "readiness-never",
            when: Trigger::Start {},
            fault: Fault::ReadinessNever(Self {}),
            about: About {
                mode: "",
                what: "The candidate's readiness probe never succeeds.",
                stands_for: "A missing secret, a wrong port, a dependency that is not reachable from the new pods.",
                shown_by: "Ready replicas stay at zero until the readiness deadline.",
                expected: Expected {
                    seen_by: &[SeenBy::Deadline],
                    ending: Ending::Back(Pattern::Cancel),
                    within: Span::from_mins(1),
                },
            },
        });
    }
}

impl Kind for ReadinessNever {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.never_ready = true;
        "the candidate's readiness probe never succeeds".to_owned()
    }
}
