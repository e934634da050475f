//! Checks before any user traffic. One gate's configuration, one file.

mod artifact_digest;
mod artifact_signature;
mod config_drift;
mod context;
mod policies;
mod probes;
mod smoke_test;
mod vulnerabilities;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use artifact_digest::ArtifactDigest;
pub use artifact_signature::{AdmissionController, ArtifactSignature, SignerIdentity};
pub use config_drift::ConfigDrift;
pub use context::Context;
pub use policies::Policies;
pub use probes::Probes;
pub use smoke_test::SmokeTest;
pub use vulnerabilities::{Severity, Vulnerabilities};

/// One check before any user traffic. A gate that fails, or cannot say, cancels the release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Gate {
    /// The registry serves the digest that was built and recorded.
    ArtifactDigest(ArtifactDigest),
    /// The image carries a signature that admission accepts.
    ArtifactSignature(ArtifactSignature),
    /// The release adds no vulnerability above the line.
    Vulnerabilities(Vulnerabilities),
    /// The manifests keep the admission policies.
    Policies(Policies),
    /// The environment's values have every key that the chart needs, and were written for this
    /// version of the chart.
    ConfigDrift(ConfigDrift),
    /// Probes are present and sensible.
    Probes(Probes),
    /// The workload says what it is, and that is true.
    Context(Context),
    /// A command against an environment of its own or the ready candidate, before users reach it.
    SmokeTest(SmokeTest),
}

impl Gate {
    /// The gate on artifact digests, with its defaults.
    #[must_use]
    pub fn artifact_digest() -> Self {
        Self::ArtifactDigest(ArtifactDigest::default())
    }

    /// The gate on artifact signatures, with its defaults.
    #[must_use]
    pub fn artifact_signature() -> Self {
        Self::ArtifactSignature(ArtifactSignature::default())
    }

    /// The gate on configuration drift, with its defaults.
    #[must_use]
    pub fn config_drift() -> Self {
        Self::ConfigDrift(ConfigDrift::default())
    }

    /// The name that policies, plans and output use.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ArtifactDigest(_) => "artifact-digest",
            Self::ArtifactSignature(_) => "artifact-signature",
            Self::Vulnerabilities(_) => "vulnerabilities",
            Self::Policies(_) => "policies",
            Self::ConfigDrift(_) => "config-drift",
            Self::Probes(_) => "probes",
            Self::Context(_) => "context",
            Self::SmokeTest(_) => "smoke-test",
        }
    }

    /// Whether the gate needs a running candidate.
    #[must_use]
    pub fn needs_candidate(&self) -> bool {
        matches!(self, Self::SmokeTest(test) if test.up.is_empty())
    }
}
