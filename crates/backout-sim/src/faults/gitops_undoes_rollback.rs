//! The GitOps agent puts the bad weight back for as long as Git holds it.

use backout_core::snapshot::Arm;
use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::{Ailment, When, World};

/// The GitOps agent puts the bad weight back for as long as Git holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitopsUndoesRollback {}

impl GitopsUndoesRollback {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "gitops-undoes-rollback",
            when: Trigger::Start {},
            fault: Fault::GitopsUndoesRollback(Self {}),
            about: About {
                mode: "",
                what: "The release is bad, and the GitOps agent owns the route: it undoes the rollback until Git agrees.",
                stands_for: "Self-heal re-applies the bad version (argoproj/argo-cd#5351, #9570; fluxcd/flux2#4676).",
                shown_by: "The error rate; then the route moves without the engine having moved it.",
                expected: Expected {
                    seen_by: &[SeenBy::Signal],
                    ending: Ending::AsPlanned,
                    within: Span::from_mins(5),
                },
            },
        });
    }
}

impl Kind for GitopsUndoesRollback {
    fn strike(&self, world: &mut World) -> String {
        world.afflictions.gitops_owns_route = true;
        world.afflictions.ailments.push(Ailment {
            arm: Some(Arm::Candidate),
            errors_ppm: 200_000,
            slow_ppm: 0,
            level_ppm: 0,
            when: When::Always,
        });
        "one request in five to the candidate fails; the GitOps agent owns the route".to_owned()
    }
}
