//! Where measurements come from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{Name, Span};

/// Where measurements come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metrics {
    /// A server with the HTTP API of Prometheus.
    pub prometheus: Prometheus,
}

/// A server with the HTTP API of Prometheus. Secrets are named, never written into the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prometheus {
    /// Its address, such as `http://prometheus.monitoring:9090`, with the path that the API is
    /// served under, if any.
    pub address: String,
    /// The bearer token that it is asked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_secret: Option<SecretRef>,
    /// The user and password that it is asked with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth_secret: Option<BasicAuthSecret>,
    /// Certificates, as PEM, that its own may be signed by. Default: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<SecretRef>,
    /// Whether any certificate is believed. Default: false.
    #[serde(default)]
    pub insecure_skip_verify: bool,
    /// How long one query may take. Default: 10s.
    #[serde(default = "timeout")]
    pub timeout: Span,
}

const fn timeout() -> Span {
    Span::from_secs(10)
}

/// One value of a Kubernetes Secret in the policy's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SecretRef {
    /// The Secret's name.
    pub name: Name,
    /// The key of the value within it.
    pub key: String,
}

/// A user and password in a Kubernetes Secret in the policy's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicAuthSecret {
    /// The Secret's name.
    pub name: Name,
    /// The key of the user's name. Default: `username`.
    #[serde(default = "username")]
    pub user_key: String,
    /// The key of the password. Default: `password`.
    #[serde(default = "password")]
    pub password_key: String,
}

fn username() -> String {
    "username".to_owned()
}

fn password() -> String {
    "password".to_owned()
}
