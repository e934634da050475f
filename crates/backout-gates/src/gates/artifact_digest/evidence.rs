//! What is known about an image before the gate looks at it.

use std::collections::{BTreeMap, BTreeSet};

use backout_core::finding::Place;
use backout_core::release::Image;
use backout_core::units::Digest;

use crate::oci::{
    ImageConfig, ImageManifest, Lookup, Manifest, Platform, Provenance, Reference, ReferenceError,
    Repository,
};

/// The label and annotation that names the commit an image was built from.
const REVISION: &str = "org.opencontainers.image.revision";

/// What is known about one image of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The image, as the release records it.
    pub recorded: RecordedImage,
    /// What the recorded digest is, in the recorded repository.
    pub built: Lookup<Artifact>,
    /// What the recorded tag points to now, in the recorded repository.
    pub tagged: Lookup<Artifact>,
    /// How manifests name the image. Empty when no manifests are known: then the gate looks at what
    /// the recorded tag points to.
    pub deployed: Vec<Deployed>,
    /// Containers that run now, of the release before; empty when nobody asked.
    pub running: Vec<Running>,
    /// Platforms of the nodes.
    pub node_platforms: Vec<Platform>,
    /// What Git knows of the commits that the images name, by the name that they use. Commits
    /// that are missing here were not asked for; see [`Evidence::revisions`].
    pub git: BTreeMap<String, Git>,
}

/// An image as the release records it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedImage {
    /// Name of the container.
    pub container: String,
    /// Registry and repository.
    pub repository: Repository,
    /// The tag that people use.
    pub tag: String,
    /// The digest that the build made.
    pub digest: Digest,
    /// What the index lists for each platform, if it was recorded.
    pub platforms: Vec<(Platform, Digest)>,
    /// The commit that was built, if it is known.
    pub revision: Option<String>,
    /// Where the record says so.
    pub place: Option<Place>,
}

impl RecordedImage {
    /// The record of an image. `revision` is the commit of the release's context.
    ///
    /// # Errors
    /// When the repository is no repository.
    pub fn of(
        image: &Image,
        revision: Option<&str>,
        place: Option<Place>,
    ) -> Result<Self, ReferenceError> {
        let platforms = image
            .platforms
            .iter()
            .filter_map(|listed| Some((listed.platform.parse().ok()?, listed.digest.clone())));
        Ok(Self {
            container: image.name.to_string(),
            repository: image.repository.parse()?,
            tag: image.tag.clone(),
            digest: image.digest.clone(),
            platforms: platforms.collect(),
            revision: revision.filter(|revision| !revision.is_empty()).map(str::to_owned),
            place,
        })
    }
}

/// A manifest in a registry, with what the gate needs of what it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Where it was read.
    pub repository: Repository,
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// The manifest.
    pub manifest: Manifest,
    /// What each platform of the nodes gets of it, in the order of
    /// [`Evidence::node_platforms`]. Absent when it has nothing for the platform.
    pub images: Vec<(Platform, Lookup<PlatformArtifact>)>,
}

/// The image of one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformArtifact {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The media type of its manifest.
    pub media_type: String,
    /// Its manifest.
    pub manifest: ImageManifest,
    /// Its configuration.
    pub config: Lookup<ImageConfig>,
    /// What the builder says about its source: absent when the index has no attestation of it.
    pub provenance: Lookup<Provenance>,
}

/// How a manifest names the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployed {
    /// The text, such as `registry.example/shop/checkout:1.42.0`.
    pub text: String,
    /// What it means.
    pub reference: Reference,
    /// Where it is written, if it is known.
    pub place: Option<Place>,
    /// What it gives now.
    pub artifact: Lookup<Artifact>,
}

/// A container that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its pod, such as `Pod shop/checkout-7c9f`.
    pub pod: String,
    /// The image as the pod's specification writes it.
    pub text: String,
    /// `status.containerStatuses[].imageID`. Depending on the runtime it has the digest of the
    /// index, of the platform's manifest or of the configuration.
    pub image_id: String,
}

/// What Git knows of a commit, compared with the one that the release records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Git {
    /// It is the same.
    Same,
    /// It is an ancestor.
    Older,
    /// It is a descendant.
    Newer,
    /// It is on another branch.
    Unrelated,
    /// The repository has no such commit.
    Unknown,
    /// It is short, and more than one commit begins with it.
    Ambiguous,
    /// Git could not be asked, and why.
    Failed(String),
}

impl PlatformArtifact {
    /// The commits that it names: in a label and in an annotation.
    pub fn labelled_revisions(&self) -> impl Iterator<Item = &str> {
        let label = match &self.config {
            Lookup::Found(config) => config.config.labels.get(REVISION),
            Lookup::Absent | Lookup::Failed(_) => None,
        };
        let named = label.into_iter().chain(self.manifest.annotations.get(REVISION));
        named.map(|revision| revision.trim()).filter(|revision| !revision.is_empty())
    }

    /// The commit that its builder names.
    #[must_use]
    pub fn attested_revision(&self) -> Option<&str> {
        match &self.provenance {
            Lookup::Found(provenance) => provenance.revision.as_deref(),
            Lookup::Absent | Lookup::Failed(_) => None,
        }
    }
}

impl Evidence {
    /// The commits that the images name, for Git to be asked about.
    #[must_use]
    pub fn revisions(&self) -> BTreeSet<String> {
        let deployed = self.deployed.iter().map(|deployed| &deployed.artifact);
        let mut named = BTreeSet::new();
        for artifact in deployed.chain([&self.tagged]) {
            let Lookup::Found(artifact) = artifact else { continue };
            for (_, image) in &artifact.images {
                let Lookup::Found(image) = image else { continue };
                named.extend(image.labelled_revisions().map(str::to_owned));
                named.extend(image.attested_revision().map(str::to_owned));
            }
        }
        named
    }
}
