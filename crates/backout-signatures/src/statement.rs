//! in-toto statements: what an attestation, or a signature in the form of one, is about.

use std::str::FromStr;

use backout_core::units::Digest;
use backout_gates::gates::artifact_signature::Content;
use sigstore_verify::types::Statement;

use crate::error::one_line;
use crate::limits;

/// The payload type of in-toto statements.
pub(crate) const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The predicate type of a cosign 3 signature. Every other statement says something else about the
/// image than that it is the one.
pub(crate) const SIGNATURE_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// Reads what a statement says and which digests it is about. The payload is not trusted before the
/// signature over it is verified.
///
/// # Errors
///
/// When it is no statement, or names no SHA-256 digest.
pub(crate) fn read(payload_type: &str, payload: &[u8]) -> Result<(Content, Vec<Digest>), String> {
    if payload_type != PAYLOAD_TYPE {
        return Err(format!(
            "its payload has the type {}, and {PAYLOAD_TYPE} was expected",
            one_line(payload_type)
        ));
    }
    let statement: Statement = serde_json::from_slice(payload)
        .map_err(|error| format!("its payload is no in-toto statement: {}", one_line(error)))?;
    if !statement.type_.starts_with("https://in-toto.io/Statement/v") {
        return Err(format!(
            "its payload has the _type {}, which is no in-toto statement",
            one_line(&statement.type_)
        ));
    }
    let subjects: Vec<Digest> = statement
        .subject
        .iter()
        .take(limits::MAX_SUBJECTS)
        .filter_map(|subject| subject.digest.sha256.as_ref())
        .filter_map(|sha256| Digest::from_str(&format!("sha256:{}", sha256.to_hex())).ok())
        .collect();
    if subjects.is_empty() {
        return Err("its statement names no subject with a SHA-256 digest".to_owned());
    }
    let content = if statement.predicate_type == SIGNATURE_PREDICATE {
        Content::Signature
    } else {
        Content::Attestation { predicate: one_line(&statement.predicate_type) }
    };
    Ok((content, subjects))
}
