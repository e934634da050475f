//! From a folder in OCI image layout, without any network.

use backout_fixtures::layout;
use backout_gates::gates::artifact_signature::{Evidence, judge};
use backout_signatures::Verifier;
use backout_signatures::sign::{BUNDLE, Image, SigningKey, referrer, sig_manifest};
use backout_world::registry::Registry;
use backout_world::signatures;

use super::bench::{SIGNED_AT, artifact, assert_told, config, image};

#[tokio::test]
async fn both_forms_are_read_from_a_folder() {
    let (key, image) = (SigningKey::generate().unwrap(), image());
    let on = image.digest();
    let repository = "registry.example/shop/checkout".parse().unwrap();
    let old = artifact(&sig_manifest(&[key.simple_signing("shop/checkout", &on).unwrap()]));
    let subject = Image {
        digest: on.clone(),
        media_type: image.media_type.clone(),
        size_bytes: image.bytes.len(),
    };
    let new = artifact(&referrer(&subject, BUNDLE, &[key.bundle(&on).unwrap()]));
    let pem = key.public_pem().unwrap();
    let verifier = Verifier::read(&[("cosign.pub", pem.as_str())], None).unwrap();
    let tag = format!("sha256-{}.sig", on.hex());
    let tagged = (Some("1.42.0"), &image);
    for (listed, codes, cause) in [
        (vec![tagged], "fail BO310", "is not signed"),
        (vec![tagged, (Some(tag.as_str()), &old)], "pass", "in the .sig tag (simple signing)"),
        (vec![tagged, (None, &new)], "pass", "(sigstore bundle 0.3)"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        layout::write(folder.path(), &listed, false);
        let registry = Registry::in_layout(folder.path());
        let image = signatures::read(&registry, &verifier, &repository, &on, &[]).await;
        let evidence = Evidence { now: SIGNED_AT, images: vec![image], trust_root: None };
        assert_told(&judge(&config(None), &evidence), codes, cause, "");
    }
}

#[tokio::test]
async fn a_folder_that_is_no_layout_says_nothing_about_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::in_layout(folder.path());
    let repository = "registry.example/shop/checkout".parse().unwrap();
    let on = image().digest();
    let image = signatures::read(&registry, &Verifier::default(), &repository, &on, &[]).await;
    let evidence = Evidence { now: SIGNED_AT, images: vec![image], trust_root: None };
    let outcome = judge(&config(None), &evidence);
    assert_told(&outcome, "not evaluated BO316", "not an OCI image layout", "check the registry");
}
