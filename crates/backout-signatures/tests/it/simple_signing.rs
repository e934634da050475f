use backout_gates::gates::artifact_signature::{Format, Place, SignatureFact, TimeEvidence};
use backout_signatures::sign::{SigningKey, sig_manifest};

use crate::support::{
    REPOSITORY, changed, digest, invalid, key_name, valid, verify, verify_one, with_keys,
};

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

#[test]
fn a_key_of_the_policy_verifies() {
    let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let verifier = with_keys(&[("other.pub", &other), ("cosign.pub", &key)]);
    let layer = key.simple_signing(REPOSITORY, &digest()).unwrap();
    let verified = verify_one(&verifier, Place::SigTag, layer);
    assert_eq!(
        (verified.format.clone(), key_name(&verified)),
        (Format::SimpleSigning, "cosign.pub")
    );
    assert_eq!(valid(&verified).subjects, [digest()]);
    assert_eq!(valid(&verified).time, TimeEvidence::None);
}

#[test]
fn each_layer_is_a_signature_of_its_own() {
    let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let layers = [
        other.simple_signing(REPOSITORY, &digest()).unwrap(),
        key.simple_signing(REPOSITORY, &digest()).unwrap(),
    ];
    let verified =
        verify(&with_keys(&[("cosign.pub", &key)]), Place::SigTag, &sig_manifest(&layers));
    assert_eq!(verified.len(), 2);
    assert!(invalid(&verified[0]).contains("not by the key cosign.pub, or was altered"));
    assert_eq!(key_name(&verified[1]), "cosign.pub");
}

#[test]
fn what_was_altered_does_not_hold() {
    let key = SigningKey::generate().unwrap();
    let verifier = with_keys(&[("cosign.pub", &key)]);
    let layer = key.simple_signing(REPOSITORY, &digest()).unwrap();
    let altered = |change: &dyn Fn(&mut backout_signatures::sign::Layer)| {
        let mut layer = layer.clone();
        change(&mut layer);
        let verified = verify_one(&verifier, Place::SigTag, layer);
        invalid(&verified).to_owned()
    };
    let hex = digest().hex().to_owned();
    let other = "ab".repeat(32);
    assert!(altered(&|l| *l = changed(l, &hex, &other)).contains("was altered"));
    assert!(altered(&|l| *l = changed(l, "cosign container", "odd")).contains("has the type"));
    assert!(altered(&|l| *l = changed(l, &hex, "x")).contains("names no digest"));
    assert!(altered(&|l| l.blob = b"{".to_vec()).contains("payload cannot be read"));
    assert!(altered(&|l| l.annotations.clear()).contains("is missing"));
    let set = |text: &str| {
        let text = text.to_owned();
        move |l: &mut backout_signatures::sign::Layer| {
            l.annotations.insert(SIGNATURE.to_owned(), text.clone());
        }
    };
    assert!(altered(&set("?")).contains("not base64"));
    assert!(altered(&set("AAAA")).contains("was altered"));
}

#[test]
fn the_log_entry_tells_a_stranger_from_a_broken_signature() {
    use base64::Engine as _;
    let base64 = |bytes: &str| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (key, stranger) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    let mut layer = stranger.simple_signing(REPOSITORY, &digest()).unwrap();
    let pem = base64(&stranger.public_pem().unwrap());
    let body = format!(r#"{{"spec":{{"signature":{{"publicKey":{{"content":"{pem}"}}}}}}}}"#);
    let entry = format!(
        r#"{{"SignedEntryTimestamp":"","Payload":{{"body":"{}","integratedTime":1,"logIndex":0,
        "logID":""}}}}"#,
        base64(&body)
    );
    layer.annotations.insert("dev.sigstore.cosign/bundle".to_owned(), entry);
    let verifier = with_keys(&[("cosign.pub", &key)]);
    let verified = verify_one(&verifier, Place::SigTag, layer.clone());
    let SignatureFact::OtherSigner { claim } = verified.fact else { panic!("{verified:?}") };
    assert!(claim.starts_with("the key with SHA-256 "), "{claim}");
    // The stranger's name under something that the stranger did not sign proves nothing.
    layer.annotations.insert(SIGNATURE.to_owned(), "AAAA".to_owned());
    invalid(&verify_one(&verifier, Place::SigTag, layer));
}
