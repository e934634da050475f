//! A folder in OCI image layout, instead of the network.
//!
//! Manifests and configurations suffice. `index.json` names images by the annotation
//! `org.opencontainers.image.ref.name` (or containerd's `io.containerd.image.name`): a whole
//! reference such as `registry.example/shop/checkout:1.42.0`, or a bare tag, which then is a tag
//! of every repository. A layout does not say which repository a digest belongs to, so that a
//! digest is found in all of them.

use std::path::{Path, PathBuf};

use backout_core::units::Digest;
use backout_gates::oci::{
    Descriptor, Index, Lookup, MOST_MANIFEST_BYTES, Manifest, Reference, Repository, Wanted,
};
use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::{Fetched, Referrers, ReferrersPlace, digest_of, fallback_tag, fetched, once};

/// The annotations that name an image.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// A folder in OCI image layout.
#[derive(Debug)]
pub struct Layout {
    folder: PathBuf,
}

/// What an entry of `index.json` is called.
enum Called {
    Tag(String),
    Reference(Reference),
}

impl Layout {
    pub(super) const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) async fn manifest(
        &self,
        repository: &Repository,
        wanted: &Wanted,
    ) -> Lookup<Fetched> {
        let digest = match wanted {
            Wanted::Digest(digest) => digest.clone(),
            Wanted::Tag(tag) => match self.tagged(repository, tag).await {
                Lookup::Found(digest) => digest,
                Lookup::Absent => return Lookup::Absent,
                Lookup::Failed(why) => return Lookup::Failed(why),
            },
        };
        let blob = self.blob(&digest, MOST_MANIFEST_BYTES).await;
        if matches!((&blob, wanted), (Lookup::Absent, Wanted::Tag(_))) {
            let index = self.folder.join("index.json");
            let why = format!("{} lists {digest}, and there is no such blob", index.display());
            return Lookup::Failed(why);
        }
        blob.and_then(|bytes| fetched(repository, wanted, bytes, None).into())
    }

    pub(super) async fn blob(&self, digest: &Digest, most_bytes: usize) -> Lookup<Bytes> {
        let Some((algorithm, hex)) = digest.as_str().split_once(':') else {
            return Lookup::Failed(format!("`{digest}` is not a digest"));
        };
        let path = self.folder.join("blobs").join(algorithm).join(hex);
        let bytes = match read(&path, most_bytes).await {
            Lookup::Found(bytes) => bytes,
            Lookup::Absent => return self.absent_blob().await,
            Lookup::Failed(why) => return Lookup::Failed(why),
        };
        let found = match digest_of(digest, &bytes) {
            Ok(found) => found,
            Err(why) => return Lookup::Failed(why),
        };
        if found != *digest {
            return Lookup::Failed(format!(
                "{} has the digest {found}: the file was changed or cut",
                path.display()
            ));
        }
        Lookup::Found(bytes)
    }

    /// A blob is missing only from a folder that is a layout.
    async fn absent_blob(&self) -> Lookup<Bytes> {
        self.index().await.and_then(|_| Lookup::Absent)
    }

    pub(super) async fn referrers(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Lookup<Referrers> {
        let mut descriptors = Vec::new();
        match self.manifest(repository, &fallback_tag(digest)).await {
            Lookup::Found(Fetched { manifest: Manifest::Index(index), .. }) => {
                descriptors.extend(index.manifests);
            }
            Lookup::Found(_) => {
                let why = format!("the fallback tag of {digest} is not an index");
                return Lookup::Failed(why);
            }
            Lookup::Absent => {}
            Lookup::Failed(why) => return Lookup::Failed(why),
        }
        let index = match self.index().await {
            Lookup::Found(index) => index,
            Lookup::Absent => return Lookup::Absent,
            Lookup::Failed(why) => return Lookup::Failed(why),
        };
        for entry in index.manifests {
            let wanted = Wanted::Digest(entry.digest.clone());
            match self.manifest(repository, &wanted).await {
                Lookup::Found(found) => {
                    let subject = found.manifest.subject().map(|subject| &subject.digest);
                    if subject == Some(digest) {
                        descriptors.push(entry);
                    }
                }
                Lookup::Absent => {
                    let why = format!("{} lists {wanted}, which is missing", self.folder.display());
                    return Lookup::Failed(why);
                }
                Lookup::Failed(why) => return Lookup::Failed(why),
            }
        }
        Lookup::Found(Referrers { descriptors: once(descriptors), place: ReferrersPlace::Layout })
    }

    pub(super) async fn tags(&self, repository: &Repository) -> Lookup<Vec<String>> {
        self.index().await.map(|index| {
            let names = index.manifests.iter().filter_map(called);
            let tags = names.filter_map(|name| match name {
                Called::Tag(tag) => Some(tag),
                Called::Reference(it) if it.repository == *repository => it.tag,
                Called::Reference(_) => None,
            });
            tags.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        })
    }

    /// What a tag points to. A whole reference goes before a bare tag.
    async fn tagged(&self, repository: &Repository, tag: &str) -> Lookup<Digest> {
        self.index().await.and_then(|index| {
            let (mut exact, mut bare) = (Vec::new(), Vec::new());
            for entry in &index.manifests {
                match called(entry) {
                    Some(Called::Reference(it))
                        if it.repository == *repository && it.tag.as_deref() == Some(tag) =>
                    {
                        exact.push(&entry.digest);
                    }
                    Some(Called::Tag(name)) if name == tag => bare.push(&entry.digest),
                    Some(_) | None => {}
                }
            }
            let found = if exact.is_empty() { bare } else { exact };
            match found.as_slice() {
                [] => Lookup::Absent,
                [first, others @ ..] if others.iter().all(|other| other == first) => {
                    Lookup::Found((*first).clone())
                }
                _ => Lookup::Failed(format!(
                    "{}: `{tag}` names more than one manifest of {repository}",
                    self.folder.join("index.json").display()
                )),
            }
        })
    }

    async fn index(&self) -> Lookup<Index> {
        let path = self.folder.join("index.json");
        let bytes = match read(&path, MOST_MANIFEST_BYTES).await {
            Lookup::Found(bytes) => bytes,
            // A folder without an index is no layout, so that nothing is known to be missing.
            Lookup::Absent => {
                let why = "is missing: the folder is not an OCI image layout";
                return Lookup::Failed(format!("{} {why}", path.display()));
            }
            Lookup::Failed(why) => return Lookup::Failed(why),
        };
        match Manifest::read(&bytes, None) {
            Ok(Manifest::Index(index)) => Lookup::Found(*index),
            Ok(Manifest::Image(_)) => Lookup::Failed(format!("{} is no index", path.display())),
            Err(why) => Lookup::Failed(format!("{}: {why}", path.display())),
        }
    }
}

fn called(entry: &Descriptor) -> Option<Called> {
    let name = NAMES.iter().find_map(|name| entry.annotations.get(*name))?;
    if !name.contains(['/', ':', '@']) {
        return Some(Called::Tag(name.clone()));
    }
    name.parse().ok().map(Called::Reference)
}

/// Reads a file up to a limit.
async fn read(path: &Path, most_bytes: usize) -> Lookup<Bytes> {
    let failed = |why: &std::io::Error| Lookup::Failed(format!("{}: {why}", path.display()));
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Lookup::Absent,
        Err(error) => return failed(&error),
    };
    let mut bytes = Vec::new();
    let most = u64::try_from(most_bytes).unwrap_or(u64::MAX);
    match file.take(most.saturating_add(1)).read_to_end(&mut bytes).await {
        Err(error) => failed(&error),
        Ok(_) if bytes.len() > most_bytes => {
            Lookup::Failed(format!("{} is longer than {most_bytes} bytes", path.display()))
        }
        Ok(_) => Lookup::Found(Bytes::from(bytes)),
    }
}
