//! Which certificates are believed.

use std::sync::{Arc, OnceLock};

use hyper_rustls::ConfigBuilderExt;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme, WantsVerifier};

/// Settings that believe these certificates, or else the system's, or else any.
///
/// # Errors
/// Why the certificates cannot be used.
pub(crate) fn config(ca_pem: Option<&[u8]>, insecure: bool) -> Result<ClientConfig, String> {
    if insecure {
        let (provider, builder) = begin()?;
        let any = Arc::new(BelieveAny(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(any).with_no_client_auth());
    }
    let Some(pem) = ca_pem else { return of_the_system() };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("there is no certificate in it".to_owned());
    }
    Ok(begin()?.1.with_root_certificates(roots).with_no_client_auth())
}

type Builder = rustls::ConfigBuilder<ClientConfig, WantsVerifier>;

fn begin() -> Result<(Arc<CryptoProvider>, Builder), String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok((provider, builder))
}

/// The system's certificates are read from some hundred files; they are read once per process,
/// because a controller makes a client for each of its policies.
fn of_the_system() -> Result<ClientConfig, String> {
    static READ: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(read) = READ.get() {
        return Ok(read.clone());
    }
    let (_, builder) = begin()?;
    let builder = builder.try_with_platform_verifier().map_err(|error| error.to_string())?;
    Ok(READ.get_or_init(|| builder.with_no_client_auth()).clone())
}

/// For `insecureSkipVerify`: the connection is encrypted, but nobody knows to whom.
#[derive(Debug)]
struct BelieveAny(Arc<CryptoProvider>);

impl ServerCertVerifier for BelieveAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
