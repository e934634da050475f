//! The tag was pushed again after the build: the digest that would be deployed is not the digest that was built.

use backout_core::plan::Pattern;
use backout_core::units::{Digest, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::World;

/// The tag was pushed again after the build: the digest that would be deployed is not the digest that was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagMoved {}

impl TagMoved {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "tag-moved",
            when: Trigger::Start {},
            fault: Fault::TagMoved(Self {}),
            about: About {
                mode: "F1",
                what: "Someone pushes the release's tag again after the build.",
                stands_for: "Mutable tags: a second push between build and deploy, by a retried job or by an attacker (Codecov 2021).",
                shown_by: "The digest behind the tag differs from the recorded one.",
                expected: Expected {
                    seen_by: &[SeenBy::Gate],
                    ending: Ending::Back(Pattern::Cancel),
                    within: Span::from_mins(1),
                },
            },
        });
    }
}

impl Kind for TagMoved {
    fn strike(&self, world: &mut World) -> String {
        let moved = Digest::of_bytes(b"pushed again after the build");
        let what = format!("the tag was pushed again and now points to {}", moved.short());
        world.afflictions.tag_moved = Some(moved);
        what
    }
}
