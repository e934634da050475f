//! sigstore bundles, versions 0.1 to 0.3.

use std::str::FromStr;

use backout_core::units::Digest;
use backout_gates::gates::artifact_signature::{Content, Format, SignatureFact};
use serde::Deserialize;
use sigstore_verify::types::bundle::{MessageSignature, VerificationMaterialContent};
use sigstore_verify::types::{Bundle, DsseEnvelope, HashAlgorithm, Sha256Hash, SignatureContent};

use crate::error::one_line;
use crate::manifest::{BUNDLE_PREFIX, bundle_version};
use crate::statement;
use crate::verifier::{Artifact, Verified, Verifier, by_certificate, by_key};

const VERSIONS: [&str; 3] = ["0.1", "0.2", "0.3"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    media_type: String,
}

/// Verifies a bundle that was found on a digest.
pub(crate) fn verify(verifier: &Verifier, json: &[u8], on: &Digest) -> Verified {
    let of =
        |format: Format, content: Content, fact: SignatureFact| Verified { format, content, fact };
    let unreadable = |version: &str, reason: String| {
        let fact = SignatureFact::Unsupported { reason };
        of(Format::Bundle(version.to_owned()), Content::Signature, fact)
    };
    let head: Head = match serde_json::from_slice(json) {
        Ok(head) => head,
        Err(error) => {
            return unreadable("unknown", format!("it is no bundle: {}", one_line(error)));
        }
    };
    let version = bundle_version(&head.media_type);
    if !head.media_type.starts_with(BUNDLE_PREFIX) || !VERSIONS.contains(&version.as_str()) {
        let reason =
            format!("bundles of the type {} are not known here", one_line(head.media_type));
        return unreadable(&version, reason);
    }
    let parsed = std::str::from_utf8(json)
        .map_err(one_line)
        .and_then(|json| Bundle::from_json(json).map_err(one_line));
    let bundle = match parsed {
        Ok(bundle) => bundle,
        Err(error) => return unreadable(&version, format!("the bundle cannot be read: {error}")),
    };
    let format = Format::Bundle(version);
    match subject(&bundle, on) {
        Ok((content, subjects)) => {
            let fact = verify_for(verifier, &bundle, subjects);
            of(format, content, fact)
        }
        Err(reason) => of(format, Content::Signature, SignatureFact::Invalid { reason }),
    }
}

/// What a bundle says it is about. Trusted only after the signature is verified.
fn subject(bundle: &Bundle, on: &Digest) -> Result<(Content, Vec<Digest>), String> {
    match &bundle.content {
        SignatureContent::DsseEnvelope(envelope) => {
            statement::read(&envelope.payload_type, envelope.payload.as_bytes())
        }
        SignatureContent::MessageSignature(message) => match &message.message_digest {
            // The signature alone says for which bytes it is; the digest is a convenience.
            None => Ok((Content::Signature, vec![on.clone()])),
            Some(digest) if digest.algorithm == HashAlgorithm::Sha2256 => {
                let hash = Sha256Hash::try_from(digest.digest.as_bytes()).map_err(one_line)?;
                let digest = Digest::from_str(&format!("sha256:{}", hash.to_hex()));
                Ok((Content::Signature, vec![digest.map_err(one_line)?]))
            }
            Some(digest) => Err(format!(
                "it signs a {} digest, and images are known by SHA-256",
                one_line(digest.algorithm)
            )),
        },
        _ => Err("it holds neither a message signature nor an envelope".to_owned()),
    }
}

fn verify_for(verifier: &Verifier, bundle: &Bundle, subjects: Vec<Digest>) -> SignatureFact {
    // Any subject will do: the statement is signed as a whole, and which of them is the deployed
    // image is for the gate to say.
    let Some(artifact) =
        subjects.first().and_then(|subject| Sha256Hash::from_hex(subject.hex()).ok())
    else {
        return SignatureFact::Invalid { reason: "it names no SHA-256 digest".to_owned() };
    };
    match &bundle.verification_material.content {
        VerificationMaterialContent::PublicKey(key) => {
            verify_key(verifier, bundle, &key.hint, artifact, subjects)
        }
        _ => match verifier.certificate(bundle, Artifact::Digest(artifact)) {
            Ok(result) => by_certificate(&result, subjects),
            Err(fact) => fact,
        },
    }
}

fn verify_key(
    verifier: &Verifier,
    bundle: &Bundle,
    hint: &str,
    artifact: Sha256Hash,
    subjects: Vec<Digest>,
) -> SignatureFact {
    let made = |key: &&crate::PublicKey| match &bundle.content {
        SignatureContent::DsseEnvelope(envelope) => made_envelope(key, envelope),
        SignatureContent::MessageSignature(message) => made_message(key, message, &artifact),
        _ => false,
    };
    if let Some(key) = verifier.keys.iter().find(made) {
        return match verifier.witnesses(bundle, key, artifact) {
            Ok(time) => by_key(key, subjects, time),
            Err(fact) => fact,
        };
    }
    if let Some(key) = verifier.keys.iter().find(|key| key.is_hinted(hint)) {
        let is_ed25519_digest = matches!(&bundle.content, SignatureContent::MessageSignature(message)
            if key.made_for_digest(artifact.as_bytes(), &message.signature).is_none());
        if is_ed25519_digest {
            let reason = "an Ed25519 signature over the image itself needs the whole manifest";
            return SignatureFact::Unsupported { reason: reason.to_owned() };
        }
        let reason = format!("it names the key {}, which did not make it", key.name());
        return SignatureFact::Invalid { reason };
    }
    if hint.is_empty() {
        return verifier.by_no_key();
    }
    SignatureFact::OtherSigner { claim: format!("the key with the hint {}", one_line(hint)) }
}

fn made_envelope(key: &crate::PublicKey, envelope: &DsseEnvelope) -> bool {
    key.made(&envelope.pae(), &envelope.signature.sig)
}

fn made_message(key: &crate::PublicKey, message: &MessageSignature, artifact: &Sha256Hash) -> bool {
    key.made_for_digest(artifact.as_bytes(), &message.signature) == Some(true)
}
