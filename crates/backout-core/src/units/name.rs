//! Names of things.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::text;

/// The longest name that Kubernetes takes for an object.
const LONGEST: usize = 253;

/// The name of a policy, a signal or a workload, under the rules of a DNS subdomain.
///
/// Kubernetes has the same rules for its objects, so a name can serve there unchanged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Makes a name from a text in the source code, which must keep the rules.
    #[must_use]
    pub fn from_static(name: &'static str) -> Self {
        debug_assert!(name.parse::<Self>().is_ok(), "{name} is not a name");
        Self(name.to_owned())
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is no text.
    #[error("expected a name such as \"checkout-api\"; the text is empty")]
    Empty,
    /// The name is too long.
    #[error("expected a name of at most 253 characters, found {0}")]
    TooLong(usize),
    /// A character is not allowed anywhere in a name.
    #[error(
        "expected a name of lowercase letters, digits, `-` and `.`, such as \"checkout-api\"; \
         found `{}`",
        .0.escape_debug()
    )]
    Character(char),
    /// The name, or a part of it between dots, has a `-` or a `.` at its edge.
    #[error("expected a name whose every part begins and ends with a lowercase letter or a digit")]
    Edge,
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        let allowed = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '.');
        if let Some(bad) = text.chars().find(|c| !allowed(c)) {
            return Err(NameError::Character(bad));
        }
        if text.len() > LONGEST {
            return Err(NameError::TooLong(text.len()));
        }
        let edge = |part: &str| part.is_empty() || part.starts_with('-') || part.ends_with('-');
        if text.split('.').any(edge) {
            return Err(NameError::Edge);
        }
        Ok(Self(text.to_owned()))
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(
            deserializer,
            "a name such as \"checkout-api\"",
            "expected a name such as \"checkout-api\"; write quotes around a name that looks like \
             a number or a boolean",
        )
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Name").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A name of lowercase letters, digits, - and ., as Kubernetes has for its objects.",
            "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            "minLength": 1,
            "maxLength": LONGEST,
            "examples": ["checkout-api"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::schema_texts;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn reads_names() {
        for text in ["a", "0", "checkout-api", "a.b-c.d", &"a".repeat(253)] {
            assert_eq!(text.parse::<Name>().unwrap().as_str(), text);
        }
        let map = BTreeMap::from([("api".parse::<Name>().unwrap(), 1)]);
        assert_eq!(map.get("api"), Some(&1));
    }

    #[test]
    fn refuses_with_a_reason() {
        for (text, error) in [
            ("", NameError::Empty),
            ("Api", NameError::Character('A')),
            ("a b", NameError::Character(' ')),
            ("a_b", NameError::Character('_')),
            ("é", NameError::Character('é')),
            ("-a", NameError::Edge),
            ("a-", NameError::Edge),
            (".", NameError::Edge),
            ("a..b", NameError::Edge),
            ("a.-b", NameError::Edge),
            (&"a".repeat(254), NameError::TooLong(254)),
        ] {
            assert_eq!(text.parse::<Name>(), Err(error), "{text}");
        }
        let message = serde_json::from_str::<Name>("5").unwrap_err().to_string();
        assert!(message.contains("write quotes"), "{message}");
    }

    proptest! {
        #[test]
        fn the_schema_allows_only_what_is_read(text in schema_texts::<Name>()) {
            let read = text.parse::<Name>();
            prop_assert!(matches!(read, Ok(_) | Err(NameError::TooLong(_))), "{}: {:?}", text, read);
        }
    }
}
