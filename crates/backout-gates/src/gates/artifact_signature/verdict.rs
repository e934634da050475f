//! Which of the many causes it is, for one image.

use backout_core::policy::gate::{AdmissionController, ArtifactSignature};
use backout_core::units::Digest;

use super::controller::{Readable, readable};
use super::evidence::{
    Content, Format, ImageEvidence, Item, Lookup, LookupOutcome, Place, Relation, SignatureFact,
    Signer, ValidSignature,
};
use super::wildcard;

/// One thing that was found, with where it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'e> {
    /// The place.
    pub place: Place,
    /// The digest that it was found on.
    pub on: &'e Digest,
    /// The thing.
    pub item: &'e Item,
}

/// What is the matter with the signatures of one image. The order of the variants is the order in
/// which they win over each other, except that any failed lookup wins over everything but a
/// verified signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'e> {
    /// A signature of the right signer for the deployed digest, which admission reads.
    Verified {
        /// The signature.
        found: Found<'e>,
        /// Why some versions of the admission controller do not read it; nothing when all do.
        doubt: Option<String>,
    },
    /// A good signature, which this admission controller does not read.
    UnreadableBy {
        /// The signature.
        found: Found<'e>,
        /// The controller.
        controller: AdmissionController,
        /// Why.
        why: String,
    },
    /// A good signature, for another digest.
    WrongSubject {
        /// The signature.
        found: Found<'e>,
        /// What it is for.
        subject: Digest,
        /// What that is to the deployed digest; nothing when it is unrelated.
        relation: Option<Relation>,
    },
    /// A signature of somebody else, as its signer or its own claim says.
    WrongIdentity {
        /// The signature.
        found: Found<'e>,
        /// Who made it.
        signer: String,
        /// Whether that is proved, or only what the signature says of itself.
        is_proved: bool,
    },
    /// A signature that does not hold.
    InvalidSignature {
        /// The signature.
        found: Found<'e>,
        /// Why.
        reason: String,
    },
    /// Something that is not verified here.
    UnknownFormat(Found<'e>),
    /// Nothing, at any place. Attestations may be there.
    Absent {
        /// The attestations, by predicate type.
        attestations: Vec<&'e str>,
    },
    /// Not every place could be read, and the others hold no good signature.
    LookupFailed {
        /// The lookups that failed.
        failed: Vec<&'e Lookup>,
        /// Places that nobody looked at. An adapter that leaves one out does not make an image
        /// unsigned by that.
        unseen: Vec<Place>,
    },
}

impl Verdict<'_> {
    /// The lower, the better.
    fn rank(&self) -> u8 {
        match self {
            Self::Verified { doubt: None, .. } => 0,
            Self::Verified { doubt: Some(_), .. } => 1,
            Self::LookupFailed { .. } => 2,
            Self::UnreadableBy { .. } => 3,
            Self::WrongSubject { .. } => 4,
            Self::WrongIdentity { .. } => 5,
            Self::InvalidSignature { .. } => 6,
            Self::UnknownFormat(_) => 7,
            Self::Absent { .. } => 8,
        }
    }
}

/// Says what is the matter with the signatures of one image.
#[must_use]
pub fn verdict<'e>(config: &ArtifactSignature, image: &'e ImageEvidence) -> Verdict<'e> {
    let best = found(image)
        .filter(|found| found.item.content == Content::Signature)
        .map(|found| of_signature(config, image, found))
        // The first of equals: lookups come in the order of the places, on the deployed digest first.
        .min_by_key(Verdict::rank);
    if let Some(verified @ Verdict::Verified { .. }) = best {
        return verified;
    }
    let (failed, unseen) = (failed(image), unseen(image));
    if !failed.is_empty() || !unseen.is_empty() {
        return Verdict::LookupFailed { failed, unseen };
    }
    best.unwrap_or_else(|| Verdict::Absent { attestations: attestations(image) })
}

fn found(image: &ImageEvidence) -> impl Iterator<Item = Found<'_>> {
    image.lookups.iter().flat_map(|lookup| {
        let items = match &lookup.outcome {
            LookupOutcome::Read(items) => items.as_slice(),
            LookupOutcome::NotOffered | LookupOutcome::Failed { .. } => &[],
        };
        items.iter().map(|item| Found { place: lookup.place, on: &lookup.on, item })
    })
}

fn failed(image: &ImageEvidence) -> Vec<&Lookup> {
    image
        .lookups
        .iter()
        .filter(|lookup| matches!(lookup.outcome, LookupOutcome::Failed { .. }))
        .collect()
}

/// The places that must be looked at for the deployed digest, and were not. The fallback tag is
/// needed only where there is no referrers API.
fn unseen(image: &ImageEvidence) -> Vec<Place> {
    let answer = |place| {
        image
            .lookups
            .iter()
            .find(|lookup| lookup.place == place && lookup.on == image.deployed)
            .map(|lookup| &lookup.outcome)
    };
    let mut unseen = Vec::new();
    if answer(Place::SigTag).is_none() {
        unseen.push(Place::SigTag);
    }
    match answer(Place::Referrers) {
        None => unseen.push(Place::Referrers),
        Some(LookupOutcome::NotOffered) if answer(Place::FallbackTag).is_none() => {
            unseen.push(Place::FallbackTag);
        }
        Some(_) => {}
    }
    unseen
}

fn attestations(image: &ImageEvidence) -> Vec<&str> {
    let mut predicates: Vec<&str> = found(image)
        .filter_map(|found| match &found.item.content {
            Content::Attestation { predicate } => Some(predicate.as_str()),
            Content::Signature => None,
        })
        .collect();
    predicates.sort_unstable();
    predicates.dedup();
    predicates
}

fn of_signature<'e>(
    config: &ArtifactSignature,
    image: &'e ImageEvidence,
    found: Found<'e>,
) -> Verdict<'e> {
    if matches!(found.item.format, Format::Notation | Format::Unknown(_)) {
        return Verdict::UnknownFormat(found);
    }
    match &found.item.fact {
        SignatureFact::Valid(valid) => of_valid(config, image, found, valid),
        SignatureFact::OtherSigner { claim } => {
            Verdict::WrongIdentity { found, signer: claim.clone(), is_proved: false }
        }
        SignatureFact::Invalid { reason } => {
            Verdict::InvalidSignature { found, reason: reason.clone() }
        }
        SignatureFact::Unsupported { .. } => Verdict::UnknownFormat(found),
    }
}

fn of_valid<'e>(
    config: &ArtifactSignature,
    image: &'e ImageEvidence,
    found: Found<'e>,
    valid: &ValidSignature,
) -> Verdict<'e> {
    if !is_trusted(config, &valid.signer) {
        return Verdict::WrongIdentity { found, signer: valid.signer.to_string(), is_proved: true };
    }
    if !valid.subjects.contains(&image.deployed) {
        let subject = valid.subjects.first().unwrap_or(found.on).clone();
        let relation = image
            .related
            .iter()
            .find(|related| related.digest == subject)
            .map(|related| related.relation.clone());
        return Verdict::WrongSubject { found, subject, relation };
    }
    // Admission looks for signatures under the digest that is deployed, and nowhere else.
    if *found.on != image.deployed {
        return Verdict::WrongSubject {
            found,
            subject: found.on.clone(),
            relation: image
                .related
                .iter()
                .find(|related| related.digest == *found.on)
                .map(|related| related.relation.clone()),
        };
    }
    let Some(controller) = config.controller else {
        return Verdict::Verified { found, doubt: None };
    };
    match readable(controller, found.place, found.item) {
        Readable::Yes => Verdict::Verified { found, doubt: None },
        Readable::Depends(why) => Verdict::Verified { found, doubt: Some(why) },
        Readable::No(why) => Verdict::UnreadableBy { found, controller, why },
    }
}

fn is_trusted(config: &ArtifactSignature, signer: &Signer) -> bool {
    match signer {
        // A signature is verified with the keys that the policy names, and with no other.
        Signer::Key { name, .. } => config.keys.contains(name),
        Signer::Certificate(certificate) => config.identities.iter().any(|identity| {
            wildcard::matches(&identity.subject, &certificate.subject)
                && wildcard::matches(&identity.issuer, &certificate.issuer)
        }),
    }
}
