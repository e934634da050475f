//! A certificate authority for one cluster, and keys for service account tokens.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};

/// An authority that lives as long as one cluster or one webhook server.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key, in PKCS 8.
    pub key: String,
}

impl Authority {
    /// Makes a new authority.
    ///
    /// # Errors
    /// The machine has no random numbers, or the name is refused.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().context("cannot make a key")?;
        let issuer = CertifiedIssuer::self_signed(params, key).context("cannot sign")?;
        Ok(Self(issuer))
    }

    /// The authority's certificate, in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// A server's certificate for these names and addresses.
    ///
    /// # Errors
    /// A name is not one.
    pub fn server(&self, names: &[&str]) -> Result<Identity> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let params = CertificateParams::new(names).context("a name of a server is refused")?;
        let key = KeyPair::generate().context("cannot make a key")?;
        let signed = params.signed_by(&key, &*self.0).context("cannot sign")?;
        Ok(Identity { certificate: signed.pem(), key: key.serialize_pem() })
    }
}

/// A key pair as PEM: private (PKCS 8) and public, to sign and check service account tokens.
///
/// # Errors
/// The machine has no random numbers.
pub fn signing_keys() -> Result<(String, String)> {
    let key = KeyPair::generate().context("cannot make a key")?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}
