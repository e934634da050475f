use std::collections::BTreeMap;
use std::fmt::Write as _;

use backout_core::judgement::Verdict as GateVerdict;
use backout_core::policy::gate::{AdmissionController, ArtifactSignature, SignerIdentity};
use backout_core::units::{Digest, Time};

use super::*;

fn digest(of: &str) -> Digest {
    Digest::of_bytes(of.as_bytes())
}

fn by_key() -> SignatureFact {
    SignatureFact::Valid(Box::new(ValidSignature {
        signer: Signer::Key { name: "cosign.pub".to_owned(), fingerprint: "ab12".repeat(16) },
        subjects: vec![digest("deployed")],
        time: TimeEvidence::None,
    }))
}

fn by_certificate(subject: &str) -> SignatureFact {
    SignatureFact::Valid(Box::new(ValidSignature {
        signer: Signer::Certificate(CertificateIdentity {
            subject: subject.to_owned(),
            issuer: "https://token.example.com".to_owned(),
            claims: BTreeMap::new(),
        }),
        subjects: vec![digest("deployed")],
        time: TimeEvidence::Witnessed(Time::from_millis(1)),
    }))
}

fn item(format: Format, fact: SignatureFact) -> Item {
    Item {
        manifest: digest("manifest"),
        listed_as: Some("application/vnd.dev.sigstore.bundle.v0.3+json".to_owned()),
        format,
        content: Content::Signature,
        fact,
    }
}

fn simple(fact: SignatureFact) -> Item {
    item(Format::SimpleSigning, fact)
}

fn bundle(fact: SignatureFact) -> Item {
    item(Format::Bundle("0.3".to_owned()), fact)
}

/// The image with these things at the places; other places of the deployed digest are empty.
fn image(found: Vec<(Place, Item)>) -> ImageEvidence {
    let mut lookups: Vec<Lookup> = [Place::SigTag, Place::Referrers, Place::FallbackTag]
        .map(|place| Lookup {
            place,
            on: digest("deployed"),
            outcome: LookupOutcome::Read(Vec::new()),
        })
        .into();
    for (place, item) in found {
        let lookup = lookups.iter_mut().find(|lookup| lookup.place == place).unwrap();
        match &mut lookup.outcome {
            LookupOutcome::Read(items) => items.push(item),
            _ => unreachable!(),
        }
    }
    ImageEvidence {
        repository: "registry.example.com/shop/checkout".to_owned(),
        deployed: digest("deployed"),
        related: vec![
            Related { digest: digest("index"), relation: Relation::Index },
            Related { digest: digest("att"), relation: Relation::AttestationManifest },
        ],
        lookups,
    }
}

fn evidence(found: Vec<(Place, Item)>) -> Evidence {
    Evidence { now: Time::ZERO, images: vec![image(found)], trust_root: None }
}

fn config(controller: Option<AdmissionController>) -> ArtifactSignature {
    ArtifactSignature {
        keys: vec!["cosign.pub".to_owned()],
        identities: vec![SignerIdentity {
            issuer: "https://token.example.com".to_owned(),
            subject: "https://git.example.com/shop/*@refs/tags/*".to_owned(),
        }],
        trust_root: Some("root.json".to_owned()),
        controller,
    }
}

fn codes(outcome: &Outcome) -> Vec<&str> {
    outcome.findings.iter().map(|finding| finding.code.0).collect()
}

fn shown(outcome: &Outcome) -> String {
    let mut shown = format!("{}: {}\n", outcome.verdict, outcome.message);
    for finding in &outcome.findings {
        let Finding { code, level, message, label, help, .. } = finding;
        let Subject::Object(subject) = &finding.subject else { unreachable!() };
        write!(
            shown,
            "\n{level}[{code}] {message}\n  at   {subject}\n  seen {label}\n  help {help}\n"
        )
        .unwrap();
    }
    shown
}

const RELEASE: &str = "https://git.example.com/shop/checkout@refs/tags/v1";

#[test]
fn a_signature_of_a_named_signer_passes() {
    let outcome = judge(&config(None), &evidence(vec![(Place::SigTag, simple(by_key()))]));
    insta::assert_snapshot!("verified_key", shown(&outcome));
    let found = vec![(Place::FallbackTag, bundle(by_certificate(RELEASE)))];
    let outcome = judge(&config(None), &evidence(found));
    insta::assert_snapshot!("verified_certificate", shown(&outcome));
}

#[test]
fn every_verdict_says_its_cause_and_what_to_do() {
    let elsewhere = |subject: &str| {
        let mut fact = by_key();
        if let SignatureFact::Valid(valid) = &mut fact {
            valid.subjects = vec![digest(subject)];
        }
        fact
    };
    let reason = "the signature is not by any of the policy's 1 key".to_owned();
    let claim = "the key with hint abc".to_owned();
    let attestation = Item {
        content: Content::Attestation { predicate: "https://slsa.dev/provenance/v1".to_owned() },
        ..bundle(by_key())
    };
    let notation = "notation signatures are not verified".to_owned();
    let notation = item(Format::Notation, SignatureFact::Unsupported { reason: notation });
    let cases = [
        ("absent", Vec::new()),
        ("absent_but_attested", vec![(Place::Referrers, attestation)]),
        ("unreadable", vec![(Place::FallbackTag, bundle(by_key()))]),
        ("invalid", vec![(Place::SigTag, simple(SignatureFact::Invalid { reason }))]),
        ("wrong_identity", vec![(Place::SigTag, simple(by_certificate("mallory@example.com")))]),
        (
            "wrong_identity_claimed",
            vec![(Place::SigTag, simple(SignatureFact::OtherSigner { claim }))],
        ),
        ("wrong_subject_index", vec![(Place::SigTag, simple(elsewhere("index")))]),
        ("wrong_subject_other", vec![(Place::SigTag, simple(elsewhere("other")))]),
        ("unknown_format", vec![(Place::Referrers, notation)]),
    ];
    for (name, found) in cases {
        let outcome = judge(&config(Some(AdmissionController::KyvernoCosign)), &evidence(found));
        assert_ne!(outcome.verdict, GateVerdict::Pass, "{name}");
        insta::assert_snapshot!(name, shown(&outcome));
    }
}

fn with_failure(mut evidence: Evidence) -> Evidence {
    evidence.images[0].lookups[1].outcome =
        LookupOutcome::Failed { reason: "the registry answered 503".to_owned() };
    evidence
}

#[test]
fn a_failed_lookup_is_never_taken_for_absent() {
    let outcome = judge(&config(None), &with_failure(evidence(Vec::new())));
    insta::assert_snapshot!("lookup_failed", shown(&outcome));
    // It wins over what is bad, because what could not be read may be good.
    let bad = vec![(Place::SigTag, simple(SignatureFact::Invalid { reason: String::new() }))];
    assert_eq!(codes(&judge(&config(None), &with_failure(evidence(bad)))), ["BO316"]);
    // And it takes nothing from what is good.
    let good = vec![(Place::SigTag, simple(by_key()))];
    assert_eq!(judge(&config(None), &with_failure(evidence(good))).verdict, GateVerdict::Pass);
}

#[test]
fn a_place_that_nobody_looked_at_is_not_empty() {
    let mut evidence = evidence(Vec::new());
    evidence.images[0].lookups.clear();
    let outcome = judge(&config(None), &evidence);
    assert_eq!((outcome.verdict, codes(&outcome)), (GateVerdict::NotEvaluated, vec!["BO316"]));
    assert!(outcome.message.contains("nobody looked at the .sig tag"), "{}", outcome.message);
}

#[test]
fn a_registry_without_referrers_needs_the_fallback_tag() {
    let mut evidence = evidence(Vec::new());
    evidence.images[0].lookups[1].outcome = LookupOutcome::NotOffered;
    assert_eq!(codes(&judge(&config(None), &evidence)), ["BO310"]);
    evidence.images[0].lookups.remove(2);
    assert_eq!(codes(&judge(&config(None), &evidence)), ["BO316"]);
}

#[test]
fn the_best_of_several_signatures_decides() {
    let invalid = || simple(SignatureFact::Invalid { reason: "x".to_owned() });
    let mallory = || bundle(by_certificate("mallory@example.com"));
    let kyverno = Some(AdmissionController::KyvernoCosign);
    let judged = |controller, found| {
        let outcome = judge(&config(controller), &evidence(found));
        (outcome.verdict, codes(&outcome).join(" "))
    };
    let found = vec![
        (Place::SigTag, invalid()),
        (Place::Referrers, mallory()),
        (Place::Referrers, bundle(by_key())),
    ];
    assert_eq!(judged(None, found.clone()), (GateVerdict::Pass, String::new()));
    assert_eq!(judged(kyverno, found.clone()), (GateVerdict::Fail, "BO311".to_owned()));
    assert_eq!(judged(None, found[..2].to_vec()), (GateVerdict::Fail, "BO313".to_owned()));
    assert_eq!(judged(None, found[..1].to_vec()), (GateVerdict::Fail, "BO312".to_owned()));
}

#[test]
fn a_signature_under_another_digest_is_not_seen_by_admission() {
    let mut evidence = evidence(Vec::new());
    evidence.images[0].lookups.push(Lookup {
        place: Place::SigTag,
        on: digest("index"),
        outcome: LookupOutcome::Read(vec![simple(by_key())]),
    });
    let outcome = judge(&config(None), &evidence);
    insta::assert_snapshot!("misplaced", shown(&outcome));
}

#[test]
fn controllers_read_what_their_row_says() {
    use AdmissionController as A;
    let mut table = String::new();
    let controllers = [
        A::KyvernoCosign,
        A::KyvernoBundle,
        A::KyvernoImageValidating,
        A::PolicyController,
        A::PolicyControllerBundle,
        A::Connaisseur,
        A::Ratify,
        A::SigstoreSigned,
    ];
    let empty = |mut item: Item| {
        item.listed_as = Some("application/vnd.oci.empty.v1+json".to_owned());
        item
    };
    let found = [
        ("simple signing, key", Place::SigTag, simple(by_key())),
        ("bundle, key", Place::Referrers, bundle(by_key())),
        ("bundle, certificate", Place::Referrers, bundle(by_certificate(RELEASE))),
        ("the same, listed as empty", Place::FallbackTag, empty(bundle(by_certificate(RELEASE)))),
    ];
    for controller in controllers {
        writeln!(table, "{controller}").unwrap();
        for (name, place, item) in &found {
            let found = vec![(*place, item.clone())];
            let outcome = judge(&config(Some(controller)), &evidence(found));
            let help = outcome.findings.first().map_or("", |finding| finding.help.as_str());
            let help = help.replace(&format!("{}", digest("deployed")), "DIGEST");
            let codes = codes(&outcome).join(" ");
            writeln!(table, "  {name}: {} {codes} {help}", outcome.verdict).unwrap();
        }
    }
    insta::assert_snapshot!("controllers", table);
}

#[test]
fn nobody_trusted_is_not_evaluated() {
    let nobody = ArtifactSignature::default();
    let found = || evidence(vec![(Place::SigTag, simple(by_key()))]);
    let outcome = judge(&nobody, &found());
    insta::assert_snapshot!("nobody", shown(&outcome));
    let rootless = ArtifactSignature { keys: Vec::new(), trust_root: None, ..config(None) };
    let outcome = judge(&rootless, &found());
    assert_eq!((outcome.verdict, codes(&outcome)), (GateVerdict::NotEvaluated, vec!["BO319"]));
    let mut none = found();
    none.images.clear();
    assert_eq!(judge(&config(None), &none).verdict, GateVerdict::NotEvaluated);
}

#[test]
fn a_key_that_is_not_named_any_more_does_not_count() {
    let other = ArtifactSignature { keys: vec!["new.pub".to_owned()], ..config(None) };
    let outcome = judge(&other, &evidence(vec![(Place::SigTag, simple(by_key()))]));
    assert_eq!(codes(&outcome), ["BO313"]);
}

#[test]
fn one_bad_image_fails_although_another_is_unknown() {
    let mut evidence = with_failure(evidence(Vec::new()));
    evidence.images.push(image(Vec::new()));
    let outcome = judge(&config(None), &evidence);
    assert_eq!((outcome.verdict, codes(&outcome)), (GateVerdict::Fail, vec!["BO316", "BO310"]));
}

#[test]
fn an_old_trust_root_is_mentioned() {
    const DAY: u64 = 86_400_000;
    let mut evidence = evidence(vec![(Place::SigTag, simple(by_key()))]);
    evidence.now = Time::from_millis(1000 * DAY);
    evidence.trust_root = Some(TrustRootAge {
        newest_since: Some(Time::from_millis(100 * DAY)),
        authorities_until: None,
    });
    insta::assert_snapshot!("old_trust_root", shown(&judge(&config(None), &evidence)));
    evidence.trust_root = Some(TrustRootAge {
        newest_since: Some(Time::from_millis(900 * DAY)),
        authorities_until: Some(Time::from_millis(990 * DAY)),
    });
    insta::assert_snapshot!("ended_trust_root", shown(&judge(&config(None), &evidence)));
    evidence.trust_root = Some(TrustRootAge {
        newest_since: Some(Time::from_millis(900 * DAY)),
        authorities_until: Some(Time::from_millis(1990 * DAY)),
    });
    assert!(judge(&config(None), &evidence).findings.is_empty());
}

#[test]
fn every_code_is_explained() {
    let codes: Vec<&str> = ABOUT.findings.iter().map(|finding| finding.code).collect();
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!((codes.len(), codes), (10, sorted));
}
