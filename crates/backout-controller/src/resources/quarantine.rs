//! `Quarantine`: a digest that must not be deployed again.

use backout_core::units::{Digest, Name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The body of a quarantine. It says which image is refused, and why; deleting the object lifts
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuarantineSpec {
    /// The digest that is refused, whatever the repository or tag.
    pub digest: Digest,
    /// Why, in one sentence for whoever is refused.
    pub reason: String,
    /// The release that it was found in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Name>,
    /// When it was found, RFC 3339, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}
