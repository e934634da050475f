//! What points at a blob or manifest.

use backout_core::units::Digest;
use serde::{Deserialize, Serialize};

use super::Platform;
use super::document::{Other, Texts, or_default};

/// The annotation by which BuildKit marks what is no image in an index.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// The annotation by which BuildKit says which image an attestation belongs to.
const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// What points at a blob or manifest: what it is, its digest and its size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Its media type; empty when the document does not say.
    #[serde(default, deserialize_with = "or_default")]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Annotations; empty when there are none.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Texts::is_empty")]
    pub annotations: Texts,
    /// The platform of an image, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact it is, when it is no image. Registries and clients often write a
    /// wrong one here, so that it is no ground to leave something out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Fields that are not known.
    #[serde(flatten)]
    pub other: Other,
}

impl Descriptor {
    /// Whether it is an attestation that BuildKit put beside the images of an index.
    #[must_use]
    pub fn is_attestation(&self) -> bool {
        self.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == "attestation-manifest")
    }

    /// The image that an attestation of BuildKit's belongs to.
    #[must_use]
    pub fn attested_digest(&self) -> Option<Digest> {
        self.annotations.get(REFERENCE_DIGEST)?.parse().ok()
    }
}
