//! Checks before any user traffic.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use crate::units::Span;

/// One check before any user traffic. A gate that fails, or cannot say, cancels the release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Gate {
    /// The registry serves the digest that was built and recorded.
    ArtifactDigest {},
    /// The image carries a signature that admission accepts.
    ArtifactSignature {},
    /// The environment's values have every key that the chart needs, and were written for this
    /// version of the chart.
    ConfigDrift {},
    /// A command against the ready candidate, before it gets user traffic.
    SmokeTest(SmokeTest),
}

/// A smoke test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SmokeTest {
    /// Program and arguments; exit code 0 is a pass.
    pub run: Vec<String>,
    /// Time limit. Default: 5m.
    #[serde(default = "defaults::smoke_within")]
    pub within: Span,
}

impl Gate {
    /// The gate on artifact digests.
    #[must_use]
    pub const fn artifact_digest() -> Self {
        Self::ArtifactDigest {}
    }

    /// The gate on artifact signatures.
    #[must_use]
    pub const fn artifact_signature() -> Self {
        Self::ArtifactSignature {}
    }

    /// The gate on configuration drift.
    #[must_use]
    pub const fn config_drift() -> Self {
        Self::ConfigDrift {}
    }

    /// The name that policies, plans and output use.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ArtifactDigest {} => "artifact-digest",
            Self::ArtifactSignature {} => "artifact-signature",
            Self::ConfigDrift {} => "config-drift",
            Self::SmokeTest(_) => "smoke-test",
        }
    }

    /// Whether the gate needs a running candidate.
    #[must_use]
    pub const fn needs_candidate(&self) -> bool {
        matches!(self, Self::SmokeTest(_))
    }
}
