use backout_gates::gates::artifact_signature::{Content, Format, Place, SignatureFact};
use backout_signatures::sign::{Layer, SigningKey, referrer};
use backout_signatures::{TrustRoot, Verifier};

use crate::support::{
    changed, digest, image, instance, invalid, key_name, public, valid, verify, verify_one,
    with_keys,
};

const EMPTY: &str = "application/vnd.oci.empty.v1+json";

fn unsupported(layer: Layer) -> String {
    let key = SigningKey::generate().expect("a key");
    let verified = verify_one(&with_keys(&[("cosign.pub", &key)]), Place::Referrers, layer);
    match verified.fact {
        SignatureFact::Unsupported { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_key_bundle_without_log_entry_verifies_whatever_it_is_listed_as() {
    let key = SigningKey::generate().unwrap();
    let bundle = key.bundle(&digest()).unwrap();
    let verifier = with_keys(&[("cosign.pub", &key)]);
    for artifact_type in [backout_signatures::sign::BUNDLE, EMPTY] {
        let pushed = referrer(&image(), artifact_type, std::slice::from_ref(&bundle));
        let verified = verify(&verifier, Place::FallbackTag, &pushed).remove(0);
        assert_eq!(verified.format, Format::Bundle("0.3".to_owned()));
        assert_eq!((key_name(&verified), &verified.content), ("cosign.pub", &Content::Signature));
        assert_eq!(valid(&verified).subjects, [digest()]);
    }
    // A trust root asks for no log entry of a signature with a key.
    let root = TrustRoot::from_json("root.json", &instance().trust_root().unwrap()).unwrap();
    let verifier = Verifier::new(public(&[("cosign.pub", &key)]), Some(root));
    assert_eq!(key_name(&verify_one(&verifier, Place::Referrers, bundle)), "cosign.pub");
}

#[test]
fn a_bundle_of_another_key_says_so() {
    let (key, stranger) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let verifier = with_keys(&[("cosign.pub", &key)]);
    let bundle = stranger.bundle(&digest()).unwrap();
    let verified = verify_one(&verifier, Place::Referrers, bundle);
    assert!(matches!(verified.fact, SignatureFact::OtherSigner { .. }), "{verified:?}");
}

#[test]
fn what_was_altered_does_not_hold() {
    let key = SigningKey::generate().unwrap();
    let verifier = with_keys(&[("cosign.pub", &key)]);
    let bundle = key.bundle(&digest()).unwrap();
    let other = key.bundle(&backout_core::units::Digest::of_bytes(b"other")).unwrap();
    let text = |layer: &Layer| String::from_utf8(layer.blob.clone()).unwrap();
    let payload = |layer: &Layer| {
        let json: serde_json::Value = serde_json::from_str(&text(layer)).unwrap();
        json["dsseEnvelope"]["payload"].as_str().unwrap().to_owned()
    };
    let altered = changed(&bundle, &payload(&bundle), &payload(&other));
    let verified = verify_one(&verifier, Place::Referrers, altered);
    assert!(invalid(&verified).contains("names the key cosign.pub, which did not make it"));
    let altered = changed(&bundle, "application/vnd.in-toto+json", "application/json");
    assert!(invalid(&verify_one(&verifier, Place::Referrers, altered)).contains("was expected"));
    let verified = verify_one(&verifier, Place::Referrers, other);
    assert_ne!(valid(&verified).subjects, [digest()], "the subject is that of the statement");
}

#[test]
fn a_statement_about_the_image_is_no_signature_of_it() {
    let key = SigningKey::generate().unwrap();
    let bundle = key.attestation(&digest(), "https://slsa.dev/provenance/v1").unwrap();
    let verified = verify_one(&with_keys(&[("cosign.pub", &key)]), Place::Referrers, bundle);
    let predicate = "https://slsa.dev/provenance/v1".to_owned();
    assert_eq!(verified.content, Content::Attestation { predicate });
}

#[test]
fn what_is_not_known_is_unsupported() {
    let key = SigningKey::generate().unwrap();
    let bundle = key.bundle(&digest()).unwrap();
    let newer = changed(&bundle, "bundle.v0.3+json", "bundle.v0.9+json");
    assert!(unsupported(newer).contains("bundle.v0.9+json are not known here"));
    let no_bundle = Layer { blob: b"[]".to_vec(), ..bundle.clone() };
    assert!(unsupported(no_bundle).contains("no bundle"));
    let half = Layer { blob: bundle.blob[..bundle.blob.len() / 2].to_vec(), ..bundle.clone() };
    assert!(unsupported(half).contains("no bundle"));
    let deep = format!("{{\"mediaType\":{}", "[".repeat(100_000));
    assert!(unsupported(Layer { blob: deep.into_bytes(), ..bundle.clone() }).contains("no bundle"));
    let large = vec![b' '; backout_signatures::limits::MAX_LAYER_BYTES + 1];
    let large = Layer { blob: large, ..bundle };
    assert!(unsupported(large.clone()).contains("at most"));
    // The declared size says so before anything is fetched.
    let pushed = referrer(&image(), backout_signatures::sign::BUNDLE, &[large]);
    let read = backout_signatures::manifest::read(Place::Referrers, &pushed.manifest).unwrap();
    assert!(!read.layers[0].is_verifiable());
    let fact = Verifier::unsupported(&read.layers[0]);
    assert!(matches!(fact, SignatureFact::Unsupported { reason } if reason.contains("at most")));
}
