//! Canary or blue/green.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OnDeadline, defaults};
use crate::units::{Limit, Span, Weight};

/// How traffic moves to the candidate. Exactly one of `canary` and `blueGreen` is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Strategy {
    /// In steps of rising weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// All at once, with the previous release ready beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
    /// How long the candidate is watched at full weight before it counts as promoted; the
    /// previous release stays ready. Default: 30m.
    #[serde(default = "defaults::bake")]
    pub bake: Span,
}

/// A canary: weights that rise, with analysis between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Canary {
    /// The steps, in order. The last weight is 100. An analysis is added after a weight that has
    /// none before the next one, just long enough to judge.
    pub steps: Vec<CanaryStep>,
}

/// One step of a canary. Exactly one field is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CanaryStep {
    /// Send this share of user traffic to the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_weight: Option<Weight>,
    /// Judge the signals for at least this long; `{}` judges until every signal passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analyse: Option<Analysis>,
    /// Wait for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approval>,
}

/// How long an analysis lasts: a duration, or `{}` for as short as the evidence allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analysis {
    /// At least this long.
    For(Span),
    /// Until every signal passes.
    UntilPass,
}

/// A wait for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// How long to wait. Default: 24h.
    #[serde(default = "defaults::approve_within")]
    pub within: Limit,
    /// What happens when nobody answers. Default: rollback.
    #[serde(default)]
    pub then: OnDeadline,
}

/// Blue/green: the candidate is brought up at full size, then takes all traffic at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlueGreen {
    /// How long the signals are judged after the cutover.
    pub analyse: Analysis,
    /// Ask a person before the cutover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approval>,
}

impl Serialize for Analysis {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::For(span) => span.serialize(serializer),
            Self::UntilPass => {
                use serde::ser::SerializeMap as _;
                serializer.serialize_map(Some(0))?.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Analysis {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Analysis;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a duration such as 5m, or {} to judge until every signal passes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Analysis, E> {
                text.parse().map(Analysis::For).map_err(E::custom)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Analysis, A::Error> {
                #[derive(Deserialize)]
                #[serde(rename_all = "camelCase")]
                enum Field {
                    For,
                }
                let mut length = None;
                while let Some(Field::For) = map.next_key()? {
                    length = Some(map.next_value::<Span>()?);
                }
                Ok(length.map_or(Analysis::UntilPass, Analysis::For))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Analysis {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Analysis".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let span = generator.subschema_for::<Span>();
        schemars::json_schema!({
            "description": "A duration such as 5m, or {} to judge until every signal passes.",
            "anyOf": [
                span,
                {
                    "type": "object",
                    "properties": { "for": span },
                    "additionalProperties": false,
                },
            ],
        })
    }
}
