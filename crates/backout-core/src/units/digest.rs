//! Content digests.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::text;

/// Known algorithms, with the length of their digests in hexadecimal digits.
const ALGORITHMS: [(&str, usize); 2] = [("sha256", 64), ("sha512", 128)];

/// A content digest such as `sha256:2c26...`, the only way to name an image that cannot change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// Computes the SHA-256 digest of some bytes.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut shown = String::from("sha256:");
        for byte in Sha256::digest(bytes) {
            shown.push(char::from(HEX[usize::from(byte >> 4)]));
            shown.push(char::from(HEX[usize::from(byte & 0xf)]));
        }
        Self(shown)
    }

    /// Returns the whole digest, with its algorithm.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the hexadecimal part.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }

    /// Returns the first twelve hexadecimal digits, which is what people compare by eye.
    #[must_use]
    pub fn short(&self) -> &str {
        self.hex().get(..12).unwrap_or_default()
    }
}

/// A text that is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no known algorithm before a colon.
    #[error("expected a digest such as \"sha256:\" followed by 64 lowercase hexadecimal digits")]
    NotDigest,
    /// The hexadecimal part has the wrong length.
    #[error(
        "expected a {algorithm} digest of {expected} lowercase hexadecimal digits, found {found}"
    )]
    Length {
        /// The algorithm of the digest.
        algorithm: &'static str,
        /// The digits that the algorithm gives.
        expected: usize,
        /// The characters that are there.
        found: usize,
    },
    /// A character is not a lowercase hexadecimal digit.
    #[error("expected lowercase hexadecimal digits after the colon, found `{}`", .0.escape_debug())]
    NotHex(char),
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (prefix, hex) = text.split_once(':').ok_or(DigestError::NotDigest)?;
        let (algorithm, expected) = ALGORITHMS
            .into_iter()
            .find(|(algorithm, _)| *algorithm == prefix)
            .ok_or(DigestError::NotDigest)?;
        if let Some(bad) = hex.chars().find(|c| !matches!(c, '0'..='9' | 'a'..='f')) {
            return Err(DigestError::NotHex(bad));
        }
        if hex.len() != expected {
            return Err(DigestError::Length { algorithm, expected, found: hex.len() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::deserialize(
            deserializer,
            "a digest such as \"sha256:\" followed by 64 lowercase hexadecimal digits",
            "expected a digest such as \"sha256:\" followed by 64 lowercase hexadecimal digits",
        )
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Digest").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A content digest: sha256 or sha512, a colon, and lowercase hexadecimal digits.",
            "pattern": "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$",
            "examples": ["sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::schema_texts;
    use super::*;
    use proptest::prelude::*;

    const FOO: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

    #[test]
    fn computes_and_reads_the_same() {
        let digest = Digest::of_bytes(b"foo");
        assert_eq!(digest.as_str(), FOO);
        assert_eq!(FOO.parse(), Ok(digest.clone()));
        assert_eq!(digest.short(), "2c26b46b68ff");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        let long = format!("sha512:{}", "0f".repeat(64));
        assert_eq!(long.parse::<Digest>().unwrap().to_string(), long);
    }

    #[test]
    fn refuses_with_a_reason() {
        for text in ["", "latest", "md5:abc", &FOO[7..], "SHA256:00", ":"] {
            assert_eq!(text.parse::<Digest>(), Err(DigestError::NotDigest), "{text}");
        }
        let length = |found| DigestError::Length { algorithm: "sha256", expected: 64, found };
        assert_eq!("sha256:".parse::<Digest>(), Err(length(0)));
        assert_eq!("sha256:abc".parse::<Digest>(), Err(length(3)));
        assert_eq!(format!("{FOO}0").parse::<Digest>(), Err(length(65)));
        assert_eq!(FOO.replace("2c", "2C").parse::<Digest>(), Err(DigestError::NotHex('C')));
        assert!(serde_json::from_str::<Digest>("5").is_err());
    }

    proptest! {
        #[test]
        fn the_schema_allows_only_what_is_read(text in schema_texts::<Digest>()) {
            let read = text.parse::<Digest>();
            prop_assert!(read.is_ok(), "{}: {:?}", text, read);
        }
    }
}
