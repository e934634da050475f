//! Against Debian's `docker-registry`.

use backout_core::policy::gate::AdmissionController;
use backout_core::units::Digest;
use backout_fixtures::docker_registry::DockerRegistry;
use backout_fixtures::image::{self, OCI_EMPTY};
use backout_fixtures::push::delete;
use backout_gates::gates::artifact_signature::{Related, Relation};
use backout_signatures::sign::{BUNDLE, Layer, SigningKey};

use super::bench::{Bench, ISSUER, RELEASE, SIGNED_AT, assert_told, image};

#[tokio::test]
async fn simple_signing_with_a_key_is_verified() {
    let Some(registry) = DockerRegistry::start("simple signing with a key").await else { return };
    let mut bench = Bench::new(registry.address());
    let (image, repository) = (image(), bench.repository());
    bench.push(&image).await;
    let layer = bench.key.simple_signing(&repository, &image.digest()).unwrap();
    bench.push_sig(&image.digest(), &[layer]).await;
    let outcome = bench.judge(&image.digest(), &[]).await;
    assert_told(&outcome, "pass", "signed by key cosign.pub", "");
    bench.controller = Some(AdmissionController::KyvernoBundle);
    let outcome = bench.judge(&image.digest(), &[]).await;
    assert_told(&outcome, "fail BO311", "does not read simple signing", "use `type: Cosign`");
}

#[tokio::test]
async fn simple_signing_with_a_certificate_is_verified() {
    let Some(registry) = DockerRegistry::start("simple signing, keyless").await else { return };
    let bench = Bench::new(registry.address());
    let (image, repository) = (image(), bench.repository());
    bench.push(&image).await;
    let holder = bench.instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    let layer = bench.instance.simple_signing(&holder, &repository, &image.digest()).unwrap();
    bench.push_sig(&image.digest(), &[layer]).await;
    assert_told(&bench.judge(&image.digest(), &[]).await, "pass", RELEASE, "");
}

#[tokio::test]
async fn a_bundle_under_the_fallback_tag_is_verified_and_not_read_by_every_controller() {
    let Some(registry) = DockerRegistry::start("bundle, fallback tag").await else { return };
    let mut bench = Bench::new(registry.address());
    let image = image();
    let on = image.digest();
    bench.push(&image).await;
    let referrer = bench.push_referrer(&image, bench.key.bundle(&on).unwrap()).await;
    for listed_as in [BUNDLE, OCI_EMPTY] {
        bench.push_fallback(&on, &referrer, listed_as).await;
        bench.controller = None;
        let outcome = bench.judge(&on, &[]).await;
        assert_told(&outcome, "pass", "in the referrers fallback tag (sigstore bundle 0.3)", "");
        bench.controller = Some(AdmissionController::KyvernoCosign);
        let outcome = bench.judge(&on, &[]).await;
        let next = "--new-bundle-format=false";
        assert_told(&outcome, "fail BO311", "reads `.sig` tags only", next);
    }
    bench.controller = Some(AdmissionController::KyvernoBundle);
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "fail BO311", "kyverno/kyverno#16664", "`type: Cosign`");
}

#[tokio::test]
async fn a_bundle_with_a_certificate_is_verified_offline() {
    let Some(registry) = DockerRegistry::start("bundle, keyless").await else { return };
    let bench = Bench::new(registry.address());
    let image = image();
    let on = image.digest();
    bench.push(&image).await;
    let holder = bench.instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    let referrer = bench.push_referrer(&image, bench.instance.bundle(&holder, &on).unwrap()).await;
    bench.push_fallback(&on, &referrer, BUNDLE).await;
    assert_told(&bench.judge(&on, &[]).await, "pass", RELEASE, "");
}

#[tokio::test]
async fn an_image_without_a_signature_is_absent() {
    let Some(registry) = DockerRegistry::start("absent").await else { return };
    let bench = Bench::new(registry.address());
    let image = image();
    bench.push(&image).await;
    let outcome = bench.judge(&image.digest(), &[]).await;
    assert_told(&outcome, "fail BO310", "is not signed", "the key of cosign.pub");
}

#[tokio::test]
async fn an_altered_signature_is_invalid() {
    let Some(registry) = DockerRegistry::start("invalid").await else { return };
    let bench = Bench::new(registry.address());
    let image = image();
    bench.push(&image).await;
    let layer = bench.key.simple_signing("other/repository", &image.digest()).unwrap();
    let blob = String::from_utf8(layer.blob).unwrap().replace("other/", "altered/");
    let layer = Layer { blob: blob.into_bytes(), ..layer };
    bench.push_sig(&image.digest(), &[layer]).await;
    let outcome = bench.judge(&image.digest(), &[]).await;
    assert_told(&outcome, "fail BO312", "or was altered", "find out who wrote manifest sha256:");
}

#[tokio::test]
async fn a_signature_of_somebody_else_is_the_wrong_identity() {
    let Some(registry) = DockerRegistry::start("wrong identity").await else { return };
    let bench = Bench::new(registry.address());
    let image = image();
    let on = image.digest();
    bench.push(&image).await;
    let holder = bench.instance.certify("https://git.example.com/mallory", ISSUER, SIGNED_AT);
    let bundle = bench.instance.bundle(&holder.unwrap(), &on).unwrap();
    let referrer = bench.push_referrer(&image, bundle).await;
    bench.push_fallback(&on, &referrer, BUNDLE).await;
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "fail BO313", "is signed by https://git.example.com/mallory", "name it");
    let stranger = SigningKey::generate().unwrap();
    let referrer = bench.push_referrer(&image, stranger.bundle(&on).unwrap()).await;
    bench.push_fallback(&on, &referrer, BUNDLE).await;
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "fail BO313", "seems to be signed by the key with the hint", "name it");
}

#[tokio::test]
async fn a_signature_of_the_index_is_the_wrong_subject_for_a_platform() {
    let Some(registry) = DockerRegistry::start("wrong subject").await else { return };
    let bench = Bench::new(registry.address());
    let image = image();
    let index = image::index(&[("linux/amd64", &image)], &[]);
    bench.push(&index).await;
    let sign = |on: &Digest| bench.key.simple_signing("shop/checkout", on).unwrap();
    bench.push_sig(&index.digest(), &[sign(&index.digest())]).await;
    assert_told(&bench.judge(&index.digest(), &[]).await, "pass", "cosign.pub", "");
    let recorded = [Related { digest: index.digest(), relation: Relation::Index }];
    let outcome = bench.judge(&image.digest(), &recorded).await;
    let cause = "the index that lists the deployed manifest";
    assert_told(&outcome, "fail BO314", cause, "`cosign sign --recursive ");
    // Copied under the digest that is deployed, it is still for the index.
    bench.push_sig(&image.digest(), &[sign(&index.digest())]).await;
    let outcome = bench.judge(&image.digest(), &recorded).await;
    assert_told(&outcome, "fail BO314", cause, "cosign sign");
}

#[tokio::test]
async fn a_signature_of_a_platform_is_the_wrong_subject_for_the_index() {
    let Some(registry) = DockerRegistry::start("wrong subject, platform").await else { return };
    let bench = Bench::new(registry.address());
    let image = image();
    let attestation = image::provenance(&image, "0123456789", "2026-03-01T00:00:00Z");
    let index = image::index(&[("linux/amd64", &image)], &[&attestation]);
    bench.push(&index).await;
    let outcome = bench.judge(&index.digest(), &[]).await;
    assert_told(&outcome, "fail BO310", "is not signed", "");
    assert!(outcome.findings[0].label.contains("https://slsa.dev/provenance/v0.2"));
    for (of, cause) in
        [(&attestation, "the attestation manifest"), (&image, "the manifest of linux/amd64")]
    {
        let layer = bench.key.simple_signing("shop/checkout", &of.digest()).unwrap();
        bench.push_sig(&of.digest(), &[layer]).await;
        let outcome = bench.judge(&index.digest(), &[]).await;
        assert_told(&outcome, "fail BO314", cause, "sign the digest that is deployed");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_never_absent() {
    let Some(registry) = DockerRegistry::start("lookup failed").await else { return };
    let bench = Bench::new(registry.address());
    let image = image();
    let on = image.digest();
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "not evaluated BO316", "the image itself", "check the registry");
    bench.push(&image).await;
    let referrer = bench.push_referrer(&image, bench.key.bundle(&on).unwrap()).await;
    bench.push_fallback(&on, &referrer, BUNDLE).await;
    delete(registry.address(), "shop/checkout", &referrer).await;
    let outcome = bench.judge(&on, &[]).await;
    let cause = "is listed as a referrer, and is not there";
    assert_told(&outcome, "not evaluated BO316", cause, "check the registry");
    drop(registry);
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "not evaluated BO316", "the .sig tag", "check the registry");
}
