//! What is measured while the candidate serves.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::preset::{Preset, Written};
use crate::judgement::Limit;
use crate::units::{Latency, Name, Quantile, Share, Span};

/// A PromQL query with the variables `$release`, `$namespace` and `$window`. It is asked once for
/// the candidate and once for the stable release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Query(String);

impl Query {
    /// A query from its text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text as written, variables included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the query can tell the candidate from the stable release.
    #[must_use]
    pub fn names_release(&self) -> bool {
        self.0.contains("$release")
    }

    /// The query for one release, with every variable filled in.
    #[must_use]
    pub fn fill(&self, release: &str, namespace: &str, window: Span) -> String {
        self.0
            .replace("$release", release)
            .replace("$namespace", namespace)
            .replace("$window", &format!("{}s", Self::written(window).as_secs()))
    }

    /// What `$window` stands for: whole seconds, and at least one.
    #[must_use]
    pub fn written(window: Span) -> Duration {
        Duration::from_secs(window.as_secs().max(1))
    }
}

/// A share of bad requests: numerator and denominator apart, so that an absent numerator is told
/// from missing data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ratio {
    /// Counts the bad requests.
    pub bad: Query,
    /// Counts all requests.
    pub total: Query,
}

/// A quantile of a latency histogram.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Quantiled {
    /// Selects the buckets, `le` label included.
    pub histogram: Query,
    /// Which quantile, between 0 and 1.
    pub q: Quantile,
    /// Unit of the `le` label. Default: seconds.
    #[serde(default, skip_serializing_if = "BucketUnit::is_seconds")]
    pub unit: BucketUnit,
}

/// Unit of a latency histogram's edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BucketUnit {
    /// Seconds, as Prometheus recommends.
    #[default]
    Seconds,
    /// Milliseconds, as Istio, Linkerd and Envoy expose.
    Milliseconds,
}

impl BucketUnit {
    /// Whether it is the default.
    const fn is_seconds(&self) -> bool {
        matches!(self, Self::Seconds)
    }
}

/// The highest value that is still good: a percentage or a latency, by its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// A percentage, such as `1%`.
    Share(Share),
    /// A latency, such as `400ms`.
    Latency(Latency),
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => share.fmt(f),
            Self::Latency(latency) => latency.fmt(f),
        }
    }
}

impl Serialize for Threshold {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Threshold;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage such as 1% or a latency such as 400ms")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Threshold, E> {
                if text.trim_end().ends_with('%') {
                    text.parse().map(Threshold::Share).map_err(E::custom)
                } else {
                    text.parse().map(Threshold::Latency).map_err(|error| {
                        E::custom(format!(
                            "expected a percentage such as 1% or a latency such as 400ms: {error}"
                        ))
                    })
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Threshold {
    fn schema_name() -> Cow<'static, str> {
        "Threshold".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A percentage such as 1% or a latency such as 400ms.",
            "pattern": r"^[0-9]+(\.[0-9]+)?(%|us|ms|s)$",
            "examples": ["1%", "400ms"],
        })
    }
}

/// One measured indicator. Exactly one of `ratio`, `quantile`, `gauge` and `preset` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signal {
    /// Unique name, such as `error-rate`.
    pub name: Name,
    /// Bad requests over all requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Ratio>,
    /// A latency quantile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile: Option<Quantiled>,
    /// A level, such as the share of a CPU limit that is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauge: Option<Query>,
    /// The error rate or latency by the metrics of a known mesh, gateway or library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// The highest value that is still good.
    pub max: Threshold,
}

/// A signal whose fields agree with each other. A preset is what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalKind<'a> {
    /// Bad requests over all requests.
    Ratio(Cow<'a, Ratio>, Share),
    /// A latency quantile.
    Quantile(Cow<'a, Quantiled>, Latency),
    /// A level.
    Gauge(&'a Query, Share),
}

impl SignalKind<'_> {
    /// The limit that a judge is given.
    #[must_use]
    pub fn limit(&self) -> Limit {
        match self {
            Self::Ratio(_, max) => Limit::Ratio { max: *max },
            Self::Quantile(quantiled, max) => Limit::Quantile { q: quantiled.q, max: *max },
            Self::Gauge(_, max) => Limit::Gauge { max: *max },
        }
    }

    /// Every query of the signal with the name of its field.
    #[must_use]
    pub fn queries(&self) -> Vec<(&'static str, &Query)> {
        match self {
            Self::Ratio(ratio, _) => vec![("bad", &ratio.bad), ("total", &ratio.total)],
            Self::Quantile(quantiled, _) => vec![("histogram", &quantiled.histogram)],
            Self::Gauge(query, _) => vec![("gauge", query)],
        }
    }
}

impl Signal {
    /// The signal's kind, or what its fields get wrong.
    ///
    /// # Errors
    /// When not exactly one kind is given, a preset's fields do not fit each other, or `max` has
    /// the wrong unit for the kind.
    pub fn kind(&self) -> Result<SignalKind<'_>, String> {
        match (&self.ratio, &self.quantile, &self.gauge, self.preset) {
            (Some(ratio), None, None, None) => self.errors(Cow::Borrowed(ratio)),
            (None, Some(quantiled), None, None) => self.latency(Cow::Borrowed(quantiled)),
            (None, None, Some(query), None) => Ok(SignalKind::Gauge(query, self.max_share()?)),
            (None, None, None, Some(preset)) => match preset.written()? {
                Written::Errors(ratio) => self.errors(Cow::Owned(ratio)),
                Written::Latency(quantiled) => self.latency(Cow::Owned(quantiled)),
            },
            _ => Err(format!(
                "signal `{}` needs exactly one of `ratio`, `quantile`, `gauge` and `preset`",
                self.name
            )),
        }
    }

    fn errors<'a>(&self, ratio: Cow<'a, Ratio>) -> Result<SignalKind<'a>, String> {
        Ok(SignalKind::Ratio(ratio, self.max_share()?))
    }

    fn latency<'a>(&self, quantiled: Cow<'a, Quantiled>) -> Result<SignalKind<'a>, String> {
        match self.max {
            Threshold::Latency(max) => Ok(SignalKind::Quantile(quantiled, max)),
            Threshold::Share(max) => {
                Err(format!("`max` of a quantile is a latency such as 400ms, not `{max}`"))
            }
        }
    }

    fn max_share(&self) -> Result<Share, String> {
        match self.max {
            Threshold::Share(max) => Ok(max),
            Threshold::Latency(max) => {
                Err(format!("`max` of a ratio or gauge is a percentage such as 1%, not `{max}`"))
            }
        }
    }
}
