//! The gate on signatures: the deployed digest carries a signature of a signer that the policy
//! names, in a place and format that the cluster's admission controller reads.
//!
//! "Unsigned" is never said alone, because it has many causes with different cures. Cryptography is
//! done elsewhere: here is decided what its results mean.

mod about;
mod controller;
mod evidence;
#[cfg(test)]
mod tests;
mod verdict;
mod wildcard;
mod wording;

use backout_core::finding::{Finding, Level, Subject};
use backout_core::judgement::Verdict as GateVerdict;
use backout_core::policy::gate::ArtifactSignature;
use backout_core::units::{Span, Time};

pub use about::{
    ABOUT, ABSENT, INVALID_SIG, LOOKUP_FAILED, NOBODY_TRUSTED, OLD_TRUST_ROOT,
    READ_BY_SOME_VERSIONS, UNKNOWN_FORMAT, UNREADABLE_BY, WRONG_IDENTITY, WRONG_SUBJECT,
};
pub use controller::{KeyBundles, Reading, reading};
pub use evidence::{
    CertificateIdentity, Content, Evidence, Format, ImageEvidence, Item, Lookup, LookupOutcome,
    Place, Related, Relation, SignatureFact, Signer, TimeEvidence, TrustRootAge, ValidSignature,
};
pub use verdict::{Found, Verdict, verdict};

use crate::Outcome;

/// A trust root whose newest key is older than this is mentioned. The public one changes about
/// twice a year.
const OLD_TRUST_ROOT_DAYS: u64 = 400;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Judges what was read of the signatures of a release's images.
#[must_use]
pub fn judge(config: &ArtifactSignature, evidence: &Evidence) -> Outcome {
    if let Some(outcome) = nobody_trusted(config) {
        return outcome;
    }
    if evidence.images.is_empty() {
        return Outcome::not_evaluated("the release names no image whose signatures could be read");
    }
    let mut findings = Vec::new();
    let mut verified = Vec::new();
    let mut is_unknown = false;
    let mut is_bad = false;
    for image in &evidence.images {
        let verdict = verdict(config, image);
        findings.extend(wording::finding(config, image, &verdict));
        match &verdict {
            Verdict::Verified { found, .. } => verified.push(wording::verified(image, found)),
            Verdict::UnknownFormat(_) | Verdict::LookupFailed { .. } => is_unknown = true,
            _ => is_bad = true,
        }
    }
    findings.extend(old_trust_root(config, evidence));
    let mut outcome = Outcome::of(findings, verified.join("; "));
    // What could not be read or verified is not known to be bad, unless another image is.
    if is_unknown && !is_bad {
        outcome.verdict = GateVerdict::NotEvaluated;
    }
    outcome
}

fn nobody_trusted(config: &ArtifactSignature) -> Option<Outcome> {
    let message = if config.keys.is_empty() && config.identities.is_empty() {
        "the gate names neither keys nor identities, so no signature can count"
    } else if config.keys.is_empty() && config.trust_root.is_none() {
        "the gate names identities without a trust root to verify their certificates with"
    } else {
        return None;
    };
    let finding = Finding {
        code: NOBODY_TRUSTED,
        level: Level::Error,
        subject: Subject::Object("gate artifact-signature".to_owned()),
        message: message.to_owned(),
        label: String::new(),
        help: "name public keys in `keys`, or signers in `identities` with a `trustRoot` file; \
               `cosign public-key --key KEY` prints the public key of a signing key"
            .to_owned(),
        replay: None,
    };
    Some(Outcome { findings: vec![finding], ..Outcome::not_evaluated(message) })
}

fn old_trust_root(config: &ArtifactSignature, evidence: &Evidence) -> Option<Finding> {
    let age = evidence.trust_root?;
    let file = config.trust_root.clone().unwrap_or_default();
    let days_since = |then: Time| evidence.now.since(then).as_millis() / DAY_MS;
    let ended = age.authorities_until.filter(|until| *until < evidence.now);
    let old = age.newest_since.filter(|since| {
        evidence.now.since(*since) > Span::from_millis(OLD_TRUST_ROOT_DAYS * DAY_MS)
    });
    let (level, message) = match (ended, old) {
        (Some(until), _) => (
            Level::Warning,
            format!(
                "the last certificate authority of the trust root {file} ended {} days ago",
                days_since(until)
            ),
        ),
        (None, Some(since)) => (
            Level::Note,
            format!("the newest key of the trust root {file} is {} days old", days_since(since)),
        ),
        (None, None) => return None,
    };
    Some(Finding {
        code: OLD_TRUST_ROOT,
        level,
        subject: Subject::Object(format!("trust root {file}")),
        message,
        label: String::new(),
        help:
            "trust roots rotate, and newer signatures may fail with this one: fetch it again with \
               `cosign trusted-root create` or from your own sigstore, and review the change"
                .to_owned(),
        replay: None,
    })
}
