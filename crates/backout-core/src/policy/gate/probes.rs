//! Configuration of the gate on probes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every container that serves has probes that can tell when it does, and none that harms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probes {
    /// Containers that need no probes, such as sidecars that come with theirs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
}
