//! What the tests share.

use backout_core::units::{Digest, Time};
use backout_gates::gates::artifact_signature::{Place, SignatureFact, Signer, ValidSignature};
use backout_signatures::sign::{Image, Instance, Layer, MANIFEST, Pushable, SigningKey};
use backout_signatures::{PublicKey, TrustRoot, Verified, Verifier, manifest, sign};

pub(crate) const REPOSITORY: &str = "registry.example.com/shop/checkout";
pub(crate) const RELEASE: &str = "https://git.example.com/shop/checkout@refs/tags/v1";
pub(crate) const ISSUER: &str = "https://token.example.com";

/// 2026-03-01.
pub(crate) const SIGNED_AT: Time = Time::from_millis(1_772_323_200_000);

pub(crate) fn digest() -> Digest {
    Digest::of_bytes(b"the manifest of the image")
}

pub(crate) fn image() -> Image {
    Image { digest: digest(), media_type: MANIFEST.to_owned(), size_bytes: 25 }
}

pub(crate) fn with_keys(keys: &[(&str, &SigningKey)]) -> Verifier {
    Verifier::new(public(keys), None)
}

pub(crate) fn public(keys: &[(&str, &SigningKey)]) -> Vec<PublicKey> {
    keys.iter()
        .map(|(name, key)| {
            PublicKey::from_pem(name, &key.public_pem().expect("a key"))
                .expect("what was made here can be read")
        })
        .collect()
}

pub(crate) fn with_root(instance: &Instance) -> Verifier {
    let root = TrustRoot::from_json("root.json", &instance.trust_root().expect("a root"))
        .expect("what was made here can be read");
    Verifier::new(Vec::new(), Some(root))
}

/// An instance whose keys began before anything was signed.
pub(crate) fn instance() -> Instance {
    Instance::new(Time::from_millis(SIGNED_AT.as_millis() - 86_400_000))
        .expect("what was made here can be read")
}

/// Verifies what a manifest holds, as an adapter does it.
pub(crate) fn verify(verifier: &Verifier, place: Place, pushed: &Pushable) -> Vec<Verified> {
    let read = manifest::read(place, &pushed.manifest).expect("what was made here can be read");
    read.layers
        .iter()
        .map(|layer| {
            let blob = pushed.blobs.iter().find(|blob| Digest::of_bytes(blob) == layer.digest);
            verifier.verify(layer, blob.expect("what was made here can be read"), &digest())
        })
        .collect()
}

pub(crate) fn verify_one(verifier: &Verifier, place: Place, layer: Layer) -> Verified {
    let pushed = match place {
        Place::SigTag => sign::sig_manifest(&[layer]),
        _ => sign::referrer(&image(), sign::BUNDLE, &[layer]),
    };
    verify(verifier, place, &pushed).remove(0)
}

pub(crate) fn valid(verified: &Verified) -> &ValidSignature {
    match &verified.fact {
        SignatureFact::Valid(valid) => valid,
        other => panic!("expected a valid signature, found {other:?}"),
    }
}

pub(crate) fn key_name(verified: &Verified) -> &str {
    match &valid(verified).signer {
        Signer::Key { name, .. } => name,
        Signer::Certificate(_) => panic!("expected a key"),
    }
}

pub(crate) fn invalid(verified: &Verified) -> &str {
    match &verified.fact {
        SignatureFact::Invalid { reason } => reason,
        other => panic!("expected an invalid signature, found {other:?}"),
    }
}

/// Changes a bundle's JSON by replacing a text that must be there.
pub(crate) fn changed(layer: &Layer, from: &str, to: &str) -> Layer {
    let text = String::from_utf8(layer.blob.clone()).expect("what was made here can be read");
    assert!(text.contains(from), "{from} is not in {text}");
    Layer { blob: text.replace(from, to).into_bytes(), ..layer.clone() }
}
