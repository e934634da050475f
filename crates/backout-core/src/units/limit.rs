//! Time limits that may be absent on purpose.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::span::{self, SpanFault};
use super::{Span, text};

/// The word that stands for the absence of a limit.
const NONE: &str = "none";

/// A time limit, or the stated wish to have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// There is no limit, and the author wrote so.
    None,
    /// The limit is this span.
    Within(Span),
}

impl Limit {
    /// Returns the span of the limit, if there is a limit.
    #[must_use]
    pub const fn span(self) -> Option<Span> {
        match self {
            Self::None => None,
            Self::Within(span) => Some(span),
        }
    }
}

/// A text that is neither `none` nor a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `none` or a duration such as \"90s\", \"5m\" or \"1h30m\"; {0}")]
pub struct LimitError(pub SpanFault);

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        if text == NONE {
            return Ok(Self::None);
        }
        text.parse().map(Self::Within).map_err(|error: span::SpanError| LimitError(error.0))
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => formatter.pad(NONE),
            Self::Within(span) => span.fmt(formatter),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(
            deserializer,
            "`none` or a duration such as \"90s\", \"5m\" or \"1h30m\"",
            "a limit is the word `none` or a duration with a unit, such as \"90s\", \"5m\" or \
             \"1h30m\"",
        )
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Limit").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "The word none, or a duration such as 90s, 5m or 1h30m.",
            "pattern": format!("^(none|{})$", span::PATTERN),
            "minLength": 1,
            "examples": ["none", "90s", "5m", "1h30m"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::schema_texts;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_both_forms() {
        assert_eq!("none".parse(), Ok(Limit::None));
        assert_eq!("5m".parse(), Ok(Limit::Within(Span::from_mins(5))));
        assert_eq!(Limit::None.span(), None);
        assert_eq!(Limit::Within(Span::ZERO).span(), Some(Span::ZERO));
    }

    #[test]
    fn refuses_naming_both_forms() {
        for text in ["", "None", "off", "5", "-1m"] {
            let message = text.parse::<Limit>().unwrap_err().to_string();
            assert!(message.starts_with("expected `none` or a duration"), "{message}");
        }
        for json in ["null", "5", "false"] {
            let message = serde_json::from_str::<Limit>(json).unwrap_err().to_string();
            assert!(message.starts_with("a limit is the word `none` or a duration"), "{message}");
        }
    }

    #[test]
    fn round_trips() {
        for limit in [Limit::None, Limit::Within(Span::from_secs(90))] {
            assert_eq!(limit.to_string().parse(), Ok(limit));
            let json = serde_json::to_string(&limit).unwrap();
            assert_eq!(serde_json::from_str::<Limit>(&json).unwrap(), limit);
        }
    }

    proptest! {
        #[test]
        fn the_schema_allows_only_what_is_read(text in schema_texts::<Limit>()) {
            let read = text.parse::<Limit>();
            prop_assert!(matches!(&read, Ok(_) | Err(LimitError(SpanFault::Empty | SpanFault::TooLong))), "{}: {:?}", text, read);
        }
    }
}
