//! Someone merges a bad values commit under the release that serves.

use backout_core::plan::Pattern;
use backout_core::snapshot::Arm;
use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::{Ailment, When, World};

/// Someone merges a bad values commit under the release that serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BadValuesCommit {}

impl BadValuesCommit {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "bad-values-commit",
            when: Trigger::FullWeight { after: Span::from_mins(5) },
            fault: Fault::BadValuesCommit(Self {}),
            about: About {
                mode: "",
                what: "A colleague changes a time-out in the production values while the release bakes.",
                stands_for: "Configuration is pushed without a release of its own (Google 2025-06, Cloudflare 2025-11).",
                shown_by: "The error rate rises although the images are the recorded ones; the configuration is at another commit.",
                expected: Expected {
                    seen_by: &[SeenBy::Signal],
                    ending: Ending::Back(Pattern::Config),
                    within: Span::from_mins(5),
                },
            },
        });
    }
}

impl Kind for BadValuesCommit {
    fn strike(&self, world: &mut World) -> String {
        let revision = "bad0c0ffee00000000000000000000000000bad0".to_owned();
        world.afflictions.ailments.push(Ailment {
            arm: Some(Arm::Candidate),
            errors_ppm: 50_000,
            slow_ppm: 0,
            level_ppm: 0,
            when: When::ConfigAt(revision.clone()),
        });
        world.commit(revision, "a colleague");
        "a colleague merged a values commit".to_owned()
    }
}
