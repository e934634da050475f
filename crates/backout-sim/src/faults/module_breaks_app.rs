//! An infrastructure module that changes with the release breaks the candidate.

use std::sync::Arc;

use backout_core::plan::{Brief, Pattern};
use backout_core::release::Module;
use backout_core::snapshot::Arm;
use backout_core::units::{Name, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Ending, Expected, Fault, Kind, Named, SeenBy};
use crate::scenario::Trigger;
use crate::world::{Ailment, When, World};

/// An infrastructure module that changes with the release breaks the candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModuleBreaksApp {}

/// Version that the module gets.
const BROKEN: &str = "99.0.0";

impl ModuleBreaksApp {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "module-breaks-app",
            when: Trigger::Start {},
            fault: Fault::ModuleBreaksApp(Self {}),
            about: About {
                mode: "",
                what: "The release also moves an infrastructure module, which breaks the candidate.",
                stands_for: "Infrastructure and application in one change: going back with one and \
                             not the other leaves a pair that nobody has run.",
                shown_by: "The candidate's error rate; the module changed in the same release.",
                expected: Expected {
                    seen_by: &[SeenBy::Signal],
                    ending: Ending::Back(Pattern::Combined),
                    within: Span::from_mins(5),
                },
            },
        });
    }
}

/// The module that the fault moves: one that both releases have, or a made-up one.
fn victim(brief: &Brief) -> Module {
    let shared = brief.stable.spec.infrastructure.iter().rev();
    shared
        .clone()
        .find(|module| brief.candidate.module(&module.name).is_some())
        .cloned()
        .unwrap_or_else(|| Module {
            name: Name::from_static("cache"),
            source: "modules/cache".to_owned(),
            version: "1.0.0".to_owned(),
            destroys_data: false,
        })
}

impl Kind for ModuleBreaksApp {
    fn prepare(&self, brief: &mut Brief) {
        let victim = victim(brief);
        if brief.stable.module(&victim.name).is_none() {
            Arc::make_mut(&mut brief.stable).spec.infrastructure.push(victim.clone());
        }
        let candidate = &mut Arc::make_mut(&mut brief.candidate).spec.infrastructure;
        candidate.retain(|module| module.name != victim.name);
        candidate.push(Module { version: BROKEN.to_owned(), destroys_data: false, ..victim });
    }

    fn strike(&self, world: &mut World) -> String {
        let name = victim(&world.brief).name;
        let what = format!("module {name} {BROKEN} does not suit the candidate");
        world.afflictions.ailments.push(Ailment {
            arm: Some(Arm::Candidate),
            errors_ppm: 200_000,
            slow_ppm: 0,
            level_ppm: 0,
            when: When::ModuleAt(name, BROKEN.to_owned()),
        });
        what
    }
}
