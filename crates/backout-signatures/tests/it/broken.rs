//! Bytes of strangers: whatever is changed, nothing panics, and nothing that verifies says anything
//! else than what was signed.

use backout_gates::gates::artifact_signature::{Place, SignatureFact};
use backout_signatures::sign::{Layer, SigningKey};
use backout_signatures::{TrustRoot, Verifier};

use crate::support::{
    ISSUER, RELEASE, REPOSITORY, SIGNED_AT, digest, instance, public, valid, verify_one,
};

fn verify_broken(verifier: &Verifier, place: Place, layer: &Layer) {
    let whole = verify_one(verifier, place, layer.clone());
    let signed = valid(&whole);
    assert_eq!(signed.subjects, [digest()]);
    let holds = |blob: Vec<u8>| {
        let verified = verify_one(verifier, place, Layer { blob, ..layer.clone() });
        if let SignatureFact::Valid(valid) = verified.fact {
            assert_eq!((&valid.signer, &valid.subjects), (&signed.signer, &signed.subjects));
        }
    };
    for at in (0..layer.blob.len()).step_by(11) {
        holds(layer.blob[..at].to_vec());
        for bit in [0x01, 0x20, 0x80] {
            let mut blob = layer.blob.clone();
            blob[at] ^= bit;
            holds(blob);
        }
    }
}

#[test]
fn broken_bytes_never_verify_as_something_else() {
    let (key, instance) = (SigningKey::generate().unwrap(), instance());
    let root = TrustRoot::from_json("root.json", &instance.trust_root().unwrap()).unwrap();
    let verifier = Verifier::new(public(&[("cosign.pub", &key)]), Some(root));
    let holder = instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    let simple = key.simple_signing(REPOSITORY, &digest()).unwrap();
    verify_broken(&verifier, Place::SigTag, &simple);
    let simple = instance.simple_signing(&holder, REPOSITORY, &digest()).unwrap();
    verify_broken(&verifier, Place::SigTag, &simple);
    verify_broken(&verifier, Place::Referrers, &key.bundle(&digest()).unwrap());
    let bundle = instance.bundle(&holder, &digest()).unwrap();
    verify_broken(&verifier, Place::Referrers, &bundle);
}
