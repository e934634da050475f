//! Metric families that the virtual world exposes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a family measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// A counter of requests, by response code.
    Requests,
    /// A cumulative histogram of request durations (`_bucket` series).
    DurationBuckets,
    /// A counter of requests that belongs to a histogram (`_count` series).
    DurationCount,
    /// Share of a pod's capacity that is in use, 0 to 1.
    Level,
}

/// Unit of a duration's `le` label.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    /// Seconds, the Prometheus convention.
    #[default]
    Seconds,
    /// Milliseconds, as Istio and Linkerd use.
    Milliseconds,
}

/// Where a label's value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Label {
    /// The namespace.
    Namespace,
    /// The workload's name.
    Workload,
    /// The release's set: what `$release` stands for.
    Set,
    /// A pod's name: the set's name, a dash and five characters.
    Pod,
    /// The release's version.
    Version,
    /// The response code.
    Code,
    /// The bucket's upper edge.
    Le,
    /// Always this value.
    Fixed(String),
}

/// A metric family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Family {
    /// The metric's name, `_bucket` or `_count` included.
    pub name: String,
    /// What it measures.
    pub measure: Measure,
    /// Unit of the `le` label.
    #[serde(default)]
    pub unit: Unit,
    /// Its labels.
    pub labels: BTreeMap<String, Label>,
}
