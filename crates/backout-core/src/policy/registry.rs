//! Where the images of a release are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where images are read. Credentials come from the Docker configuration of whoever runs Backout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registry {
    /// A folder in OCI image layout, relative to the policy, that is read instead of the network.
    /// Manifests and configurations suffice; layers are never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<String>,
    /// Registries that speak plain HTTP, as `host:port`. Those on a loopback address need not be named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plain_http: Vec<String>,
    /// Platforms of the nodes. Default: linux/amd64.
    #[serde(default = "platforms")]
    pub platforms: Vec<String>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { layout: None, plain_http: Vec::new(), platforms: platforms() }
    }
}

impl Registry {
    /// Whether it says nothing beyond the defaults.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn platforms() -> Vec<String> {
    vec!["linux/amd64".to_owned()]
}
