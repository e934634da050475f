//! Configuration of the gate on release context.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The workload says what it is: commit, build, digest, flags and migrations, and it agrees with
/// the registry, Git and the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Context {
    /// Labels and annotations that every workload must carry besides the standard ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
}
