//! One place where signatures are kept.

use backout_core::units::Digest;
use backout_gates::gates::artifact_signature::{
    Content, Format, Item, Lookup, LookupOutcome, Place, SignatureFact,
};
use backout_gates::oci::{self, Repository, Wanted};
use backout_signatures::{SignatureLayer, Verifier, limits, manifest};

use crate::registry::{ReferrersPlace, Registry};

/// The tags of cosign before version 3.
pub(super) const TAGS: [Place; 2] = [Place::SigTag, Place::AttTag];

/// The most referrers of one digest that are looked at.
const MOST_REFERRERS: usize = 128;

/// The most bytes of payloads and bundles that are read at one place, since anybody who can push can
/// push many.
const MOST_BYTES: u64 = 32 << 20;

/// What was found before something could not be read, and what could not be.
#[derive(Default)]
struct Holding {
    items: Vec<Item>,
    failures: Vec<String>,
    /// Bytes of payloads and bundles that were asked for, as their manifests declare them.
    asked_bytes: u64,
}

impl Holding {
    /// A place of which a part could not be read has two results: what was found there may be good,
    /// and what was not read may be too.
    fn lookups(self, place: Place, on: &Digest) -> Vec<Lookup> {
        let lookup = |outcome| Lookup { place, on: on.clone(), outcome };
        let mut lookups = Vec::new();
        if !self.items.is_empty() || self.failures.is_empty() {
            lookups.push(lookup(LookupOutcome::Read(self.items)));
        }
        lookups.extend(
            self.failures.into_iter().map(|reason| lookup(LookupOutcome::Failed { reason })),
        );
        lookups
    }
}

/// Reads the places of one repository.
#[derive(Clone, Copy)]
pub(super) struct Reader<'r> {
    pub(super) registry: &'r Registry,
    pub(super) verifier: &'r Verifier,
    pub(super) repository: &'r Repository,
}

impl Reader<'_> {
    /// Reads a tag with signatures or attestations.
    pub(super) async fn tag(self, on: &Digest, place: Place) -> Vec<Lookup> {
        let suffix = if place == Place::AttTag { "att" } else { "sig" };
        let tag = format!("{}.{suffix}", on.as_str().replacen(':', "-", 1));
        let mut holding = Holding::default();
        match Wanted::tag(&tag) {
            Ok(tag) => {
                if let Err(reason) = self.found(&tag, on, place, None, &mut holding).await {
                    holding.failures.push(reason);
                }
            }
            // A SHA-512 digest makes a tag that is too long, so that there can be none.
            Err(_) => return vec![not_offered(place, on)],
        }
        holding.lookups(place, on)
    }

    /// Reads everything that refers to a digest.
    pub(super) async fn referrers(self, on: &Digest) -> Vec<Lookup> {
        let mut holding = Holding::default();
        let referrers = match self.registry.referrers(self.repository, on).await {
            oci::Lookup::Found(referrers) => referrers,
            oci::Lookup::Absent => return holding.lookups(Place::Referrers, on),
            oci::Lookup::Failed(reason) => {
                holding.failures.push(reason);
                return holding.lookups(Place::Referrers, on);
            }
        };
        let (place, mut lookups) = match referrers.place {
            ReferrersPlace::Api | ReferrersPlace::Layout => (Place::Referrers, Vec::new()),
            ReferrersPlace::FallbackTag => {
                (Place::FallbackTag, vec![not_offered(Place::Referrers, on)])
            }
        };
        for descriptor in referrers.descriptors.iter().take(MOST_REFERRERS) {
            let wanted = Wanted::Digest(descriptor.digest.clone());
            let listed_as = descriptor.artifact_type.as_deref();
            match self.found(&wanted, on, place, listed_as, &mut holding).await {
                Ok(true) => {}
                Ok(false) => holding.failures.push(format!(
                    "{}@{} is listed as a referrer, and is not there",
                    self.repository, descriptor.digest
                )),
                Err(reason) => holding.failures.push(reason),
            }
        }
        if referrers.descriptors.len() > MOST_REFERRERS {
            holding.failures.push(format!(
                "{} referrers are listed, and only the first {MOST_REFERRERS} were looked at",
                referrers.descriptors.len()
            ));
        }
        lookups.extend(holding.lookups(place, on));
        lookups
    }

    /// Reads the attestation manifest that the build tool listed in an index. Copies of images often
    /// lose it, so that its absence is an answer.
    pub(super) async fn attestation(self, index: &Digest, attestation: &Digest) -> Vec<Lookup> {
        let place = Place::IndexAttestation;
        let wanted = Wanted::Digest(attestation.clone());
        let mut holding = Holding::default();
        if let Err(reason) = self.found(&wanted, index, place, None, &mut holding).await {
            holding.failures.push(reason);
        }
        holding.lookups(place, index)
    }

    /// Reads the signatures of one manifest. Says whether it is there.
    async fn found(
        self,
        wanted: &Wanted,
        on: &Digest,
        place: Place,
        listed_as: Option<&str>,
        holding: &mut Holding,
    ) -> Result<bool, String> {
        let fetched = match self.registry.manifest(self.repository, wanted).await {
            oci::Lookup::Found(fetched) => fetched,
            oci::Lookup::Absent => return Ok(false),
            oci::Lookup::Failed(reason) => return Err(reason),
        };
        let Some(image) = fetched.manifest.image() else { return Ok(true) };
        let at = || format!("{}@{}", self.repository, fetched.digest);
        let layers = manifest::signatures(place, image)
            .map_err(|error| format!("{}: {error}", at()))?
            .layers;
        for layer in layers {
            if layer.is_verifiable() {
                holding.asked_bytes = holding.asked_bytes.saturating_add(layer.size_bytes);
            }
            if holding.asked_bytes > MOST_BYTES {
                return Err(format!("{place} holds more than {MOST_BYTES} bytes of signatures"));
            }
            match self.verified(&layer, on).await {
                Ok((format, content, fact)) => holding.items.push(Item {
                    manifest: fetched.digest.clone(),
                    listed_as: listed_as.map(str::to_owned),
                    format,
                    content,
                    fact,
                }),
                Err(reason) => holding.failures.push(reason),
            }
        }
        Ok(true)
    }

    async fn verified(
        self,
        layer: &SignatureLayer,
        on: &Digest,
    ) -> Result<(Format, Content, SignatureFact), String> {
        if !layer.is_verifiable() {
            let fact = Verifier::unsupported(layer);
            return Ok((layer.format.clone(), layer.content.clone(), fact));
        }
        // A blob that is longer than declared is a failure, so that the declared sizes can be summed.
        let declared = usize::try_from(layer.size_bytes).unwrap_or(usize::MAX);
        let most = declared.min(limits::MAX_LAYER_BYTES);
        match self.registry.blob(self.repository, &layer.digest, most).await {
            oci::Lookup::Found(blob) => {
                let verified = self.verifier.verify(layer, &blob, on);
                Ok((verified.format, verified.content, verified.fact))
            }
            oci::Lookup::Absent => Err(format!(
                "{}@{}, which a signature names, is not there",
                self.repository, layer.digest
            )),
            oci::Lookup::Failed(reason) => Err(reason),
        }
    }
}

fn not_offered(place: Place, on: &Digest) -> Lookup {
    Lookup { place, on: on.clone(), outcome: LookupOutcome::NotOffered }
}
