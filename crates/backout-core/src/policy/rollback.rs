//! The way back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use crate::units::Span;

/// The way back: how fast, how much harm is tolerated, what is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollbackPolicy {
    /// From the decision to go back until no user traffic reaches the bad release. Default: 1m.
    #[serde(default = "defaults::rollback_within")]
    pub within: Span,
    /// Bad requests that one release may cost users. Default: 1000.
    #[serde(default = "defaults::harm_budget")]
    pub harm_budget: u64,
    /// How long the previous release stays ready to serve after promotion. Default: 24h.
    #[serde(default = "defaults::keep")]
    pub keep_previous: Span,
    /// How long the failed release is kept as evidence, out of traffic. Default: 24h.
    #[serde(default = "defaults::keep")]
    pub keep_failed: Span,
    /// How long traffic is watched after it went back, so that nothing undoes the rollback
    /// unnoticed. Default: 5m.
    #[serde(default = "defaults::settle")]
    pub settle: Span,
}

impl Default for RollbackPolicy {
    fn default() -> Self {
        Self {
            within: defaults::rollback_within(),
            harm_budget: defaults::harm_budget(),
            keep_previous: defaults::keep(),
            keep_failed: defaults::keep(),
            settle: defaults::settle(),
        }
    }
}
