//! Configuration of the gate on admission policies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The manifests keep the policies of the cluster and of the team: Rego for conftest, Gatekeeper
/// constraints, ValidatingAdmissionPolicy, and Kyverno policies. What cannot be evaluated is no pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policies {
    /// Policy files and folders, relative to the policy: `.rego`, and YAML or JSON manifests.
    pub files: Vec<String>,
    /// Data for Rego as `data`: JSON or YAML files and folders, as conftest's `--data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<String>,
    /// Rego packages whose rules are asked. Default: main, as conftest's.
    #[serde(default = "main_namespace", skip_serializing_if = "is_main")]
    pub namespaces: Vec<String>,
    /// Read Rego as OPA did before 1.0: without `if` and `contains`. Default: false.
    #[serde(default)]
    pub rego_v0: bool,
    /// A warning fails as well. Default: false.
    #[serde(default)]
    pub fail_on_warn: bool,
    /// Manifests besides those of the release, relative to the policy: files and folders. Namespaces,
    /// parameters and ConfigMaps that policies look up are found among them too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<String>,
}

fn main_namespace() -> Vec<String> {
    vec!["main".to_owned()]
}

fn is_main(namespaces: &[String]) -> bool {
    namespaces == ["main"]
}
