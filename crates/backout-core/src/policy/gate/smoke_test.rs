//! Configuration of a smoke test.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::defaults;
use crate::units::Span;

/// A smoke test. With `up`, it brings its own environment and runs before anything is created;
/// without, it runs against the ready candidate in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SmokeTest {
    /// Program and arguments that bring up an environment for the test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub up: Vec<String>,
    /// Program and arguments; exit code 0 is a pass.
    pub run: Vec<String>,
    /// Program and arguments that remove the environment. They always run once `up` was started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub down: Vec<String>,
    /// Time limit of `up` and of `run` together, and again of `down`. Default: 5m.
    #[serde(default = "defaults::smoke_within")]
    pub within: Span,
}
