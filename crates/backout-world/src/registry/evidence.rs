//! Reads what the gate on artifact digests looks at.

use std::collections::{BTreeMap, BTreeSet};

use backout_core::finding::Place;
use backout_core::units::Digest;
use backout_gates::gates::artifact_digest::{
    Artifact, Deployed, Evidence, PlatformArtifact, RecordedImage, Running,
};
use backout_gates::oci::{
    Descriptor, ImageManifest, Index, Lookup, MOST_CONFIG_BYTES, Manifest, Platform, Provenance,
    Reference, Repository, Wanted, media_type,
};
use futures::future::join_all;

use super::{Fetched, Registry};

/// What is known about an image besides the registry.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// How manifests name the image, each with its place.
    pub deployed: Vec<(String, Option<Place>)>,
    /// Containers that run now.
    pub running: Vec<Running>,
    /// Platforms of the nodes. When there are none, nothing can be compared.
    pub node_platforms: Vec<Platform>,
}

/// Reads what the gate on artifact digests looks at, for one image: manifests, configurations and
/// provenance, no layers. Git is for the caller to ask; see [`Evidence::revisions`].
pub async fn digest_evidence(
    registry: &Registry,
    recorded: RecordedImage,
    known: Known,
) -> Evidence {
    let nodes = &known.node_platforms;
    let read: Vec<Result<Reference, String>> = known
        .deployed
        .iter()
        .map(|(text, _)| text.parse::<Reference>().map_err(|why| why.to_string()))
        .collect();
    let own = Wanted::Digest(recorded.digest.clone());
    let tag = Wanted::tag(&recorded.tag);
    let mut wanted = BTreeSet::from([(&recorded.repository, &own)]);
    wanted.extend(tag.iter().map(|tag| (&recorded.repository, tag)));
    let named: Vec<(&Repository, Wanted)> =
        read.iter().flatten().map(|it| (&it.repository, it.wanted())).collect();
    wanted.extend(named.iter().map(|(repository, wanted)| (*repository, wanted)));
    let found = join_all(wanted.iter().map(|(repository, wanted)| async move {
        (
            (*repository).clone(),
            (*wanted).clone(),
            artifact(registry, repository, wanted, nodes).await,
        )
    }));
    let found: BTreeMap<(Repository, Wanted), Lookup<Artifact>> = found
        .await
        .into_iter()
        .map(|(repository, wanted, artifact)| ((repository, wanted), artifact))
        .collect();
    let of = |repository: &Repository, wanted: &Wanted| {
        let found = found.get(&(repository.clone(), wanted.clone())).cloned();
        found.unwrap_or_else(|| Lookup::Failed(format!("nobody asked for {repository}:{wanted}")))
    };
    let deployed = known.deployed.into_iter().zip(read).map(|((text, place), read)| {
        let (reference, artifact) = match read {
            Ok(reference) => {
                let artifact = of(&reference.repository, &reference.wanted());
                (reference, artifact)
            }
            // What it means is not known, so that nothing is known of what it gives.
            Err(why) => {
                let repository = recorded.repository.clone();
                (Reference { repository, tag: None, digest: None }, Lookup::Failed(why))
            }
        };
        Deployed { text, reference, place, artifact }
    });
    Evidence {
        built: of(&recorded.repository, &own),
        tagged: match &tag {
            Ok(tag) => of(&recorded.repository, tag),
            Err(why) => Lookup::Failed(why.to_string()),
        },
        deployed: deployed.collect(),
        running: known.running,
        node_platforms: known.node_platforms.clone(),
        git: BTreeMap::new(),
        recorded,
    }
}

/// A manifest with what each platform gets of it.
async fn artifact(
    registry: &Registry,
    repository: &Repository,
    wanted: &Wanted,
    nodes: &[Platform],
) -> Lookup<Artifact> {
    let fetched = match registry.manifest(repository, wanted).await {
        Lookup::Found(fetched) => fetched,
        Lookup::Absent => return Lookup::Absent,
        Lookup::Failed(why) => return Lookup::Failed(why),
    };
    let images = match &fetched.manifest {
        Manifest::Image(_) => {
            let image = of_one(registry, repository, &fetched, Lookup::Absent).await;
            nodes.iter().map(|node| (node.clone(), for_node(&image, node))).collect()
        }
        Manifest::Index(index) => {
            join_all(nodes.iter().map(|node| async move {
                (node.clone(), of_index(registry, repository, index, node).await)
            }))
            .await
        }
    };
    Lookup::Found(Artifact {
        repository: repository.clone(),
        digest: fetched.digest,
        media_type: fetched.media_type,
        manifest: fetched.manifest,
        images,
    })
}

/// What a node gets of one image: nothing, if it is made for another platform.
fn for_node(image: &Lookup<PlatformArtifact>, node: &Platform) -> Lookup<PlatformArtifact> {
    match image {
        Lookup::Found(found) => match &found.config {
            Lookup::Found(config) if !node.runs(&config.platform()) => Lookup::Absent,
            _ => image.clone(),
        },
        Lookup::Absent | Lookup::Failed(_) => image.clone(),
    }
}

/// What a node gets of an index.
async fn of_index(
    registry: &Registry,
    repository: &Repository,
    index: &Index,
    node: &Platform,
) -> Lookup<PlatformArtifact> {
    let unnamed: Vec<&Descriptor> =
        index.images().filter(|image| image.platform.is_none()).collect();
    let (listed, is_named) = match (index.image_for(node), unnamed.as_slice()) {
        (Some(listed), _) => (listed, true),
        // Some tools make an index of one image, and leave its platform to the configuration.
        (None, [only]) => (*only, false),
        (None, []) => return Lookup::Absent,
        (None, _) => {
            let why = "lists images without their platforms";
            return Lookup::Failed(format!("the index in {repository} {why}"));
        }
    };
    let wanted = Wanted::Digest(listed.digest.clone());
    let fetched = match registry.manifest(repository, &wanted).await {
        Lookup::Found(fetched) => fetched,
        Lookup::Absent => {
            return Lookup::Failed(format!(
                "the index lists {} for {node}, and {repository} does not have it: no such node \
                 can pull it; push the image again with all its platforms",
                listed.digest
            ));
        }
        Lookup::Failed(why) => return Lookup::Failed(why),
    };
    let provenance = provenance(registry, repository, index, &listed.digest).await;
    let image = of_one(registry, repository, &fetched, provenance).await;
    if is_named { image } else { for_node(&image, node) }
}

async fn of_one(
    registry: &Registry,
    repository: &Repository,
    fetched: &Fetched,
    provenance: Lookup<Provenance>,
) -> Lookup<PlatformArtifact> {
    let Some(manifest) = fetched.manifest.image() else {
        let digest = &fetched.digest;
        return Lookup::Failed(format!("{repository}@{digest} is an index within an index"));
    };
    let config = registry.config(repository, &manifest.config).await;
    match config {
        Lookup::Found(config) => Lookup::Found(PlatformArtifact {
            digest: fetched.digest.clone(),
            media_type: fetched.media_type.clone(),
            manifest: manifest.clone(),
            config: Lookup::Found(config),
            provenance,
        }),
        Lookup::Absent => Lookup::Failed(format!(
            "{repository}@{} names the configuration {}, which the registry does not have: nobody \
             can pull it; push the image again",
            fetched.digest, manifest.config.digest
        )),
        Lookup::Failed(why) => Lookup::Failed(why),
    }
}

/// What BuildKit put beside an image about its source.
async fn provenance(
    registry: &Registry,
    repository: &Repository,
    index: &Index,
    image: &Digest,
) -> Lookup<Provenance> {
    let mut attestations = index.manifests.iter().filter(|descriptor| {
        descriptor.is_attestation() && descriptor.attested_digest().as_ref() == Some(image)
    });
    let Some(attestation) = attestations.next() else { return Lookup::Absent };
    let wanted = Wanted::Digest(attestation.digest.clone());
    let fetched = match registry.manifest(repository, &wanted).await {
        Lookup::Found(fetched) => fetched,
        Lookup::Absent => return Lookup::Absent,
        Lookup::Failed(why) => return Lookup::Failed(why),
    };
    let Some(statement) = fetched.manifest.image().and_then(statement) else {
        return Lookup::Absent;
    };
    let blob = registry.blob(repository, &statement.digest, MOST_CONFIG_BYTES).await;
    blob.and_then(|bytes| {
        let read = match Provenance::read(&bytes) {
            Ok(read) => read,
            Err(why) => return Lookup::Failed(format!("{repository}@{wanted}: {why}")),
        };
        if !read.subjects.is_empty() && !read.subjects.contains(image) {
            return Lookup::Failed(format!("{repository}@{wanted} is about another image"));
        }
        Lookup::Found(read)
    })
}

/// The layer that holds a provenance.
fn statement(manifest: &ImageManifest) -> Option<&Descriptor> {
    manifest.layers.iter().find(|layer| {
        let predicate = layer.annotations.get("in-toto.io/predicate-type");
        layer.media_type == media_type::IN_TOTO
            && predicate.is_some_and(|predicate| Provenance::is_predicate(predicate))
    })
}
