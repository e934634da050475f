//! Configuration of the gate on configuration drift.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The environment's values have every key that the chart needs, and were written for this version
/// of the chart; environments do not differ where they must not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigDrift {
    /// Values that must be the same in all environments, such as `image.pullPolicy`. A key stands
    /// for everything below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same: Vec<String>,
    /// Values that may be in a values file although the chart reads them nowhere, such as those of
    /// another tool. A key stands for everything below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}
