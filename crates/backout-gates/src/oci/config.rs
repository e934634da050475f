//! The configuration of an image.

use backout_core::units::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::{self, MOST_CONFIG_BYTES, Other, Texts, Unreadable, or_default};
use super::{Platform, media_type};

/// The configuration of an image: how it runs, and what its layers are without compression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was built, RFC 3339, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Processor.
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// Variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Operating system.
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// How a container of it runs.
    #[serde(default, deserialize_with = "or_default")]
    pub config: ContainerConfig,
    /// The content of its layers. Nothing when it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<RootFs>,
    /// How it was made, one entry for each step.
    #[serde(default, deserialize_with = "or_default")]
    pub history: Vec<Value>,
    /// Fields that are not known.
    #[serde(flatten)]
    pub other: Other,
}

/// How a container of an image runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// The user that it runs as.
    #[serde(default, deserialize_with = "or_default")]
    pub user: String,
    /// Environment, as `NAME=value`.
    #[serde(default, deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// The command.
    #[serde(default, deserialize_with = "or_default")]
    pub entrypoint: Vec<String>,
    /// Its arguments, or the command when there is no entrypoint.
    #[serde(default, deserialize_with = "or_default")]
    pub cmd: Vec<String>,
    /// The folder that it starts in.
    #[serde(default, deserialize_with = "or_default")]
    pub working_dir: String,
    /// Labels.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: Texts,
    /// Everything else, such as ports and volumes.
    #[serde(flatten)]
    pub other: Other,
}

/// The content of the layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Digests of the layers without compression, the lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
    /// Fields that are not known.
    #[serde(flatten)]
    pub other: Other,
}

impl ImageConfig {
    /// Reads a configuration. `media_type` is what the manifest says that it is.
    ///
    /// # Errors
    /// When it is too long, no JSON, or the configuration of something that is no image.
    pub fn read(bytes: &[u8], media_type: &str) -> Result<Self, Unreadable> {
        if !media_type::is_image_config(media_type) {
            let why = format!("it is of type `{media_type}`, which is no image");
            return Err(Unreadable::new("configuration", why));
        }
        document::read("configuration", bytes, MOST_CONFIG_BYTES)
    }

    /// The platform that the image is made for.
    #[must_use]
    pub fn platform(&self) -> Platform {
        Platform::new(&self.os, &self.architecture, self.variant.as_deref())
    }

    /// The digests of its layers without compression, if it has any layers.
    #[must_use]
    pub fn diff_ids(&self) -> Option<&[Digest]> {
        self.rootfs.as_ref().map(|rootfs| rootfs.diff_ids.as_slice())
    }
}
