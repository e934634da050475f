//! Against a registry that has the referrers API.

use backout_core::policy::gate::AdmissionController;
use backout_fixtures::image::referrer;
use backout_fixtures::memory_registry::MemoryRegistry;

use super::bench::{Bench, ISSUER, RELEASE, SIGNED_AT, assert_told, image};

const NOTATION: &str = "application/vnd.cncf.notary.signature";

#[tokio::test]
async fn bundles_are_found_among_other_referrers() {
    let registry = MemoryRegistry::start().await;
    let mut bench = Bench::new(registry.address());
    let image = image();
    let on = image.digest();
    bench.push(&image).await;
    for name in ["a", "b", "c"] {
        let sbom = referrer(
            &image,
            "application/spdx+json",
            "application/spdx+json",
            b"{}",
            &[("name", name)],
        );
        bench.push(&sbom).await;
    }
    assert_told(&bench.judge(&on, &[]).await, "fail BO310", "is not signed", "sign it");
    bench.push_referrer(&image, bench.key.bundle(&on).unwrap()).await;
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "pass", "in the referrers API (sigstore bundle 0.3)", "");
    bench.controller = Some(AdmissionController::KyvernoImageValidating);
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "pass BO317", "not every version", "compare the controller's version");
    bench.controller = Some(AdmissionController::PolicyControllerBundle);
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "fail BO311", "sigstore/policy-controller#1958", "a certificate instead");
    let holder = bench.instance.certify(RELEASE, ISSUER, SIGNED_AT).unwrap();
    bench.push_referrer(&image, bench.instance.bundle(&holder, &on).unwrap()).await;
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "pass", RELEASE, "");
}

#[tokio::test]
async fn a_notation_signature_is_not_taken_for_none() {
    let registry = MemoryRegistry::start().await;
    let bench = Bench::new(registry.address());
    let image = image();
    bench.push(&image).await;
    let signature = referrer(&image, NOTATION, "application/jose+json", b"{}", &[]);
    bench.push(&signature).await;
    let outcome = bench.judge(&image.digest(), &[]).await;
    assert_told(&outcome, "not evaluated BO315", "notation signature", "it may be good");
}

#[tokio::test]
async fn an_attestation_by_the_right_key_is_no_signature() {
    let registry = MemoryRegistry::start().await;
    let bench = Bench::new(registry.address());
    let image = image();
    let on = image.digest();
    bench.push(&image).await;
    let attestation = bench.key.attestation(&on, "https://example.com/scan/failed").unwrap();
    bench.push_referrer(&image, attestation).await;
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "fail BO310", "is not signed", "sign it");
    assert!(outcome.findings[0].label.contains("https://example.com/scan/failed"));
}

#[tokio::test]
async fn a_fallback_tag_from_before_the_api_is_read() {
    let registry = MemoryRegistry::start().await;
    let bench = Bench::new(registry.address());
    let image = image();
    let on = image.digest();
    bench.push(&image).await;
    // As a client wrote it that knew of no subject: only the tag's index leads to it.
    let bundle = bench.key.bundle(&on).unwrap();
    let layer = String::from_utf8(bundle.blob).unwrap();
    let other = super::bench::artifact(&backout_signatures::sign::sig_manifest(&[]));
    let lost =
        referrer(&other, bundle.media_type.as_str(), &bundle.media_type, layer.as_bytes(), &[]);
    bench.push(&other).await;
    bench.push(&lost).await;
    bench.push_fallback(&on, &lost, backout_signatures::sign::BUNDLE).await;
    let outcome = bench.judge(&on, &[]).await;
    assert_told(&outcome, "pass", "in the referrers fallback tag", "");
}
