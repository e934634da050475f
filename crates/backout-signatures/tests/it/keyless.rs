use backout_core::units::{Digest, Time};
use backout_gates::gates::artifact_signature::{
    Format, Place, SignatureFact, Signer, TimeEvidence,
};
use backout_signatures::Verifier;
use backout_signatures::sign::Instance;

use crate::support::{
    ISSUER, RELEASE, REPOSITORY, SIGNED_AT, changed, digest, instance, invalid, valid, verify_one,
    with_root,
};

#[test]
fn a_bundle_with_a_certificate_verifies_offline() {
    let instance = instance();
    let holder = instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    let bundle = instance.bundle(&holder, &digest()).unwrap();
    let verified = verify_one(&with_root(&instance), Place::Referrers, bundle);
    let valid = valid(&verified);
    let Signer::Certificate(certificate) = &valid.signer else { panic!("{valid:?}") };
    assert_eq!((certificate.subject.as_str(), certificate.issuer.as_str()), (RELEASE, ISSUER));
    assert_eq!(valid.time, TimeEvidence::Witnessed(SIGNED_AT));
    assert_eq!(
        (&valid.subjects[..], verified.format.clone()),
        (&[digest()][..], Format::Bundle("0.3".into()))
    );
}

#[test]
fn simple_signing_with_a_certificate_verifies_offline() {
    let instance = instance();
    let holder = instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    let layer = instance.simple_signing(&holder, REPOSITORY, &digest()).unwrap();
    let verified = verify_one(&with_root(&instance), Place::SigTag, layer);
    assert!(matches!(&valid(&verified).signer, Signer::Certificate(it) if it.subject == RELEASE));
    assert_eq!(valid(&verified).time, TimeEvidence::Witnessed(SIGNED_AT));
}

#[test]
fn the_subject_is_that_of_the_statement() {
    let instance = instance();
    let holder = instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    let other = Digest::of_bytes(b"the index");
    let bundle = instance.bundle(&holder, &other).unwrap();
    let verified = verify_one(&with_root(&instance), Place::Referrers, bundle);
    assert_eq!(valid(&verified).subjects, [other]);
}

#[test]
fn certificates_of_another_authority_do_not_hold() {
    let (instance, other) = (instance(), instance());
    let holder = other.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    let bundle = other.bundle(&holder, &digest()).unwrap();
    invalid(&verify_one(&with_root(&instance), Place::Referrers, bundle));
    // The authority of one and the log of another: an entry that the trusted log never had.
    let bundle = other.bundle(&instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap(), &digest());
    invalid(&verify_one(&with_root(&instance), Place::Referrers, bundle.unwrap()));
    let layer = other.simple_signing(&holder, REPOSITORY, &digest()).unwrap();
    invalid(&verify_one(&with_root(&instance), Place::SigTag, layer));
}

#[test]
fn a_signature_outside_the_life_of_its_certificate_does_not_hold() {
    let instance = instance();
    let holder = instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    let later = Time::from_millis(SIGNED_AT.as_millis() + 3_600_000);
    let late = instance.certify(RELEASE, ISSUER, later).unwrap();
    let bundle = instance.bundle(&holder, &digest()).unwrap();
    // The promise covers the time, so that writing another one breaks it.
    let at = |time: Time| format!("\"integratedTime\":\"{}\"", time.as_millis() / 1000);
    let moved = changed(&bundle, &at(SIGNED_AT), &at(later));
    let reason = verify_one(&with_root(&instance), Place::Referrers, moved);
    assert!(invalid(&reason).contains("SET"), "{reason:?}");
    // And the entry of somebody else's signature vouches for nothing.
    let field = |bundle: &backout_signatures::sign::Layer| {
        let json: serde_json::Value = serde_json::from_slice(&bundle.blob).unwrap();
        json["verificationMaterial"]["tlogEntries"].to_string()
    };
    let other = instance.bundle(&late, &digest()).unwrap();
    let borrowed = changed(&bundle, &field(&bundle), &field(&other));
    invalid(&verify_one(&with_root(&instance), Place::Referrers, borrowed));
}

#[test]
fn simple_signing_without_the_logs_promise_does_not_hold() {
    let instance = instance();
    let holder = instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    let layer = instance.simple_signing(&holder, REPOSITORY, &digest()).unwrap();
    for broken in ["", "{}", "{\"SignedEntryTimestamp\":\"\",\"Payload\":{}}"] {
        let mut layer = layer.clone();
        layer.annotations.insert("dev.sigstore.cosign/bundle".to_owned(), broken.to_owned());
        invalid(&verify_one(&with_root(&instance), Place::SigTag, layer));
    }
    let altered = changed(&layer, digest().hex(), &"ab".repeat(32));
    invalid(&verify_one(&with_root(&instance), Place::SigTag, altered));
}

#[test]
fn without_a_trust_root_the_signer_is_only_a_claim() {
    let instance = Instance::new(SIGNED_AT).unwrap();
    let holder = instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    let bundle = instance.bundle(&holder, &digest()).unwrap();
    let verified = verify_one(&Verifier::default(), Place::Referrers, bundle);
    let claim = format!("{RELEASE} (issuer {ISSUER})");
    assert_eq!(verified.fact, SignatureFact::OtherSigner { claim });
}
