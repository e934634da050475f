//! The digests that belong to the same image as the deployed one.

use backout_core::units::Digest;
use backout_gates::gates::artifact_signature::{Lookup, LookupOutcome, Place, Related, Relation};
use backout_gates::oci::{self, Wanted};

use super::place::Reader;

/// What the deployed manifest says of its relatives.
#[derive(Default)]
pub(super) struct Found {
    pub(super) related: Vec<Related>,
    /// What came of reading the attestation manifests, or of failing to read the image itself.
    pub(super) lookups: Vec<Lookup>,
}

/// Reads the deployed manifest, and which other digests an index lists.
pub(super) async fn of(reader: Reader<'_>, deployed: &Digest) -> Found {
    let wanted = Wanted::Digest(deployed.clone());
    let mut found = Found::default();
    let fetched = match reader.registry.manifest(reader.repository, &wanted).await {
        oci::Lookup::Found(fetched) => fetched,
        oci::Lookup::Absent => {
            let reason =
                format!("the image itself, {}@{deployed}, is not there", reader.repository);
            found.lookups.push(failed(deployed, reason));
            return found;
        }
        oci::Lookup::Failed(reason) => {
            found.lookups.push(failed(deployed, reason));
            return found;
        }
    };
    let Some(index) = fetched.manifest.index() else { return found };
    for listed in &index.manifests {
        let relation = if listed.is_attestation() {
            found.lookups.extend(reader.attestation(deployed, &listed.digest).await);
            Relation::AttestationManifest
        } else {
            let platform = listed.platform.as_ref().map_or_else(String::new, ToString::to_string);
            Relation::Platform(platform)
        };
        found.related.push(Related { digest: listed.digest.clone(), relation });
        if found.related.len() >= super::MOST_RELATED {
            break;
        }
    }
    found
}

fn failed(deployed: &Digest, reason: String) -> Lookup {
    Lookup {
        place: Place::IndexAttestation,
        on: deployed.clone(),
        outcome: LookupOutcome::Failed { reason },
    }
}
