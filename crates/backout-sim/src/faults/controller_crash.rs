//! The controller crashes between two effects, and comes back.

use backout_core::snapshot::Arm;
use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{About, Fault, Kind, NOTICED_BY_SIGNAL, Named};
use crate::scenario::Trigger;
use crate::world::{Ailment, When, World};

/// Where a crash falls, seen from one effect.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum CrashPoint {
    /// Before the decision was stored: the input is lost.
    BeforeStore,
    /// Stored, not performed.
    BeforePerform,
    /// Performed, the answer is lost.
    #[default]
    AfterPerform,
}

/// At which effect a crash falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum CrashAt {
    /// The run's effect of that number, from 0.
    Effect(u32),
    /// The one that moves traffic back.
    ReturnOfTraffic {},
}

/// The controller crashes at one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControllerCrash {
    /// At which effect.
    pub at: CrashAt,
    /// Where the crash falls.
    pub point: CrashPoint,
    /// How long the controller is gone.
    pub down: Span,
    /// Whether the release is bad as well.
    pub bad_release: bool,
}

impl ControllerCrash {
    pub(super) fn catalogue(named: &mut Vec<Named>) {
        named.push(Named {
            name: "controller-crash",
            when: Trigger::Start {},
            fault: Fault::ControllerCrash(Self {
                at: CrashAt::ReturnOfTraffic {},
                point: CrashPoint::AfterPerform,
                down: Span::from_secs(10),
                bad_release: true,
            }),
            about: About {
                mode: "",
                what: "The controller crashes in the middle of a rollout of a bad release, and \
                       comes back ten seconds later.",
                stands_for: "A crash between two writes (Sieve's intermediate states): an effect \
                             was performed and its answer is lost.",
                shown_by: "The controller's own restart; the state is stored before each effect.",
                expected: NOTICED_BY_SIGNAL,
            },
        });
    }
}

impl Kind for ControllerCrash {
    fn strike(&self, world: &mut World) -> String {
        if !self.bad_release {
            return "the controller is going to crash".to_owned();
        }
        world.afflictions.ailments.push(Ailment {
            arm: Some(Arm::Candidate),
            errors_ppm: 200_000,
            slow_ppm: 0,
            level_ppm: 0,
            when: When::Always,
        });
        "one request in five to the candidate fails; the controller is going to crash".to_owned()
    }
}
