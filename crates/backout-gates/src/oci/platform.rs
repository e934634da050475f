//! Operating system and processor.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::document::Other;

/// Operating system and processor that an image is made for, or that a node has. Written as
/// `linux/amd64` or `linux/arm64/v8`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Processor, such as `amd64`, by Go's names.
    pub architecture: String,
    /// Variant of the processor, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Fields that do not decide here, such as the version of Windows.
    #[serde(flatten)]
    pub other: OtherFields,
}

/// Fields of a platform that are kept and not compared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OtherFields(Other);

impl PartialEq for OtherFields {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for OtherFields {}

impl PartialOrd for OtherFields {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OtherFields {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Platform {
    /// A platform by its parts; names that other tools use become Go's.
    #[must_use]
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let architecture = match architecture {
            "x86_64" | "x86-64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self {
            os: os.to_ascii_lowercase(),
            architecture: architecture.to_owned(),
            variant: variant.filter(|variant| !variant.is_empty()).map(str::to_owned),
            other: OtherFields::default(),
        }
    }

    /// Whether a node of this platform runs images that are made for `image`. Every 64-bit ARM
    /// has variant `v8`, whether it is written or not; a 32-bit one runs what is made for older ones.
    #[must_use]
    pub fn runs(&self, image: &Self) -> bool {
        let variant = |platform: &Self| {
            let written = platform.variant.as_deref()?.trim_start_matches('v');
            written.parse::<u32>().ok()
        };
        self.os == image.os
            && self.architecture == image.architecture
            && match (variant(self), variant(image)) {
                (Some(node), Some(image)) => image <= node,
                (Some(_) | None, None) | (None, Some(_)) => true,
            }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
            format!("`{shown}` is not a platform; write it as linux/amd64 or linux/arm64/v8")
        };
        let is_word = |word: &&str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            !word.is_empty() && word.len() <= 40 && word.chars().all(fits)
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(is_word) {
            return Err(refused());
        }
        match parts.as_slice() {
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_read_and_compared_by_what_nodes_run() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        assert_eq!(platform("linux/x86_64"), platform("linux/amd64"));
        assert_eq!(platform("linux/arm64/v8").to_string(), "linux/arm64/v8");
        for (node, image, runs) in [
            ("linux/amd64", "linux/amd64", true),
            ("linux/amd64", "linux/arm64", false),
            ("linux/amd64", "windows/amd64", false),
            ("linux/arm64", "linux/arm64/v8", true),
            ("linux/arm64/v8", "linux/arm64", true),
            ("linux/arm/v7", "linux/arm/v6", true),
            ("linux/arm/v6", "linux/arm/v7", false),
        ] {
            assert_eq!(platform(node).runs(&platform(image)), runs, "{node} runs {image}");
        }
        for text in ["", "linux", "linux/", "a/b/c/d", "linux/am d64"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }
}
