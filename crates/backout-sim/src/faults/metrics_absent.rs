//! The candidate's series carry another label, so that its queries match nothing.

use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::World;

/// The candidate's series carry another label, so that its queries match nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricsAbsent {}

impl MetricsAbsent {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "metrics-absent",
            when: Trigger::Start {},
            fault: Fault::MetricsAbsent(Self {}),
            about: About {
                mode: "F5",
                what: "The new version exposes its metrics under another label.",
                stands_for: "A renamed label or metric: the canary query is empty, and a gate that takes empty for good, or waits, lies (fluxcd/flagger#1011, argoproj/argo-rollouts#4479).",
                shown_by: "The candidate's queries return no series, while the stable release's do.",
                expected: Expected {
                    seen_by: &[SeenBy::NoData],
                    ending: Ending::AsPlanned,
                    within: Span::from_mins(2),
                },
            },
        });
    }
}

impl Kind for MetricsAbsent {
    fn strike(&self, world: &mut World) -> String {
        world.relabel("release", "release_name");
        "the candidate exposes label `release` as `release_name`".to_owned()
    }
}
