//! How user traffic reaches the workload, and how a shift of it is verified.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::defaults;
use crate::units::{Limit, Name};

/// How user traffic reaches the workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Traffic {
    /// The object that is changed to move traffic.
    pub route: Route,
    /// How it is verified that traffic really moved; `none` trusts the request. Default: by
    /// endpoints and request counters, within 60s.
    #[serde(default)]
    pub verify: FlipRule,
}

/// The object that is changed to move traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// Its kind.
    pub kind: RouteKind,
    /// Its name.
    pub name: Name,
    /// How a Service gives a release traffic; other kinds have weights of their own. Default:
    /// selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Split>,
}

/// How a Service gives a release traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Its selector names one release: all or nothing.
    #[default]
    Selector,
    /// Its selector names both releases, and the number of replicas of each gives the share.
    Replicas,
}

impl Route {
    /// How a Service gives a release traffic; of no meaning for other kinds.
    #[must_use]
    pub fn split(&self) -> Split {
        self.by.unwrap_or_default()
    }

    /// Whether the route can send a part of the traffic.
    #[must_use]
    pub fn carries_weights(&self) -> bool {
        self.kind.carries_weights() || self.by_replicas()
    }

    /// Whether numbers of replicas give the share, so that only some shares can be had.
    #[must_use]
    pub fn by_replicas(&self) -> bool {
        self.kind == RouteKind::Service && self.split() == Split::Replicas
    }
}

/// Kinds of route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RouteKind {
    // xtask:traffic {camel},
    /// Gateway API HTTPRoute: any weight.
    HTTPRoute,
    /// Gateway API GRPCRoute: any weight.
    GRPCRoute,
    /// A Service whose selector is switched: all or nothing, or by numbers of replicas.
    Service,
}

impl RouteKind {
    /// Whether the object itself has weights.
    const fn carries_weights(self) -> bool {
        match self {
            // xtask:traffic Self::{camel} => true,
            Self::HTTPRoute | Self::GRPCRoute => true,
            Self::Service => false,
        }
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            // xtask:traffic Self::{camel} => "{camel}",
            Self::HTTPRoute => "HTTPRoute",
            Self::GRPCRoute => "GRPCRoute",
            Self::Service => "Service",
        })
    }
}

/// How it is verified that traffic really moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlipCheck {
    /// Requests through the route, as a user would send them. Without one, the request counters of
    /// each release tell the share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// How long the route may take to show the share that was asked for. Default: 60s.
    #[serde(default = "defaults::flip_within")]
    pub within: Limit,
}

/// A request whose answer names the release that served it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Probe {
    /// Address behind the route, with http:// or https://. For a GRPCRoute its path is a method,
    /// such as /shop.Cart/Version, that is called with an empty message.
    pub url: String,
    /// Host that is asked for, where the address is the gateway's own. Default: the address's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Response header that names the release which answered: the value of the pod's label
    /// `backout.dev/release`, or the release's version.
    pub header: String,
}

/// Verify, or trust the request (`none`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlipRule {
    /// Verify.
    Check(FlipCheck),
    /// `none`: believe that traffic moved because it was asked to.
    Trust,
}

impl Default for FlipRule {
    fn default() -> Self {
        Self::Check(FlipCheck { probe: None, within: defaults::flip_within() })
    }
}

impl Serialize for FlipRule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Check(check) => check.serialize(serializer),
            Self::Trust => serializer.serialize_str("none"),
        }
    }
}

impl<'de> Deserialize<'de> for FlipRule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = FlipRule;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping with `probe` and `within`, or the word none")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FlipRule, E> {
                if text == "none" {
                    Ok(FlipRule::Trust)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<FlipRule, A::Error> {
                FlipCheck::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    .map(FlipRule::Check)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for FlipRule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FlipRule".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let check = generator.subschema_for::<FlipCheck>();
        schemars::json_schema!({
            "description": "How a shift of traffic is verified, or `none` to trust the request.",
            "anyOf": [check, { "const": "none" }],
        })
    }
}
