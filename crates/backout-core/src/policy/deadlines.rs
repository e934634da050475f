//! How long each wait may take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use crate::units::Limit;

/// What happens when a wait is over and the awaited thing did not come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnDeadline {
    /// Go back.
    #[default]
    Rollback,
    /// Stop where it is and ask a person.
    Hold,
}

/// How long each wait may take. `none` takes a deadline away, which lets a rollout wait for ever;
/// `backout simulate` shows with which faults it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deadlines {
    /// Until the pods of a release are ready. Default: 10m.
    #[serde(default = "defaults::readiness")]
    pub readiness: Limit,
    /// For one step, its analysis included. A step whose evidence is still inconclusive then goes
    /// back. Default: 30m, or twice the step's own analysis if that is longer.
    #[serde(default = "defaults::step")]
    pub step: Limit,
    /// For the whole rollout up to the end of the bake; waits for a person are not counted.
    /// Default: 4h.
    #[serde(default = "defaults::rollout")]
    pub rollout: Limit,
    /// For a pause that a person asked for; the rollout then goes back. Default: 24h.
    #[serde(default = "defaults::pause")]
    pub pause: Limit,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            readiness: defaults::readiness(),
            step: defaults::step(),
            rollout: defaults::rollout(),
            pause: defaults::pause(),
        }
    }
}
