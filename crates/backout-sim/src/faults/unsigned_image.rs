//! The image carries no signature, and admission refuses it.

use backout_core::plan::Pattern;
use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::World;

/// The image carries no signature, and admission refuses it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnsignedImage {}

impl UnsignedImage {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "unsigned-image",
            when: Trigger::Start {},
            fault: Fault::UnsignedImage(Self {}),
            about: About {
                mode: "F2",
                what: "The image was pushed without its signature.",
                stands_for: "A signing step that failed quietly, or a signature that was not copied to the mirror.",
                shown_by: "No signature verifies, or the admission webhook refuses the pods.",
                expected: Expected {
                    seen_by: &[SeenBy::Gate],
                    ending: Ending::Back(Pattern::Cancel),
                    within: Span::from_mins(1),
                },
            },
        });
    }
}

impl Kind for UnsignedImage {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.unsigned = true;
        "the image was pushed without its signature".to_owned()
    }
}
