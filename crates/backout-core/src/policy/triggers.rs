//! When measurements count, and when they decide.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OnDeadline, defaults};
use crate::units::{Limit, Share, Span};

/// When measurements count, and when they decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Triggers {
    /// Length of a window. Windows are disjoint. Default: 1m.
    #[serde(default = "defaults::window")]
    pub window: Span,
    /// Bad windows in a row that go back, and good ones in a row that go on. Default: 2.
    #[serde(default = "defaults::consecutive")]
    pub consecutive: u32,
    /// Requests that a window needs before it counts. Default: 100.
    #[serde(default = "defaults::min_requests")]
    pub min_requests: u64,
    /// How long after the end of a window its data is complete: scrape interval and lag.
    /// Default: 15s.
    #[serde(default = "defaults::metrics_delay")]
    pub metrics_delay: Span,
    /// What happens when a signal has no data.
    #[serde(default)]
    pub no_data: NoData,
    /// What happens when the candidate and the stable release degrade alike.
    #[serde(default)]
    pub shared_cause: SharedCause,
}

impl Default for Triggers {
    fn default() -> Self {
        Self {
            window: defaults::window(),
            consecutive: defaults::consecutive(),
            min_requests: defaults::min_requests(),
            metrics_delay: defaults::metrics_delay(),
            no_data: NoData::default(),
            shared_cause: SharedCause::default(),
        }
    }
}

/// What happens when a signal has no data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoData {
    /// How long a signal may have no data at all. Default: 5m.
    #[serde(default = "defaults::no_data_after")]
    pub after: Limit,
    /// What then. Default: rollback.
    #[serde(default)]
    pub then: NoDataAction,
}

impl Default for NoData {
    fn default() -> Self {
        Self { after: defaults::no_data_after(), then: NoDataAction::default() }
    }
}

/// What happens when a signal has no data for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NoDataAction {
    /// Go back.
    #[default]
    Rollback,
    /// Stop and ask a person.
    Hold,
    /// Go on waiting. Only `deadlines.step` and `deadlines.rollout` then end the wait.
    Wait,
}

/// What happens when the candidate and the stable release degrade alike: a shared cause, such as a
/// dependency that is down, which going back would not mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharedCause {
    /// Both are over the limit, and the candidate's value exceeds the stable release's by at most
    /// this share of it. Default: 50%.
    #[serde(default = "defaults::shared_excess")]
    pub excess: Share,
    /// How long the rollout holds still for the cause to pass. Default: 30m.
    #[serde(default = "defaults::shared_hold")]
    pub hold: Limit,
    /// What then. Default: hold, which ends the run and leaves the decision to a person.
    #[serde(default = "hold")]
    pub then: OnDeadline,
}

const fn hold() -> OnDeadline {
    OnDeadline::Hold
}

impl Default for SharedCause {
    fn default() -> Self {
        Self { excess: defaults::shared_excess(), hold: defaults::shared_hold(), then: hold() }
    }
}
