//! Keys of every kind, with signatures that OpenSSL made: `openssl.json` was written by its programs
//! `genpkey`, `dgst -sign` and `pkeyutl -sign -rawin`, and its secret keys are gone.

use std::collections::BTreeMap;

use backout_gates::gates::artifact_signature::{Place, SignatureFact};
use backout_signatures::sign::Layer;
use backout_signatures::{Verifier, manifest};
use serde_json::Value;

use crate::support::verify_one;

#[test]
fn signatures_that_openssl_made_verify() {
    let vectors: Value = serde_json::from_str(include_str!("openssl.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let signatures = vectors["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 6);
    for (number, vector) in signatures.iter().enumerate() {
        let made = text(&vector["made"]);
        let layer = Layer {
            media_type: manifest::SIMPLE_SIGNING.to_owned(),
            annotations: BTreeMap::from([(
                "dev.cosignproject.cosign/signature".to_owned(),
                text(&vector["signature"]),
            )]),
            blob: text(&vectors["payload"]).into_bytes(),
        };
        let verify = |vector: &Value, layer: &Layer| {
            let pem = text(&vector["publicKey"]);
            let verifier = Verifier::read(&[("key.pub", pem.as_str())], None).unwrap();
            verify_one(&verifier, Place::SigTag, layer.clone()).fact
        };
        let fact = verify(vector, &layer);
        assert!(matches!(fact, SignatureFact::Valid(_)), "{made}: {fact:?}");
        let other = &signatures[(number + 1) % signatures.len()];
        let fact = verify(other, &layer);
        assert!(matches!(fact, SignatureFact::Invalid { .. }), "{made} by another key: {fact:?}");
        let mut altered = layer.clone();
        altered.blob.push(b' ');
        let fact = verify(vector, &altered);
        assert!(matches!(fact, SignatureFact::Invalid { .. }), "{made}, altered: {fact:?}");
    }
}
