//! JSON documents of strangers, read within limits.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// The longest manifest or index that is read. Registries refuse longer ones; the distribution
/// specification asks them to take 4 MiB.
pub const MOST_MANIFEST_BYTES: usize = 4 * 1024 * 1024;

/// The longest configuration of an image that is read.
pub const MOST_CONFIG_BYTES: usize = 8 * 1024 * 1024;

/// A document that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {what} cannot be read: {why}")]
pub struct Unreadable {
    /// What it should have been, such as `manifest`.
    pub what: &'static str,
    /// Why it is not, with line and column where there is one.
    pub why: String,
}

impl Unreadable {
    pub(super) fn new(what: &'static str, why: impl Into<String>) -> Self {
        Self { what, why: why.into() }
    }
}

/// Reads a document of at most so many bytes. Its depth is limited by the JSON reader, to 128.
pub(super) fn read<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    most_bytes: usize,
) -> Result<T, Unreadable> {
    if bytes.len() > most_bytes {
        let why = format!("it has {} bytes; at most {most_bytes} are read", bytes.len());
        return Err(Unreadable::new(what, why));
    }
    if bytes.is_empty() {
        return Err(Unreadable::new(what, "it is empty"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let why = if error.is_eof() {
            format!("it ends in the middle, after {} bytes ({error})", bytes.len())
        } else {
            error.to_string()
        };
        Unreadable::new(what, why)
    })
}

/// Programs written in Go write `null` for an empty list or map.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Annotations or labels.
pub(super) type Texts = BTreeMap<String, String>;

/// Fields that are not known.
pub(super) type Other = BTreeMap<String, serde_json::Value>;
