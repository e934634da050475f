//! Configuration of the gate on artifact digests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The registry serves the digest that was built and recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArtifactDigest {
    /// Repositories that hold copies on purpose. An image with the recorded digest in one of them
    /// passes; in any other repository it is a finding.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Accept a second build of the same commit whose layers differ, when its provenance names that
    /// commit. Default: false.
    #[serde(default, skip_serializing_if = "is_false")]
    pub accept_rebuilds: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
