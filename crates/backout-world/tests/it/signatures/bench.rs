//! A registry with an image, and what the gate says of its signatures.

use std::net::SocketAddr;
use std::time::Duration;

use backout_core::policy::gate::{AdmissionController, ArtifactSignature, SignerIdentity};
use backout_core::units::{Digest, Time};
use backout_fixtures::image::{self, Artifact};
use backout_fixtures::push::push;
use backout_gates::Outcome;
use backout_gates::gates::artifact_signature::{Evidence, Related, judge};
use backout_gates::oci::Repository;
use backout_signatures::Verifier;
use backout_signatures::sign::{self, Instance, Layer, MANIFEST, Pushable, SigningKey};
use backout_world::registry::{Credentials, Options, Registry};
use backout_world::signatures;

pub(super) const REPOSITORY: &str = "shop/checkout";
pub(super) const RELEASE: &str = "https://git.example.com/shop/checkout@refs/tags/v1";
pub(super) const ISSUER: &str = "https://token.example.com";

/// 2026-03-01.
pub(super) const SIGNED_AT: Time = Time::from_millis(1_772_323_200_000);

/// A registry, a key and a sigstore that the policy trusts.
pub(super) struct Bench {
    pub(super) address: SocketAddr,
    pub(super) key: SigningKey,
    pub(super) instance: Instance,
    pub(super) controller: Option<AdmissionController>,
}

impl Bench {
    pub(super) fn new(address: SocketAddr) -> Self {
        let since = Time::from_millis(SIGNED_AT.as_millis() - 86_400_000);
        Self {
            address,
            key: SigningKey::generate().expect("a key"),
            instance: Instance::new(since).expect("an instance"),
            controller: None,
        }
    }

    pub(super) fn repository(&self) -> String {
        format!("{}/{REPOSITORY}", self.address)
    }

    /// Pushes an image under its digest.
    pub(super) async fn push(&self, image: &Artifact) {
        push(self.address, REPOSITORY, &[], image).await;
    }

    /// Pushes a `.sig` tag for a digest.
    pub(super) async fn push_sig(&self, on: &Digest, layers: &[Layer]) {
        let tag = format!("{}.sig", image::fallback_tag(on));
        push(self.address, REPOSITORY, &[&tag], &artifact(&sign::sig_manifest(layers))).await;
    }

    /// Pushes something that refers to an image.
    pub(super) async fn push_referrer(&self, of: &Artifact, layer: Layer) -> Artifact {
        let subject = sign::Image {
            digest: of.digest(),
            media_type: of.media_type.clone(),
            size_bytes: of.bytes.len(),
        };
        let referrer = artifact(&sign::referrer(&subject, sign::BUNDLE, &[layer]));
        push(self.address, REPOSITORY, &[], &referrer).await;
        referrer
    }

    /// Pushes the index of referrers under the fallback tag.
    pub(super) async fn push_fallback(&self, on: &Digest, referrer: &Artifact, listed_as: &str) {
        let index = image::fallback_index(&[referrer], listed_as);
        push(self.address, REPOSITORY, &[&image::fallback_tag(on)], &index).await;
    }

    /// What the gate says of a digest.
    pub(super) async fn judge(&self, deployed: &Digest, recorded: &[Related]) -> Outcome {
        let (pem, root) =
            (self.key.public_pem().expect("a key"), self.instance.trust_root().expect("a root"));
        let keys = [("cosign.pub", pem.as_str())];
        let verifier =
            Verifier::read(&keys, Some(("root.json", root.as_str()))).expect("a verifier");
        let options =
            Options { timeout: Duration::from_secs(10), retries: 0, ..Options::default() };
        let registry = Registry::over_http(options, Credentials::none()).expect("a registry");
        let repository: Repository = self.repository().parse().expect("a repository");
        let image = signatures::read(&registry, &verifier, &repository, deployed, recorded).await;
        let evidence =
            Evidence { now: SIGNED_AT, images: vec![image], trust_root: verifier.trust_root_age() };
        judge(&config(self.controller), &evidence)
    }
}

/// A policy that trusts the key and the releases of one organisation.
pub(super) fn config(controller: Option<AdmissionController>) -> ArtifactSignature {
    ArtifactSignature {
        keys: vec!["cosign.pub".to_owned()],
        identities: vec![SignerIdentity {
            issuer: ISSUER.to_owned(),
            subject: "https://git.example.com/shop/*@refs/tags/*".to_owned(),
        }],
        trust_root: Some("root.json".to_owned()),
        controller,
    }
}

/// The image of one platform.
pub(super) fn image() -> Artifact {
    image::Image::new("linux/amd64").layer(&[("app", "checkout 1.42.0")]).build()
}

pub(super) fn artifact(pushable: &Pushable) -> Artifact {
    Artifact {
        media_type: MANIFEST.to_owned(),
        bytes: pushable.manifest.clone().into(),
        blobs: pushable
            .blobs
            .iter()
            .map(|blob| (Digest::of_bytes(blob), blob.clone().into()))
            .collect(),
        children: Vec::new(),
    }
}

/// Verdict and codes in one line, and the first finding's message and help.
pub(super) fn told(outcome: &Outcome) -> (String, String, String) {
    let codes: Vec<&str> = outcome.findings.iter().map(|finding| finding.code.0).collect();
    let (message, help) = outcome.findings.first().map_or_else(
        || (outcome.message.clone(), String::new()),
        |finding| (finding.message.clone(), finding.help.clone()),
    );
    (format!("{} {}", outcome.verdict, codes.join(" ")), message, help)
}

/// Holds an outcome to its code, and to words of its cause and of the next action.
pub(super) fn assert_told(outcome: &Outcome, codes: &str, cause: &str, next: &str) {
    let (told, message, help) = told(outcome);
    assert_eq!(told.trim_end(), codes, "{outcome:#?}");
    assert!(message.contains(cause), "`{cause}` is not in `{message}`");
    assert!(help.contains(next), "`{next}` is not in `{help}`");
}
