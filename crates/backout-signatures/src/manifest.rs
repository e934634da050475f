//! Which parts of a manifest are signatures.

use std::collections::BTreeMap;

use backout_core::units::Digest;
use backout_gates::gates::artifact_signature::{Content, Format, Place};
use backout_gates::oci::media_type::IN_TOTO;
use backout_gates::oci::{Descriptor, ImageManifest, Manifest};

use crate::error::{MaterialError, one_line};
use crate::limits;

/// The media type of a simple signing payload.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// What the media types of all sigstore bundles begin with.
pub const BUNDLE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";

/// The artifact type of signatures of the Notary Project.
pub const NOTATION: &str = "application/vnd.cncf.notary.signature";

const DSSE: &str = "application/vnd.dsse.envelope.v1+json";

/// A manifest that holds signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureManifest {
    /// The image that it refers to, when it says so.
    pub subject: Option<Digest>,
    /// Its signatures. Empty for a manifest of something else, such as a bill of materials.
    pub layers: Vec<SignatureLayer>,
}

/// One signature of a manifest, still to be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLayer {
    /// The blob with the payload or bundle.
    pub digest: Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its format, as the media type says.
    pub format: Format,
    /// What it says about the image, as far as the manifest tells. The verified content decides.
    pub content: Content,
    /// The annotations beside it: simple signing keeps the signature there.
    pub annotations: BTreeMap<String, String>,
}

impl SignatureLayer {
    /// Whether its blob is worth fetching. Of others [`crate::Verifier::unsupported`] says why not.
    #[must_use]
    pub fn is_verifiable(&self) -> bool {
        matches!(self.format, Format::SimpleSigning | Format::Bundle(_)) && !self.is_too_large()
    }

    pub(crate) fn is_too_large(&self) -> bool {
        usize::try_from(self.size_bytes).map_or(true, |bytes| bytes > limits::MAX_LAYER_BYTES)
    }
}

/// Reads which layers of a manifest are signatures.
///
/// Layers are known by their own media type, because the `artifactType` of a list of referrers is
/// often that of an empty artifact. Something unknown counts as a signature where only signatures
/// live (the `.sig` tag), and elsewhere when its type says that it is one.
///
/// # Errors
///
/// When it is no manifest, or has too many layers.
pub fn read(place: Place, bytes: &[u8]) -> Result<SignatureManifest, MaterialError> {
    let manifest = Manifest::read(bytes, None)
        .map_err(|error| MaterialError::Manifest { reason: one_line(error) })?;
    match manifest {
        Manifest::Image(manifest) => signatures(place, &manifest),
        // An index has no content of its own.
        Manifest::Index(index) => Ok(SignatureManifest {
            subject: index.subject.map(|subject| subject.digest),
            layers: Vec::new(),
        }),
    }
}

/// Says which layers of a manifest that was read already are signatures: see [`read`].
///
/// # Errors
///
/// When it has too many layers.
pub fn signatures(
    place: Place,
    manifest: &ImageManifest,
) -> Result<SignatureManifest, MaterialError> {
    if manifest.layers.len() > limits::MAX_LAYERS {
        let reason = format!(
            "it has {} layers, and at most {} are read",
            manifest.layers.len(),
            limits::MAX_LAYERS
        );
        return Err(MaterialError::Manifest { reason });
    }
    // Before OCI 1.1 the type of an artifact was that of its configuration.
    let artifact_type = manifest.artifact_type.as_deref().unwrap_or(&manifest.config.media_type);
    let layers = manifest
        .layers
        .iter()
        .filter_map(|layer| {
            let (format, content) = classify(place, artifact_type, layer, &manifest.annotations)?;
            Some(SignatureLayer {
                digest: layer.digest.clone(),
                size_bytes: layer.size,
                format,
                content,
                annotations: layer.annotations.clone(),
            })
        })
        .collect();
    let subject = manifest.subject.as_ref().map(|subject| subject.digest.clone());
    Ok(SignatureManifest { subject, layers })
}

fn classify(
    place: Place,
    artifact_type: &str,
    layer: &Descriptor,
    outer: &BTreeMap<String, String>,
) -> Option<(Format, Content)> {
    let media_type = layer.media_type.as_str();
    if artifact_type == NOTATION {
        return Some((Format::Notation, Content::Signature));
    }
    if media_type == SIMPLE_SIGNING {
        return Some((Format::SimpleSigning, Content::Signature));
    }
    if media_type.starts_with(BUNDLE_PREFIX) {
        let version = bundle_version(media_type);
        return Some((Format::Bundle(version), Content::Signature));
    }
    if media_type == DSSE {
        let predicate = layer
            .annotations
            .get("predicateType")
            .or_else(|| outer.get("predicateType"))
            .map(one_line)
            .unwrap_or_default();
        return Some((Format::Dsse, Content::Attestation { predicate }));
    }
    if media_type == IN_TOTO {
        // What the build tool writes beside an image: a statement that nobody signed.
        let predicate =
            layer.annotations.get("in-toto.io/predicate-type").map(one_line).unwrap_or_default();
        return Some((Format::Unknown(media_type.to_owned()), Content::Attestation { predicate }));
    }
    let is_signature = match place {
        Place::SigTag => true,
        Place::AttTag | Place::IndexAttestation => false,
        Place::Referrers | Place::FallbackTag => {
            artifact_type.contains("signature") || media_type.contains("signature")
        }
    };
    let shown = if artifact_type.contains("signature") { artifact_type } else { media_type };
    is_signature.then(|| (Format::Unknown(one_line(shown)), Content::Signature))
}

/// The version in the media type of a bundle, in either of its two spellings.
pub(crate) fn bundle_version(media_type: &str) -> String {
    let rest = media_type.strip_prefix(BUNDLE_PREFIX).unwrap_or_default();
    let version = rest
        .strip_prefix(".v")
        .and_then(|rest| rest.strip_suffix("+json"))
        .or_else(|| rest.strip_prefix("+json;version="))
        .unwrap_or("unknown");
    one_line(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "application/vnd.oci.empty.v1+json";

    fn json(artifact_type: &str, media_type: &str, layers: usize) -> String {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let layer = format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":3}}"#);
        let config = format!(r#"{{"mediaType":"{EMPTY}","digest":"{digest}","size":2}}"#);
        let layers = vec![layer; layers].join(",");
        format!(
            r#"{{"schemaVersion":2,"artifactType":"{artifact_type}","config":{config},
            "layers":[{layers}]}}"#
        )
    }

    fn layers(place: Place, artifact_type: &str, media_type: &str) -> Vec<(Format, Content)> {
        let manifest = read(place, json(artifact_type, media_type, 1).as_bytes()).unwrap();
        manifest.layers.into_iter().map(|layer| (layer.format, layer.content)).collect()
    }

    #[test]
    fn signatures_are_known_by_the_type_of_the_layer() {
        let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
        let v01 = "application/vnd.dev.sigstore.bundle+json;version=0.1";
        let bundle_of = |version: &str| (Format::Bundle(version.to_owned()), Content::Signature);
        assert_eq!(layers(Place::FallbackTag, EMPTY, bundle), [bundle_of("0.3")]);
        assert_eq!(layers(Place::Referrers, "", v01), [bundle_of("0.1")]);
        let simple = (Format::SimpleSigning, Content::Signature);
        assert_eq!(layers(Place::SigTag, "", SIMPLE_SIGNING), [simple]);
        let notation = (Format::Notation, Content::Signature);
        assert_eq!(layers(Place::Referrers, NOTATION, "application/jose+json"), [notation]);
        assert!(matches!(&layers(Place::AttTag, "", DSSE)[..], [(Format::Dsse, _)]));
    }

    #[test]
    fn what_is_unknown_is_a_signature_where_only_signatures_live() {
        let odd = "application/vnd.example.odd";
        let unknown = (Format::Unknown(odd.to_owned()), Content::Signature);
        assert_eq!(layers(Place::SigTag, "", odd), [unknown]);
        assert_eq!(layers(Place::Referrers, "", "application/spdx+json"), []);
        let signature = "application/vnd.example.signature.v1";
        let unknown = (Format::Unknown(signature.to_owned()), Content::Signature);
        assert_eq!(layers(Place::Referrers, signature, odd), [unknown]);
    }

    #[test]
    fn bad_manifests_are_refused() {
        for bad in ["", "[]", "{}", "{\"layers\":3}"] {
            assert!(read(Place::SigTag, bad.as_bytes()).is_err(), "{bad}");
        }
        let many = json("", SIMPLE_SIGNING, limits::MAX_LAYERS + 1);
        let error = read(Place::SigTag, many.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("65 layers"), "{error}");
        let large = vec![b' '; 64 << 20];
        assert!(read(Place::SigTag, &large).is_err());
    }
}
