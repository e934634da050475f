//! Verifies what was found.

use std::collections::BTreeMap;

use backout_core::units::Digest;
use backout_gates::gates::artifact_signature::{
    CertificateIdentity, Content, Format, SignatureFact, Signer, TimeEvidence, TrustRootAge,
    ValidSignature,
};
use sigstore_verify::crypto::CertificateInfo;
use sigstore_verify::types::{Bundle, Sha256Hash};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, VerificationResult};

use crate::error::{MaterialError, one_line};
use crate::manifest::SignatureLayer;
use crate::trust_root::time;
use crate::{PublicKey, TrustRoot, bundle, limits, simple_signing};

/// Verifies signatures with the keys and the trust root that the policy names.
#[derive(Default)]
pub struct Verifier {
    pub(crate) keys: Vec<PublicKey>,
    pub(crate) trust_root: Option<TrustRoot>,
}

/// What came of verifying one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its format; of a bundle with the version that it says itself.
    pub format: Format,
    /// What it says about the image.
    pub content: Content,
    /// Whether it holds, who made it and what it is for.
    pub fact: SignatureFact,
}

impl Verifier {
    /// Makes a verifier.
    #[must_use]
    pub fn new(keys: Vec<PublicKey>, trust_root: Option<TrustRoot>) -> Self {
        Self { keys, trust_root }
    }

    /// Makes a verifier of files' contents. Each is given as its name in the policy and its text.
    ///
    /// # Errors
    ///
    /// When a key or the trust root cannot be used.
    pub fn read(
        keys: &[(&str, &str)],
        trust_root: Option<(&str, &str)>,
    ) -> Result<Self, MaterialError> {
        let keys = keys
            .iter()
            .map(|(name, pem)| PublicKey::from_pem(name, pem))
            .collect::<Result<_, _>>()?;
        let trust_root =
            trust_root.map(|(name, json)| TrustRoot::from_json(name, json)).transpose()?;
        Ok(Self { keys, trust_root })
    }

    /// What the trust root says about its own age; nothing when there is none.
    #[must_use]
    pub fn trust_root_age(&self) -> Option<TrustRootAge> {
        self.trust_root.as_ref().map(TrustRoot::age)
    }

    /// Verifies one signature of a manifest. `blob` is the layer's content, whose digest the caller
    /// has checked; `on` is the digest that the signature was found on.
    #[must_use]
    pub fn verify(&self, layer: &SignatureLayer, blob: &[u8], on: &Digest) -> Verified {
        let as_listed =
            |fact| Verified { format: layer.format.clone(), content: layer.content.clone(), fact };
        if blob.len() > limits::MAX_LAYER_BYTES {
            return as_listed(too_large(u64::try_from(blob.len()).unwrap_or(u64::MAX)));
        }
        match &layer.format {
            Format::SimpleSigning => {
                as_listed(simple_signing::verify(self, blob, &layer.annotations))
            }
            Format::Bundle(_) => bundle::verify(self, blob, on),
            _ => as_listed(Self::unsupported(layer)),
        }
    }

    /// What is said of a signature whose format is not verified, without its content.
    #[must_use]
    pub fn unsupported(layer: &SignatureLayer) -> SignatureFact {
        if layer.is_too_large() {
            return too_large(layer.size_bytes);
        }
        let reason = match &layer.format {
            Format::Notation => {
                "signatures of the Notary Project are not verified here; `notation verify` does"
            }
            Format::Dsse => "attestations in the old form are not verified here",
            _ => "this format is not known here",
        };
        SignatureFact::Unsupported { reason: reason.to_owned() }
    }

    /// Verifies a bundle with a certificate against the trust root. Any holder of a trusted
    /// certificate passes: who counts is for the gate to say.
    pub(crate) fn certificate(
        &self,
        bundle: &Bundle,
        artifact: Artifact<'_>,
    ) -> Result<VerificationResult, SignatureFact> {
        let Some(root) = &self.trust_root else {
            return Err(SignatureFact::OtherSigner { claim: claimed_identity(bundle) });
        };
        let mut policy = VerificationPolicy::any_identity();
        // A trust root without logs is that of an instance which has none, such as the one for
        // private repositories of GitHub; its timestamps vouch for the time.
        if !root.has_logs {
            policy = policy.skip_tlog_unsafe();
        }
        if !root.has_certificate_logs {
            policy = policy.skip_sct();
        }
        let verified = match artifact {
            Artifact::Bytes(bytes) => root.verifier.verify(bytes, bundle, &policy),
            Artifact::Digest(digest) => root.verifier.verify(digest, bundle, &policy),
        };
        verified.map_err(|error| SignatureFact::Invalid { reason: one_line(error) })
    }

    /// Verifies the log entries and timestamps of a bundle whose key signature holds already.
    /// Returns when it was made; nothing vouches for that without a trust root.
    pub(crate) fn witnesses(
        &self,
        bundle: &Bundle,
        key: &PublicKey,
        artifact: Sha256Hash,
    ) -> Result<TimeEvidence, SignatureFact> {
        let material = &bundle.verification_material;
        let has_timestamps = !material.timestamp_verification_data.rfc3161_timestamps.is_empty();
        let Some(root) = &self.trust_root else { return Ok(TimeEvidence::None) };
        let has_logged = root.has_logs && !material.tlog_entries.is_empty();
        // sigstore-verify refuses a key's bundle that nobody witnessed; the signature is enough.
        if !has_logged && !has_timestamps {
            return Ok(TimeEvidence::None);
        }
        let mut policy = PublicKeyVerificationPolicy::new(key.der().clone());
        if !has_logged {
            policy = policy.skip_tlog_unsafe();
        }
        match root.verifier.verify(artifact, bundle, &policy) {
            Ok(result) => Ok(time_evidence(&result)),
            Err(error) => Err(SignatureFact::Invalid {
                reason: format!(
                    "the key's signature holds, but its log entry or timestamp does not: {}",
                    one_line(error)
                ),
            }),
        }
    }

    /// What to say when no key of the policy made a signature that does not name its key.
    pub(crate) fn by_no_key(&self) -> SignatureFact {
        let reason = match self.keys.as_slice() {
            [] => return SignatureFact::OtherSigner { claim: "the holder of a key".to_owned() },
            [key] => format!("it is not by the key {}, or was altered", key.name()),
            keys => format!("it is by none of the {} keys, or was altered", keys.len()),
        };
        SignatureFact::Invalid { reason }
    }
}

/// What a bundle's signature is over.
#[derive(Clone, Copy)]
pub(crate) enum Artifact<'a> {
    Bytes(&'a [u8]),
    Digest(Sha256Hash),
}

fn too_large(bytes: u64) -> SignatureFact {
    SignatureFact::Unsupported {
        reason: format!("it has {bytes} bytes, and at most {} are read", limits::MAX_LAYER_BYTES),
    }
}

pub(crate) fn by_key(key: &PublicKey, subjects: Vec<Digest>, time: TimeEvidence) -> SignatureFact {
    SignatureFact::Valid(Box::new(ValidSignature {
        signer: Signer::Key { name: key.name().to_owned(), fingerprint: key.fingerprint() },
        subjects,
        time,
    }))
}

pub(crate) fn by_certificate(result: &VerificationResult, subjects: Vec<Digest>) -> SignatureFact {
    let Some(certificate) = result.certificate() else {
        return SignatureFact::Invalid { reason: "it carries no certificate".to_owned() };
    };
    SignatureFact::Valid(Box::new(ValidSignature {
        signer: Signer::Certificate(identity(certificate)),
        subjects,
        time: time_evidence(result),
    }))
}

fn time_evidence(result: &VerificationResult) -> TimeEvidence {
    result
        .verified_timestamps()
        .iter()
        .filter_map(|stamp| time(stamp.as_millisecond()))
        .min()
        .map_or(TimeEvidence::None, TimeEvidence::Witnessed)
}

fn identity(certificate: &CertificateInfo) -> CertificateIdentity {
    let claims = &certificate.ci_claims;
    let named: [(&str, &Option<String>); 8] = [
        ("buildConfigUri", &claims.build_config_uri),
        ("buildSignerUri", &claims.build_signer_uri),
        ("buildTrigger", &claims.build_trigger),
        ("deploymentEnvironment", &claims.deployment_environment),
        ("runInvocationUri", &claims.run_invocation_uri),
        ("sourceRepositoryDigest", &claims.source_repository_digest),
        ("sourceRepositoryRef", &claims.source_repository_ref),
        ("sourceRepositoryUri", &claims.source_repository_uri),
    ];
    let claims: BTreeMap<String, String> = named
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), one_line(value.as_ref()?))))
        .collect();
    CertificateIdentity {
        subject: certificate
            .identity
            .as_ref()
            .map(|san| one_line(san.as_str()))
            .unwrap_or_default(),
        issuer: certificate.issuer.as_ref().map(one_line).unwrap_or_default(),
        claims,
    }
}

/// Who a certificate that cannot be verified says its holder is.
fn claimed_identity(bundle: &Bundle) -> String {
    bundle
        .signing_certificate()
        .and_then(|der| sigstore_verify::crypto::parse_certificate_info(der).ok())
        .map_or_else(
            || "the holder of a certificate that cannot be read".to_owned(),
            |certificate| Signer::Certificate(identity(&certificate)).to_string(),
        )
}
