//! Public keys.

use sigstore_verify::crypto::{KeyAlgorithm, SigningScheme, VerificationKey, sha256};
use sigstore_verify::types::{DerPublicKey, SignatureBytes};

use crate::error::{MaterialError, one_line, within};
use crate::limits;

/// A public key that the policy names.
#[derive(Clone, Debug)]
pub struct PublicKey {
    name: String,
    der: DerPublicKey,
    algorithm: KeyAlgorithm,
}

impl PublicKey {
    /// Reads a public key as a PEM file has it: P-256, P-384, RSA or Ed25519.
    ///
    /// # Errors
    ///
    /// When it is too large, is a private key, or is no such key.
    pub fn from_pem(name: &str, pem: &str) -> Result<Self, MaterialError> {
        within(name, pem.len(), limits::MAX_KEY_BYTES)?;
        if pem.contains("PRIVATE KEY-----") {
            return Err(MaterialError::PrivateKey { name: name.to_owned() });
        }
        let refuse = |reason| MaterialError::Key { name: name.to_owned(), reason };
        let der = DerPublicKey::from_pem(pem).map_err(|error| refuse(one_line(error)))?;
        let algorithm = KeyAlgorithm::from_spki(&der).map_err(|error| refuse(one_line(error)))?;
        Ok(Self { name: name.to_owned(), der, algorithm })
    }

    /// The file, as the policy names it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256 of the public key (its SubjectPublicKeyInfo in DER), in hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.der)
    }

    pub(crate) fn der(&self) -> &DerPublicKey {
        &self.der
    }

    /// Whether this key made a signature over some bytes.
    pub(crate) fn made(&self, bytes: &[u8], signature: &SignatureBytes) -> bool {
        made(&self.der, self.algorithm, bytes, signature)
    }

    /// Whether this key made a signature over bytes of which only the SHA-256 is known. Ed25519
    /// signs the bytes themselves, so that it cannot say: nothing.
    pub(crate) fn made_for_digest(
        &self,
        sha256: &[u8],
        signature: &SignatureBytes,
    ) -> Option<bool> {
        let schemes: &[SigningScheme] = match self.algorithm {
            KeyAlgorithm::EcdsaP256 => &[SigningScheme::EcdsaP256Sha256],
            KeyAlgorithm::EcdsaP384 => &[SigningScheme::EcdsaP384Sha256],
            KeyAlgorithm::Rsa => &[SigningScheme::RsaPkcs1Sha256, SigningScheme::RsaPssSha256],
            _ => return None,
        };
        Some(keys(&self.der, schemes).any(|key| key.verify_prehashed(sha256, signature).is_ok()))
    }

    /// Whether a bundle's hint means this key. cosign writes the SHA-256 of the key in base64, other
    /// tools in hexadecimal.
    pub(crate) fn is_hinted(&self, hint: &str) -> bool {
        let hash = sha256(self.der.as_bytes());
        hint == hash.to_hex()
            || hint.trim_end_matches('=') == hash.to_base64().trim_end_matches('=')
    }
}

/// SHA-256 of a public key, in hexadecimal.
pub(crate) fn fingerprint(der: &DerPublicKey) -> String {
    sha256(der.as_bytes()).to_hex()
}

/// Whether a key that is named by a signature itself made it.
pub(crate) fn made_by(der: &DerPublicKey, bytes: &[u8], signature: &SignatureBytes) -> bool {
    KeyAlgorithm::from_spki(der).is_ok_and(|algorithm| made(der, algorithm, bytes, signature))
}

fn made(
    der: &DerPublicKey,
    algorithm: KeyAlgorithm,
    bytes: &[u8],
    signature: &SignatureBytes,
) -> bool {
    keys(der, schemes(algorithm)).any(|key| key.verify(bytes, signature).is_ok())
}

/// The ways in which keys of an algorithm sign. cosign hashes with SHA-256 whatever the key, where
/// others take a hash of the key's strength.
fn schemes(algorithm: KeyAlgorithm) -> &'static [SigningScheme] {
    use SigningScheme as S;
    match algorithm {
        KeyAlgorithm::EcdsaP256 => &[S::EcdsaP256Sha256],
        KeyAlgorithm::EcdsaP384 => &[S::EcdsaP384Sha256, S::EcdsaP384Sha384],
        KeyAlgorithm::Ed25519 => &[S::Ed25519],
        KeyAlgorithm::Rsa => &[S::RsaPkcs1Sha256, S::RsaPssSha256, S::RsaPkcs1Sha512],
        _ => &[],
    }
}

fn keys(der: &DerPublicKey, schemes: &[SigningScheme]) -> impl Iterator<Item = VerificationKey> {
    schemes.iter().filter_map(|scheme| VerificationKey::from_spki_with_scheme(der, *scheme).ok())
}
