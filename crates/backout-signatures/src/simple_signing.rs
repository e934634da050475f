//! Simple signing: what cosign wrote before bundles, and still writes when asked to.
//!
//! The payload is JSON and names the digest. The signature over it, the certificate and the log
//! entry are annotations of the layer. A signature with a certificate is verified as the bundle of
//! version 0.1 that has the same parts.

use std::collections::BTreeMap;
use std::str::FromStr;

use backout_core::units::Digest;
use backout_gates::gates::artifact_signature::{SignatureFact, TimeEvidence};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_verify::types::{Bundle, DerCertificate, DerPublicKey, SignatureBytes};

use crate::error::one_line;
use crate::keys;
use crate::verifier::{Artifact, Verifier, by_certificate, by_key};

pub(crate) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const LOG_ENTRY: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// What the payload of a signature says it is.
pub(crate) const TYPE: &str = "cosign container image signature";

/// More intermediate certificates than this are no chain.
const MAX_CHAIN: usize = 8;

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// The log entry, as cosign annotates it.
#[derive(Deserialize)]
struct LogEntry {
    #[serde(rename = "SignedEntryTimestamp")]
    promise: String,
    #[serde(rename = "Payload")]
    payload: LogPayload,
}

#[derive(Deserialize)]
struct LogPayload {
    body: String,
    #[serde(rename = "integratedTime")]
    integrated_time: i64,
    #[serde(rename = "logIndex")]
    log_index: i64,
    #[serde(rename = "logID")]
    log_id: String,
}

/// Verifies a payload with the annotations beside it.
pub(crate) fn verify(
    verifier: &Verifier,
    payload: &[u8],
    annotations: &BTreeMap<String, String>,
) -> SignatureFact {
    verified(verifier, payload, annotations)
        .unwrap_or_else(|reason| SignatureFact::Invalid { reason })
}

fn verified(
    verifier: &Verifier,
    payload: &[u8],
    annotations: &BTreeMap<String, String>,
) -> Result<SignatureFact, String> {
    let subject = subject(payload)?;
    let signature = annotation(annotations, SIGNATURE)
        .ok_or_else(|| format!("the annotation {SIGNATURE} is missing"))?;
    let signature = SignatureBytes::from_base64(signature.trim()).map_err(|error| {
        format!("the annotation {SIGNATURE} is not base64: {}", one_line(error))
    })?;
    let entry = annotation(annotations, LOG_ENTRY)
        .map(serde_json::from_str::<LogEntry>)
        .transpose()
        .map_err(|error| {
            format!("the annotation {LOG_ENTRY} cannot be read: {}", one_line(error))
        })?;
    let Some(certificate) = annotation(annotations, CERTIFICATE) else {
        return Ok(verify_key(verifier, payload, &signature, entry.as_ref(), subject));
    };
    let chain = annotation(annotations, CHAIN).unwrap_or_default();
    let timestamp = annotation(annotations, TIMESTAMP);
    let bundle = bundle(payload, &signature, certificate, chain, entry.as_ref(), timestamp)?;
    Ok(match verifier.certificate(&bundle, Artifact::Bytes(payload)) {
        Ok(result) => by_certificate(&result, vec![subject]),
        Err(fact) => fact,
    })
}

/// An annotation that is there and not empty: cosign writes some of them empty.
fn annotation<'a>(annotations: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    annotations.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
}

fn subject(payload: &[u8]) -> Result<Digest, String> {
    let payload: Payload = serde_json::from_slice(payload)
        .map_err(|error| format!("its payload cannot be read: {}", one_line(error)))?;
    if payload.critical.kind != TYPE {
        return Err(format!(
            "its payload has the type \"{}\", and \"{TYPE}\" was expected",
            one_line(payload.critical.kind)
        ));
    }
    Digest::from_str(&payload.critical.image.digest)
        .map_err(|error| format!("its payload names no digest: {}", one_line(error)))
}

fn verify_key(
    verifier: &Verifier,
    payload: &[u8],
    signature: &SignatureBytes,
    entry: Option<&LogEntry>,
    subject: Digest,
) -> SignatureFact {
    if let Some(key) = verifier.keys.iter().find(|key| key.made(payload, signature)) {
        return by_key(key, vec![subject], TimeEvidence::None);
    }
    // The log entry names the key, which tells a stranger's signature from a broken one.
    match entry.and_then(logged_key) {
        Some(key) if keys::made_by(&key, payload, signature) => SignatureFact::OtherSigner {
            claim: format!("the key with SHA-256 {}", keys::fingerprint(&key)),
        },
        _ => verifier.by_no_key(),
    }
}

fn logged_key(entry: &LogEntry) -> Option<DerPublicKey> {
    let body: Value = serde_json::from_slice(&BASE64.decode(&entry.payload.body).ok()?).ok()?;
    let pem = body.pointer("/spec/signature/publicKey/content")?.as_str()?;
    DerPublicKey::from_pem(&String::from_utf8(BASE64.decode(pem).ok()?).ok()?).ok()
}

/// The bundle of version 0.1 that has the same parts as the annotations.
fn bundle(
    payload: &[u8],
    signature: &SignatureBytes,
    certificate: &str,
    chain: &str,
    entry: Option<&LogEntry>,
    timestamp: Option<&str>,
) -> Result<Bundle, String> {
    let digest = sigstore_verify::crypto::sha256(payload);
    let timestamps: Vec<Value> = timestamp.map(rfc3161).transpose()?.into_iter().collect();
    let entries: Vec<Value> = entry.map(log_entry).transpose()?.into_iter().collect();
    // Version 0.1 asks for a log's promise; where there is only a timestamp, 0.2 has the same parts.
    let version = if entries.is_empty() { "0.2" } else { "0.1" };
    let bundle = json!({
        "mediaType": format!("application/vnd.dev.sigstore.bundle+json;version={version}"),
        "verificationMaterial": {
            "x509CertificateChain": { "certificates": certificates(certificate, chain)? },
            "tlogEntries": entries,
            "timestampVerificationData": { "rfc3161Timestamps": timestamps },
        },
        "messageSignature": {
            "messageDigest": { "algorithm": "SHA2_256", "digest": digest.to_base64() },
            "signature": signature.to_base64(),
        },
    });
    serde_json::from_value(bundle)
        .map_err(|error| format!("its annotations cannot be read: {}", one_line(error)))
}

fn certificates(certificate: &str, chain: &str) -> Result<Vec<Value>, String> {
    const END: &str = "-----END CERTIFICATE-----";
    let mut certificates = Vec::new();
    // What the chain ends with is the root, which only the trust root can make trusted.
    for pem in std::iter::once(certificate).chain(chain.split_inclusive(END).take(MAX_CHAIN)) {
        if pem.trim().is_empty() {
            continue;
        }
        let der = DerCertificate::from_pem(pem.trim())
            .map_err(|error| format!("its certificate cannot be read: {}", one_line(error)))?;
        certificates.push(json!({ "rawBytes": BASE64.encode(der.as_bytes()) }));
    }
    Ok(certificates)
}

fn rfc3161(annotation: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(annotation).map_err(|error| {
        format!("the annotation {TIMESTAMP} cannot be read: {}", one_line(error))
    })?;
    let stamp = value.get("SignedRFC3161Timestamp").cloned().unwrap_or_default();
    Ok(json!({ "signedTimestamp": stamp }))
}

fn log_entry(entry: &LogEntry) -> Result<Value, String> {
    let payload = &entry.payload;
    let bad = |what: &str| format!("the annotation {LOG_ENTRY} has no readable {what}");
    let body = BASE64.decode(&payload.body).map_err(|_| bad("body"))?;
    let body: Value = serde_json::from_slice(&body).map_err(|_| bad("body"))?;
    Ok(json!({
        "logIndex": payload.log_index.to_string(),
        "logId": { "keyId": BASE64.encode(unhex(&payload.log_id).ok_or_else(|| bad("logID"))?) },
        "kindVersion": { "kind": body.get("kind"), "version": body.get("apiVersion") },
        "integratedTime": payload.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": entry.promise },
        "canonicalizedBody": payload.body,
    }))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}
