//! `ReleasePolicy`: how one workload is released and backed out. The file that a team writes.
//!
//! The types here are the file, field for field. [`validate`] holds the rules that go beyond
//! types; a policy that passed both is complete, because every default is already filled in.

mod deadlines;
mod defaults;
mod external;
pub mod gate;
mod metrics;
mod preset;
mod registry;
mod rollback;
mod signal;
mod strategy;
mod traffic;
mod triggers;
pub mod validate;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use deadlines::{Deadlines, OnDeadline};
pub use external::External;
pub use gate::{Gate, SmokeTest};
pub use metrics::{BasicAuthSecret, Metrics, Prometheus, SecretRef};
pub use preset::{Measures, Preset, Source};
pub use registry::Registry;
pub use rollback::RollbackPolicy;
pub use signal::{BucketUnit, Quantiled, Query, Ratio, Signal, SignalKind, Threshold};
pub use strategy::{Analysis, Approval, BlueGreen, Canary, CanaryStep, Strategy};
pub use traffic::{FlipCheck, FlipRule, Probe, Route, RouteKind, Split, Traffic};
pub use triggers::{NoData, NoDataAction, SharedCause, Triggers};

use crate::units::Name;

/// The only version of the formats so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// First version; fields may still change between releases of Backout.
    #[default]
    #[serde(rename = "backout.dev/v1alpha1")]
    V1Alpha1,
}

/// The kind of a policy document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PolicyKind {
    /// The only value.
    #[default]
    ReleasePolicy,
}

/// Name and namespace of a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Name, unique for the kind in its namespace.
    pub name: Name,
    /// Kubernetes namespace. Default: `default`.
    #[serde(default = "defaults::namespace")]
    pub namespace: Name,
}

/// How one workload is released and backed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleasePolicy {
    /// Always `backout.dev/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `ReleasePolicy`.
    pub kind: PolicyKind,
    /// Name and namespace.
    pub metadata: Metadata,
    /// The policy itself.
    pub spec: PolicySpec,
}

/// The body of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// What is released.
    pub workload: Workload,
    /// Where it is released to, and which configuration each place uses.
    pub environments: Vec<Environment>,
    /// How user traffic reaches it, and how a shift of traffic is verified.
    pub traffic: Traffic,
    /// Canary or blue/green.
    pub strategy: Strategy,
    /// What is measured while the candidate serves.
    pub signals: Vec<Signal>,
    /// Where measurements come from. A rehearsal needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// When measurements count, and when they decide.
    #[serde(default)]
    pub triggers: Triggers,
    /// Checks before any user traffic. Default: artifact digest, artifact signature and
    /// configuration drift.
    #[serde(default = "defaults::gates")]
    pub gates: Vec<Gate>,
    /// Where images are read.
    #[serde(default, skip_serializing_if = "Registry::is_default")]
    pub registry: Registry,
    /// The way back.
    #[serde(default)]
    pub rollback: RollbackPolicy,
    /// How long each wait may take.
    #[serde(default)]
    pub deadlines: Deadlines,
    /// Parts of a release that a pipeline carries out itself before the rollout begins, and that
    /// Backout neither does nor takes back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<External>,
}

/// The object that is released.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// Kind of the object.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: Name,
}

/// Kinds of workload that can be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// A Kubernetes Deployment.
    Deployment,
}

/// One place that the workload is released to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Environment {
    /// Name, such as `staging` or `production`.
    pub name: Name,
    /// Where its configuration comes from.
    pub config: ConfigSource,
}

/// A chart with values files, as paths relative to the policy file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigSource {
    /// Folder of the Helm chart.
    pub chart: String,
    /// Values files, later ones win.
    #[serde(default)]
    pub values: Vec<String>,
    /// The manifests that were rendered of them: a file or a folder. They are what the gates on
    /// manifests read. Default: rendered with `helm`, when it is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<String>,
}

impl ReleasePolicy {
    /// The environment of that name.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<&Environment> {
        self.spec.environments.iter().find(|environment| environment.name.as_str() == name)
    }

    /// Whether a pipeline carries that part of a release out itself.
    #[must_use]
    pub fn leaves_out(&self, part: External) -> bool {
        self.spec.external.contains(&part)
    }
}
