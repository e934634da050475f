//! What an admission message means: who refused, by which policy, which image, and what may be the
//! matter.
//!
//! A message alone never decides. Controllers say "no signatures found" for signatures in a form
//! that they do not read, and "mismatch" for images that nobody signed. So a message gives
//! candidates, and what to look at to tell them apart.

mod extract;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;

/// The most of a message that is looked at, in bytes. The API server cuts messages far earlier.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// What an admission message means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Classified {
    /// Who refused; nothing when the message does not tell.
    pub refused_by: Option<Refuser>,
    /// The webhook's name, such as `policy.sigstore.dev`.
    pub webhook: Option<String>,
    /// What was broken: policies, constraints, bindings or levels, in the message's order.
    pub policies: Vec<String>,
    /// The images that it names, in the message's order.
    pub images: Vec<String>,
    /// What kind of refusal it is.
    pub cause: Cause,
    /// What may be the matter with the signature, the likeliest first. Empty when the refusal is
    /// not about signatures.
    pub candidates: Vec<Candidate>,
    /// What the message says, or hides, in one sentence.
    pub meaning: &'static str,
    /// What to check next, in this order.
    pub next: Vec<String>,
    /// Whether the message was longer than what is looked at.
    pub is_cut: bool,
}

/// Who refuses admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Refuser {
    /// sigstore policy-controller.
    PolicyController,
    /// Kyverno.
    Kyverno,
    /// Gatekeeper.
    Gatekeeper,
    /// Ratify behind Gatekeeper.
    Ratify,
    /// Connaisseur.
    Connaisseur,
    /// The API server itself, by a ValidatingAdmissionPolicy.
    ValidatingAdmissionPolicy,
    /// The API server itself, by the level of Pod Security of the namespace.
    PodSecurity,
    /// The API server itself, by a quota of the namespace.
    ResourceQuota,
    /// The node that should run the container, by its `policy.json`.
    Node,
    /// A webhook that is not known here.
    OtherWebhook,
}

impl fmt::Display for Refuser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PolicyController => "sigstore policy-controller",
            Self::Kyverno => "Kyverno",
            Self::Gatekeeper => "Gatekeeper",
            Self::Ratify => "Ratify (behind Gatekeeper)",
            Self::Connaisseur => "Connaisseur",
            Self::ValidatingAdmissionPolicy => "the API server, by a ValidatingAdmissionPolicy",
            Self::PodSecurity => "the API server, by Pod Security",
            Self::ResourceQuota => "the API server, by a quota",
            Self::Node => "the node, by its policy.json",
            Self::OtherWebhook => "a webhook",
        })
    }
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// About the signature of an image.
    Signature,
    /// No policy covers the image, and what no policy covers is refused.
    NoPolicyMatches,
    /// A tag is given where a digest is required.
    TagInsteadOfDigest,
    /// The object breaks a policy that is not about signatures.
    PolicyViolated,
    /// The webhook did not answer. It says nothing about the object.
    WebhookUnavailable,
    /// The registry could not be read by the controller. It says nothing about the signature.
    RegistryUnavailable,
    /// It is no refusal that is known here.
    Unknown,
}

/// What may be the matter with a signature. The gate on signatures tells these apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Candidate {
    /// There is none.
    Absent,
    /// There is one, in a place or format that the controller does not read.
    UnreadableBy,
    /// There is one that does not hold.
    InvalidSignature,
    /// There is one, of somebody else.
    WrongIdentity,
    /// There is one, for another digest.
    WrongSubject,
    /// There is something that is not verified.
    UnknownFormat,
    /// The controller could not read the registry.
    LookupFailed,
}

impl Candidate {
    /// The code of the gate's finding, such as `BO310`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        use crate::gates::artifact_signature as gate;
        match self {
            Self::Absent => gate::ABSENT.0,
            Self::UnreadableBy => gate::UNREADABLE_BY.0,
            Self::InvalidSignature => gate::INVALID_SIG.0,
            Self::WrongIdentity => gate::WRONG_IDENTITY.0,
            Self::WrongSubject => gate::WRONG_SUBJECT.0,
            Self::UnknownFormat => gate::UNKNOWN_FORMAT.0,
            Self::LookupFailed => gate::LOOKUP_FAILED.0,
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "the image is not signed",
            Self::UnreadableBy => "it is signed in a form that this controller does not read",
            Self::InvalidSignature => "its signature does not hold",
            Self::WrongIdentity => "it is signed by somebody whom the policy does not name",
            Self::WrongSubject => "another digest is signed, such as the index",
            Self::UnknownFormat => "it is signed in a form that is not known",
            Self::LookupFailed => "the controller could not read the registry",
        })
    }
}

/// Says what an admission message means. Any text will do: an event, a line of `kubectl`, a status.
#[must_use]
pub fn classify(text: &str) -> Classified {
    let (text, is_cut) = cut(text);
    // Positions found in the lower-case text are used in the other: both have the same bytes.
    let lower = text.to_ascii_lowercase();
    let rule = rules::matching(&lower);
    let webhook = extract::webhook(text);
    let refused_by = rule.refused_by.or_else(|| refuser(webhook.as_deref(), &lower));
    Classified {
        policies: extract::policies(text),
        images: extract::images(text),
        cause: rule.cause,
        candidates: rule.candidates.to_vec(),
        meaning: rule.meaning,
        next: rule.next.iter().map(|next| (*next).to_owned()).collect(),
        refused_by,
        webhook,
        is_cut,
    }
}

fn cut(text: &str) -> (&str, bool) {
    if text.len() <= MAX_MESSAGE_BYTES {
        return (text, false);
    }
    (text.get(..text.floor_char_boundary(MAX_MESSAGE_BYTES)).unwrap_or_default(), true)
}

/// Who refuses, by the names that the installations give their webhooks.
fn refuser(webhook: Option<&str>, lower: &str) -> Option<Refuser> {
    let named = |part: &str| webhook.is_some_and(|webhook| webhook.contains(part));
    if named("sigstore.dev") {
        Some(Refuser::PolicyController)
    } else if named("kyverno") {
        Some(Refuser::Kyverno)
    } else if named("gatekeeper") {
        Some(Refuser::Gatekeeper)
    } else if named("connaisseur") {
        Some(Refuser::Connaisseur)
    } else if webhook.is_some() {
        Some(Refuser::OtherWebhook)
    } else if lower.contains("validatingadmissionpolicy") {
        Some(Refuser::ValidatingAdmissionPolicy)
    } else {
        None
    }
}
