//! Makes signatures, for tests and examples: what cosign would push, without cosign.
//!
//! Keys are made by chance and ECDSA draws a number for each signature, so that no two runs make the
//! same bytes. Secrets stay in memory, and are never printed.

mod instance;

use std::collections::BTreeMap;

use backout_core::units::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use sigstore_verify::crypto::KeyPair;
use sigstore_verify::types::pae;

use crate::simple_signing::{SIGNATURE, TYPE};
use crate::statement::{PAYLOAD_TYPE, SIGNATURE_PREDICATE};

pub use instance::{Holder, Instance};

/// The media type of the bundles that are made here.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The media type of image manifests.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The type of artifacts and configurations that are empty.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A signature could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no signature could be made: {0}")]
pub struct SignError(pub(crate) String);

impl SignError {
    pub(crate) fn because(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// A signing key of the kind that `cosign generate-key-pair` makes: P-256.
pub struct SigningKey(KeyPair);

impl SigningKey {
    /// Makes a key by chance.
    ///
    /// # Errors
    ///
    /// When the system gives no chance.
    pub fn generate() -> Result<Self, SignError> {
        KeyPair::generate_ecdsa_p256().map(Self).map_err(SignError::because)
    }

    /// The public key as PEM, which a policy names.
    ///
    /// # Errors
    ///
    /// When the key cannot be written.
    pub fn public_pem(&self) -> Result<String, SignError> {
        Ok(self.0.public_key_der().map_err(SignError::because)?.to_pem())
    }

    /// The layer of a `.sig` tag for a digest, as cosign before version 3 makes it.
    ///
    /// # Errors
    ///
    /// When the key does not sign.
    pub fn simple_signing(&self, repository: &str, digest: &Digest) -> Result<Layer, SignError> {
        let payload = simple_signing_payload(repository, digest);
        let signature = self.0.sign(&payload).map_err(SignError::because)?;
        Ok(Layer {
            media_type: crate::manifest::SIMPLE_SIGNING.to_owned(),
            annotations: BTreeMap::from([(SIGNATURE.to_owned(), signature.to_base64())]),
            blob: payload,
        })
    }

    /// A bundle with a signature for a digest, without log entry or timestamp, as cosign 3 makes it
    /// with a key and no log.
    ///
    /// # Errors
    ///
    /// When the key does not sign.
    pub fn bundle(&self, digest: &Digest) -> Result<Layer, SignError> {
        self.attestation(digest, SIGNATURE_PREDICATE)
    }

    /// A bundle with a statement of another type about a digest.
    ///
    /// # Errors
    ///
    /// When the key does not sign.
    pub fn attestation(&self, digest: &Digest, predicate: &str) -> Result<Layer, SignError> {
        let payload = statement(digest, predicate);
        let signature = self.0.sign(&pae(PAYLOAD_TYPE, &payload)).map_err(SignError::because)?;
        let public = self.0.public_key_der().map_err(SignError::because)?;
        let hint = sigstore_verify::crypto::sha256(public.as_bytes()).to_base64();
        let bundle = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": { "publicKey": { "hint": hint }, "tlogEntries": [] },
            "dsseEnvelope": envelope(&payload, &signature.to_base64()),
        });
        Ok(Layer::of_bundle(&bundle))
    }
}

/// A layer of a signature manifest.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Its media type.
    pub media_type: String,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its content.
    pub blob: Vec<u8>,
}

impl Layer {
    /// A layer with a bundle.
    #[must_use]
    pub fn of_bundle(bundle: &Value) -> Self {
        Self {
            media_type: BUNDLE.to_owned(),
            annotations: BTreeMap::new(),
            blob: bundle.to_string().into_bytes(),
        }
    }
}

/// A manifest with the blobs that it names, ready to be pushed: the blobs first.
#[derive(Clone, Debug)]
pub struct Pushable {
    /// The manifest, of the type [`MANIFEST`].
    pub manifest: Vec<u8>,
    /// Its configuration and layers.
    pub blobs: Vec<Vec<u8>>,
}

impl Pushable {
    /// The manifest's digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(&self.manifest)
    }
}

/// The image that a referrer refers to.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its digest.
    pub digest: Digest,
    /// The media type of its manifest.
    pub media_type: String,
    /// The size of its manifest in bytes.
    pub size_bytes: usize,
}

/// The manifest of a `.sig` tag, with one layer for each signature.
#[must_use]
pub fn sig_manifest(layers: &[Layer]) -> Pushable {
    let diff_ids: Vec<String> =
        layers.iter().map(|layer| Digest::of_bytes(&layer.blob).to_string()).collect();
    let config = json!({
        "architecture": "",
        "os": "",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &config, None),
        "layers": described(layers),
    });
    pushable(&manifest, config, layers)
}

/// The manifest of a referrer: an artifact that names the image as its subject.
#[must_use]
pub fn referrer(image: &Image, artifact_type: &str, layers: &[Layer]) -> Pushable {
    let config = b"{}".to_vec();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": descriptor(EMPTY, &config, None),
        "layers": described(layers),
        "subject": {
            "mediaType": image.media_type,
            "digest": image.digest.to_string(),
            "size": image.size_bytes,
        },
    });
    pushable(&manifest, config, layers)
}

/// The index of the fallback tag, with each referrer and the artifact type that it is listed as.
#[must_use]
pub fn fallback_index(referrers: &[(&Pushable, &str)]) -> Vec<u8> {
    let manifests: Vec<Value> = referrers
        .iter()
        .map(|(referrer, artifact_type)| {
            let mut descriptor = descriptor(MANIFEST, &referrer.manifest, None);
            descriptor["artifactType"] = json!(artifact_type);
            descriptor
        })
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    })
    .to_string()
    .into_bytes()
}

fn pushable(manifest: &Value, config: Vec<u8>, layers: &[Layer]) -> Pushable {
    let mut blobs = vec![config];
    blobs.extend(layers.iter().map(|layer| layer.blob.clone()));
    Pushable { manifest: manifest.to_string().into_bytes(), blobs }
}

fn described(layers: &[Layer]) -> Vec<Value> {
    layers
        .iter()
        .map(|layer| descriptor(&layer.media_type, &layer.blob, Some(&layer.annotations)))
        .collect()
}

fn descriptor(
    media_type: &str,
    blob: &[u8],
    annotations: Option<&BTreeMap<String, String>>,
) -> Value {
    let mut descriptor = json!({
        "mediaType": media_type,
        "digest": Digest::of_bytes(blob).to_string(),
        "size": blob.len(),
    });
    if let Some(annotations) = annotations.filter(|annotations| !annotations.is_empty()) {
        descriptor["annotations"] = json!(annotations);
    }
    descriptor
}

pub(crate) fn simple_signing_payload(repository: &str, digest: &Digest) -> Vec<u8> {
    json!({
        "critical": {
            "identity": { "docker-reference": repository },
            "image": { "docker-manifest-digest": digest.to_string() },
            "type": TYPE,
        },
        "optional": null,
    })
    .to_string()
    .into_bytes()
}

pub(crate) fn statement(digest: &Digest, predicate: &str) -> Vec<u8> {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "", "digest": { "sha256": digest.hex() } }],
        "predicateType": predicate,
        "predicate": {},
    })
    .to_string()
    .into_bytes()
}

pub(crate) fn envelope(payload: &[u8], signature: &str) -> Value {
    json!({
        "payload": BASE64.encode(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{ "sig": signature }],
    })
}
