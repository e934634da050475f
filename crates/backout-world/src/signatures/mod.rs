//! Reads what a registry holds of signatures of an image: every place, on every digest that belongs
//! to the image. What could not be read is said, and never left out.

mod place;
mod related;

use backout_core::units::Digest;
use backout_gates::gates::artifact_signature::{ImageEvidence, Lookup, Related};
use backout_gates::oci::Repository;
use backout_signatures::Verifier;
use futures::stream::{self, StreamExt as _};

use crate::registry::Registry;
use place::Reader;

/// The most digests beside the deployed one whose signatures are looked for. Images for more
/// platforms than this are rare, and a signature of one of them decides nothing.
pub const MOST_RELATED: usize = 12;

/// How many lookups of one image go on at once.
const AT_ONCE: usize = 4;

/// Reads the signatures of an image and verifies each.
///
/// `recorded` are digests that belong to the image and that the registry cannot be asked for: of a
/// platform's manifest the index that lists it. What an index lists is found here.
///
/// The result is in a fixed order, whatever answers first.
pub async fn read(
    registry: &Registry,
    verifier: &Verifier,
    repository: &Repository,
    deployed: &Digest,
    recorded: &[Related],
) -> ImageEvidence {
    let reader = Reader { registry, verifier, repository };
    let found = related::of(reader, deployed).await;
    let mut related: Vec<Related> = Vec::new();
    for other in recorded.iter().cloned().chain(found.related) {
        let is_new = related.iter().all(|known| known.digest != other.digest);
        if is_new && other.digest != *deployed && related.len() < MOST_RELATED {
            related.push(other);
        }
    }
    let digests: Vec<&Digest> =
        std::iter::once(deployed).chain(related.iter().map(|related| &related.digest)).collect();
    let places = place::TAGS.map(Some).into_iter().chain([None]);
    let all: Vec<_> =
        digests.iter().flat_map(|on| places.clone().map(move |place| (*on, place))).collect();
    // The deployed digest first, because the first of equals is the one that is told.
    let reads = all.into_iter().map(|(on, tag)| async move {
        match tag {
            Some(place) => reader.tag(on, place).await,
            None => reader.referrers(on).await,
        }
    });
    let read: Vec<Vec<Lookup>> = stream::iter(reads).buffered(AT_ONCE).collect().await;
    let mut lookups: Vec<Lookup> = read.into_iter().flatten().collect();
    lookups.extend(found.lookups);
    ImageEvidence {
        repository: repository.to_string(),
        deployed: deployed.clone(),
        related,
        lookups,
    }
}
