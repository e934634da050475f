use backout_core::units::Time;
use backout_signatures::sign::SigningKey;
use backout_signatures::{PublicKey, TrustRoot};

use crate::support::{SIGNED_AT, instance};

#[test]
fn a_trust_root_says_how_old_it_is() {
    let root = TrustRoot::from_json("root.json", &instance().trust_root().unwrap()).unwrap();
    let day_before = Time::from_millis(SIGNED_AT.as_millis() - 86_400_000);
    assert_eq!(root.age().newest_since, Some(day_before));
    assert_eq!(root.age().authorities_until, None);
    let ended = instance().trust_root().unwrap().replacen(
        "\"certificateAuthorities\":[{",
        "\"certificateAuthorities\":[{\"x\":1,",
        1,
    );
    let ended =
        ended.replace("\"}}],\"ctlogs\"", "\",\"end\":\"2026-03-02T00:00:00Z\"}}],\"ctlogs\"");
    let age = TrustRoot::from_json("root.json", &ended).unwrap().age();
    assert_eq!(age.authorities_until, Some(Time::from_millis(SIGNED_AT.as_millis() + 86_400_000)));
}

#[test]
fn what_is_no_trust_root_is_refused() {
    for bad in ["", "[]", "{\"mediaType\":3}"] {
        let error = TrustRoot::from_json("root.json", bad).err().unwrap().to_string();
        assert!(error.starts_with("root.json is not a trust root"), "{error}");
    }
    let large = " ".repeat(2 << 20);
    assert!(
        TrustRoot::from_json("root.json", &large).err().unwrap().to_string().contains("at most")
    );
}

#[test]
fn what_is_no_public_key_is_refused() {
    let error = PublicKey::from_pem("cosign.pub", "hello").unwrap_err().to_string();
    assert!(error.starts_with("cosign.pub is not a public key that is known here"), "{error}");
    let secret = "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nc2VjcmV0\n";
    let error = PublicKey::from_pem("cosign.key", secret).unwrap_err().to_string();
    assert!(error.contains("holds a private key") && !error.contains("c2Vj"), "{error}");
    let key = SigningKey::generate().unwrap().public_pem().unwrap();
    assert_eq!(PublicKey::from_pem("cosign.pub", &key).unwrap().fingerprint().len(), 64);
}

#[test]
fn the_public_trust_roots_can_be_read() {
    use sigstore_verify::trust_root::{
        SIGSTORE_GITHUB_TRUSTED_ROOT, SIGSTORE_PRODUCTION_TRUSTED_ROOT,
    };
    for json in [SIGSTORE_PRODUCTION_TRUSTED_ROOT, SIGSTORE_GITHUB_TRUSTED_ROOT] {
        let root = TrustRoot::from_json("public.json", json).unwrap();
        assert!(root.age().newest_since > Some(Time::from_millis(1_600_000_000_000)));
    }
}
