//! A sigstore of one's own: a certificate authority as Fulcio, a log as Rekor and a certificate
//! log, each one key in memory, and the trust root that names them. Signatures of it are verified
//! with every check that public ones get.

use std::collections::BTreeMap;

use backout_core::units::{Digest, Time};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair as CertificateKey, KeyUsagePurpose, SanType,
    SerialNumber,
};
use serde_json::{Value, json};
use sigstore_verify::crypto::{KeyPair, sha256};
use sigstore_verify::types::pae;
use time::OffsetDateTime;

use super::{BUNDLE, Layer, SignError, envelope, simple_signing_payload, statement};
use crate::simple_signing::SIGNATURE;
use crate::statement::{PAYLOAD_TYPE, SIGNATURE_PREDICATE};

/// The extension with the issuer of the identity, as Fulcio writes it.
const ISSUER: &[u64] = &[1, 3, 6, 1, 4, 1, 57264, 1, 8];

/// The extension with the timestamps of certificate logs (RFC 6962, section 3.3).
const CERTIFICATE_TIMESTAMPS: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];

/// How long a certificate is valid, in seconds: as long as Fulcio's.
const CERTIFICATE_VALID_S: i64 = 600;

const LOG: &str = "log.example.com";

/// A sigstore of one's own.
pub struct Instance {
    authority: CertifiedIssuer<'static, CertificateKey>,
    log: KeyPair,
    certificate_log: KeyPair,
    since_s: i64,
}

/// The holder of a short-lived certificate.
pub struct Holder {
    certificate_der: Vec<u8>,
    key: KeyPair,
    at_s: i64,
}

impl Instance {
    /// Makes one by chance, valid from a moment on without an end.
    ///
    /// # Errors
    ///
    /// When a key or certificate cannot be made.
    pub fn new(since: Time) -> Result<Self, SignError> {
        let since_s = seconds(since)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, "example.com");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_before = moment(since_s)?;
        params.not_after = moment(since_s + 100 * 365 * 86_400)?;
        let key = CertificateKey::generate().map_err(SignError::because)?;
        Ok(Self {
            authority: CertifiedIssuer::self_signed(params, key).map_err(SignError::because)?,
            log: KeyPair::generate_ecdsa_p256().map_err(SignError::because)?,
            certificate_log: KeyPair::generate_ecdsa_p256().map_err(SignError::because)?,
            since_s,
        })
    }

    /// The trust root that names its authority and logs.
    ///
    /// # Errors
    ///
    /// When a key cannot be written.
    pub fn trust_root(&self) -> Result<String, SignError> {
        let since = sigstore_time(self.since_s)?;
        let log = |name: &str, key: &KeyPair| -> Result<Value, SignError> {
            Ok(json!({
                "baseUrl": format!("https://{name}"),
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": BASE64.encode(public(key)?),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": { "start": since },
                },
                "logId": { "keyId": BASE64.encode(log_id(key)?) },
            }))
        };
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(LOG, &self.log)?],
            "certificateAuthorities": [{
                "subject": { "organization": "example.com", "commonName": "" },
                "uri": "https://authority.example.com",
                "certChain": { "certificates": [
                    { "rawBytes": BASE64.encode(self.authority.der()) },
                ] },
                "validFor": { "start": since },
            }],
            "ctlogs": [log("certificates.example.com", &self.certificate_log)?],
            "timestampAuthorities": [],
        });
        Ok(root.to_string())
    }

    /// Gives a certificate to somebody at a moment.
    ///
    /// # Errors
    ///
    /// When the identity cannot be written into a certificate.
    pub fn certify(&self, subject: &str, issuer: &str, at: Time) -> Result<Holder, SignError> {
        let at_s = seconds(at)?;
        let key = CertificateKey::generate().map_err(SignError::because)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = subject.try_into().map_err(SignError::because)?;
        params.subject_alt_names = vec![SanType::URI(name)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        params.serial_number = Some(SerialNumber::from_slice(&[1, 2, 3, 4]));
        params.not_before = moment(at_s)?;
        params.not_after = moment(at_s + CERTIFICATE_VALID_S)?;
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(ISSUER, der(0x0c, issuer.as_bytes())?));
        let before = params.signed_by(&key, &self.authority).map_err(SignError::because)?;
        let promise = self.certificate_timestamp(body_of(before.der())?, at_s)?;
        params
            .custom_extensions
            .push(CustomExtension::from_oid_content(CERTIFICATE_TIMESTAMPS, promise));
        let certificate = params.signed_by(&key, &self.authority).map_err(SignError::because)?;
        Ok(Holder {
            certificate_der: certificate.der().to_vec(),
            key: KeyPair::from_pkcs8_der(key.serialized_der()).map_err(SignError::because)?,
            at_s,
        })
    }

    /// The certificate log's promise to list a certificate, as the extension holds it: a list of
    /// one timestamp (RFC 6962, sections 3.2 and 3.3), twice wrapped as octets.
    fn certificate_timestamp(&self, body: &[u8], at_s: i64) -> Result<Vec<u8>, SignError> {
        let authority_key = spki_of(self.authority.der())?;
        let at_ms = u64::try_from(at_s).map_err(SignError::because)? * 1000;
        let mut signed = vec![0, 0];
        signed.extend(at_ms.to_be_bytes());
        signed.extend([0, 1]);
        signed.extend(sha256(&authority_key).as_bytes());
        let length = u32::try_from(body.len()).map_err(SignError::because)?.to_be_bytes();
        signed.extend(&length[1..]);
        signed.extend(body);
        signed.extend([0, 0]);
        let signature = self.certificate_log.sign(&signed).map_err(SignError::because)?;
        let mut promise = vec![0];
        promise.extend(log_id(&self.certificate_log)?);
        promise.extend(at_ms.to_be_bytes());
        promise.extend([0, 0]);
        // SHA-256 with ECDSA, by the numbers of TLS 1.2.
        promise.extend([4, 3]);
        promise.extend(with_length(signature.as_bytes())?);
        der(0x04, &with_length(&with_length(&promise)?)?)
    }

    /// A bundle with a signature of a holder for a digest, as cosign 3 makes it without a key.
    ///
    /// # Errors
    ///
    /// When a key does not sign.
    pub fn bundle(&self, holder: &Holder, digest: &Digest) -> Result<Layer, SignError> {
        let payload = statement(digest, SIGNATURE_PREDICATE);
        let signature =
            holder.key.sign(&pae(PAYLOAD_TYPE, &payload)).map_err(SignError::because)?.to_base64();
        let envelope = envelope(&payload, &signature);
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": { "algorithm": "sha256", "value": hex(envelope.to_string()) },
                "payloadHash": { "algorithm": "sha256", "value": hex(&payload) },
                "signatures": [{
                    "signature": signature,
                    "verifier": BASE64.encode(holder.pem()),
                }],
            },
        });
        let bundle = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "certificate": { "rawBytes": BASE64.encode(&holder.certificate_der) },
                "tlogEntries": [self.entry("dsse", &body, holder.at_s)?],
            },
            "dsseEnvelope": envelope,
        });
        Ok(Layer::of_bundle(&bundle))
    }

    /// The layer of a `.sig` tag with a signature of a holder, as cosign before version 3 makes it
    /// without a key.
    ///
    /// # Errors
    ///
    /// When a key does not sign.
    pub fn simple_signing(
        &self,
        holder: &Holder,
        repository: &str,
        digest: &Digest,
    ) -> Result<Layer, SignError> {
        let payload = simple_signing_payload(repository, digest);
        let signature = holder.key.sign(&payload).map_err(SignError::because)?.to_base64();
        let body = json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": { "hash": { "algorithm": "sha256", "value": hex(&payload) } },
                "signature": {
                    "content": signature,
                    "publicKey": { "content": BASE64.encode(holder.pem()) },
                },
            },
        });
        let entry = self.entry("hashedrekord", &body, holder.at_s)?;
        let log_entry = json!({
            "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
            "Payload": {
                "body": entry["canonicalizedBody"],
                "integratedTime": holder.at_s,
                "logIndex": 0,
                "logID": log_id(&self.log)?.iter().map(|b| format!("{b:02x}")).collect::<String>(),
            },
        });
        Ok(Layer {
            media_type: crate::manifest::SIMPLE_SIGNING.to_owned(),
            annotations: BTreeMap::from([
                (SIGNATURE.to_owned(), signature),
                ("dev.sigstore.cosign/certificate".to_owned(), holder.pem()),
                ("dev.sigstore.cosign/chain".to_owned(), self.authority.pem()),
                ("dev.sigstore.cosign/bundle".to_owned(), log_entry.to_string()),
            ]),
            blob: payload,
        })
    }

    /// An entry of the log, which has no other: the tree's root is the entry's own hash.
    fn entry(&self, kind: &str, body: &Value, at_s: i64) -> Result<Value, SignError> {
        let body = body.to_string().into_bytes();
        let id = log_id(&self.log)?;
        let promised = json!({
            "body": BASE64.encode(&body),
            "integratedTime": at_s,
            "logID": id.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "logIndex": 0,
        });
        let promise = self.log.sign(promised.to_string().as_bytes()).map_err(SignError::because)?;
        let mut leaf = vec![0];
        leaf.extend(&body);
        let root = sha256(&leaf).to_base64();
        let head = format!("{LOG}\n1\n{root}\n");
        let signature = self.log.sign(head.as_bytes()).map_err(SignError::because)?;
        let mut signed = id.get(..4).unwrap_or_default().to_vec();
        signed.extend(signature.as_bytes());
        let checkpoint = format!("{head}\n\u{2014} {LOG} {}\n", BASE64.encode(signed));
        Ok(json!({
            "logIndex": "0",
            "logId": { "keyId": BASE64.encode(&id) },
            "kindVersion": { "kind": kind, "version": "0.0.1" },
            "integratedTime": at_s.to_string(),
            "inclusionPromise": { "signedEntryTimestamp": promise.to_base64() },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": root,
                "treeSize": "1",
                "hashes": [],
                "checkpoint": { "envelope": checkpoint },
            },
            "canonicalizedBody": BASE64.encode(&body),
        }))
    }
}

impl Holder {
    fn pem(&self) -> String {
        let der = sigstore_verify::types::DerCertificate::from_bytes(&self.certificate_der);
        der.to_pem()
    }
}

fn public(key: &KeyPair) -> Result<Vec<u8>, SignError> {
    Ok(key.public_key_der().map_err(SignError::because)?.into_bytes())
}

/// The SHA-256 of a log's public key.
fn log_id(key: &KeyPair) -> Result<Vec<u8>, SignError> {
    Ok(sha256(&public(key)?).as_bytes().to_vec())
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    sha256(bytes.as_ref()).to_hex()
}

fn seconds(time: Time) -> Result<i64, SignError> {
    i64::try_from(time.as_millis() / 1000).map_err(SignError::because)
}

fn moment(seconds: i64) -> Result<OffsetDateTime, SignError> {
    OffsetDateTime::from_unix_timestamp(seconds).map_err(SignError::because)
}

/// A moment as JSON of sigstore writes it.
fn sigstore_time(seconds: i64) -> Result<String, SignError> {
    let at = moment(seconds)?;
    let (date, time) = (at.date(), at.time());
    Ok(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    ))
}

/// Some bytes with their length in two bytes before them, as TLS writes vectors.
fn with_length(bytes: &[u8]) -> Result<Vec<u8>, SignError> {
    let mut vector = u16::try_from(bytes.len()).map_err(SignError::because)?.to_be_bytes().to_vec();
    vector.extend(bytes);
    Ok(vector)
}

/// Some bytes as a DER value of at most 65,535 bytes.
fn der(tag: u8, bytes: &[u8]) -> Result<Vec<u8>, SignError> {
    let mut value = vec![tag];
    match u8::try_from(bytes.len()) {
        Ok(length) if length < 0x80 => value.push(length),
        Ok(length) => value.extend([0x81, length]),
        Err(_) => {
            value.push(0x82);
            value.extend(u16::try_from(bytes.len()).map_err(SignError::because)?.to_be_bytes());
        }
    }
    value.extend(bytes);
    Ok(value)
}

/// The first element of a DER sequence: of a certificate the part that is signed.
fn body_of(certificate: &[u8]) -> Result<&[u8], SignError> {
    let (header, _) = lengths(certificate)?;
    let inner = certificate.get(header..).unwrap_or_default();
    let (header, length) = lengths(inner)?;
    inner.get(..header + length).ok_or_else(|| SignError("a certificate ends early".to_owned()))
}

/// The lengths in bytes of the header and of the content of a DER value.
fn lengths(value: &[u8]) -> Result<(usize, usize), SignError> {
    match value {
        [_, length, ..] if *length < 0x80 => Ok((2, usize::from(*length))),
        [_, 0x81, length, ..] => Ok((3, usize::from(*length))),
        [_, 0x82, high, low, ..] => Ok((4, usize::from(*high) << 8 | usize::from(*low))),
        _ => Err(SignError("a certificate cannot be read".to_owned())),
    }
}

/// The public key of a certificate.
fn spki_of(certificate: &[u8]) -> Result<Vec<u8>, SignError> {
    let der = sigstore_verify::types::DerCertificate::from_bytes(certificate);
    let read = sigstore_verify::crypto::parse_certificate_info(&der).map_err(SignError::because)?;
    Ok(read.public_key.into_bytes())
}
