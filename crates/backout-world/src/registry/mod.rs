//! Reads images from a registry, or from a folder in OCI image layout. Only reads.
//!
//! - [`Registry`]: manifests, blobs, referrers and tags, from either source.
//! - [`http`]: the distribution protocol, within limits of time and size.
//! - [`credentials`]: who we are, from the standard Docker configuration.
//! - [`evidence`]: what the gate on artifact digests looks at.
//! - [`layout`]: a folder instead of the network.
//!
//! Everything that is returned has the digest that was asked for. What could not be read is
//! [`Lookup::Failed`], and never [`Lookup::Absent`].

pub mod credentials;
pub mod evidence;
pub mod http;
pub mod layout;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backout_core::policy;
use backout_core::units::Digest;
use backout_gates::oci::{
    Descriptor, ImageConfig, Lookup, MOST_CONFIG_BYTES, Manifest, Repository, Wanted,
};
use bytes::Bytes;

use crate::failure::Failure;
pub use credentials::Credentials;
pub use evidence::{Known, digest_evidence};
pub use http::Options;

/// A source of images. Clones share it.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Source>);

#[derive(Debug)]
enum Source {
    Http(Box<http::Http>),
    Layout(layout::Layout),
}

/// A manifest as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The digest of its bytes, computed here.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes, which are what a signature is over.
    pub bytes: Bytes,
    /// What they say.
    pub manifest: Manifest,
}

/// Where the referrers of an image were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferrersPlace {
    /// The registry's referrers API.
    Api,
    /// The tag `sha256-<hex>`, because the registry has no such API, or its API knows of none.
    FallbackTag,
    /// A folder in OCI image layout.
    Layout,
}

impl std::fmt::Display for ReferrersPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Api => "the referrers API",
            Self::FallbackTag => "the fallback tag",
            Self::Layout => "the image layout",
        })
    }
}

/// What refers to an image: signatures, attestations, bills of materials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrers {
    /// Descriptors of their manifests, each digest once, in the registry's order. Nothing is left
    /// out by its artifact type, because that is often written wrongly; look at the layers.
    pub descriptors: Vec<Descriptor>,
    /// Where they were read; when there are none, the place that was read last.
    pub place: ReferrersPlace,
}

impl Registry {
    /// What a policy says: its layout, relative to the policy's folder, or else registries over HTTP
    /// with the credentials of whoever runs this.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn of_policy(policy: &policy::Registry, folder: &Path) -> Result<Self, Failure> {
        if let Some(layout) = &policy.layout {
            return Ok(Self::in_layout(folder.join(layout)));
        }
        let options = Options { plain_http: policy.plain_http.clone(), ..Options::default() };
        Self::over_http(options, Credentials::of_docker())
    }

    /// Registries over HTTP. Nothing is asked yet.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn over_http(options: Options, credentials: Credentials) -> Result<Self, Failure> {
        let http = Box::new(http::Http::new(options, credentials)?);
        Ok(Self(Arc::new(Source::Http(http))))
    }

    /// A folder in OCI image layout, which stands for all registries. It is read when it is asked.
    #[must_use]
    pub fn in_layout(folder: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Source::Layout(layout::Layout::new(folder.into()))))
    }

    /// A manifest, by tag or digest.
    pub async fn manifest(&self, repository: &Repository, wanted: &Wanted) -> Lookup<Fetched> {
        match &*self.0 {
            Source::Http(http) => http.manifest(repository, wanted).await,
            Source::Layout(layout) => layout.manifest(repository, wanted).await,
        }
    }

    /// A blob of at most so many bytes. A longer one is not read to its end, and is a failure.
    pub async fn blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        most_bytes: usize,
    ) -> Lookup<Bytes> {
        match &*self.0 {
            Source::Http(http) => http.blob(repository, digest, most_bytes).await,
            Source::Layout(layout) => layout.blob(digest, most_bytes).await,
        }
    }

    /// The configuration of an image, from the descriptor in its manifest.
    pub async fn config(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Lookup<ImageConfig> {
        let blob = self.blob(repository, &descriptor.digest, MOST_CONFIG_BYTES).await;
        blob.and_then(|bytes| {
            ImageConfig::read(&bytes, &descriptor.media_type)
                .map_err(|why| format!("{repository}@{}: {why}", descriptor.digest))
                .into()
        })
    }

    /// What refers to an image. Never absent: an image without referrers has an empty list of them,
    /// even when the image itself is not there.
    pub async fn referrers(&self, repository: &Repository, digest: &Digest) -> Lookup<Referrers> {
        match &*self.0 {
            Source::Http(http) => http.referrers(repository, digest).await,
            Source::Layout(layout) => layout.referrers(repository, digest).await,
        }
    }

    /// The tags of a repository, at most 10,000. Absent when there is no such repository.
    pub async fn tags(&self, repository: &Repository) -> Lookup<Vec<String>> {
        match &*self.0 {
            Source::Http(http) => http.tags(repository).await,
            Source::Layout(layout) => layout.tags(repository).await,
        }
    }
}

/// The tag that holds the referrers of an image where a registry has no API for them.
fn fallback_tag(digest: &Digest) -> Wanted {
    Wanted::Tag(digest.as_str().replacen(':', "-", 1).chars().take(128).collect())
}

/// Reads the bytes of a manifest as what was asked for.
fn fetched(
    repository: &Repository,
    wanted: &Wanted,
    bytes: Bytes,
    declared: Option<&str>,
) -> Result<Fetched, String> {
    let at = || match wanted {
        Wanted::Tag(tag) => format!("{repository}:{tag}"),
        Wanted::Digest(digest) => format!("{repository}@{digest}"),
    };
    let manifest = Manifest::read(&bytes, declared).map_err(|why| format!("{}: {why}", at()))?;
    let default = match &manifest {
        Manifest::Image(_) => backout_gates::oci::media_type::OCI_MANIFEST,
        Manifest::Index(_) => backout_gates::oci::media_type::OCI_INDEX,
    };
    let media_type = manifest.media_type().or(declared).unwrap_or(default).to_owned();
    Ok(Fetched { digest: Digest::of_bytes(&bytes), media_type, bytes, manifest })
}

/// Each descriptor once.
fn once(descriptors: Vec<Descriptor>) -> Vec<Descriptor> {
    let mut seen = std::collections::BTreeSet::new();
    descriptors.into_iter().filter(|descriptor| seen.insert(descriptor.digest.clone())).collect()
}

/// The digest of some bytes, by the algorithm of another digest.
fn digest_of(like: &Digest, bytes: &[u8]) -> Result<Digest, String> {
    use sha2::Digest as _;
    let Some(("sha512", _)) = like.as_str().split_once(':') else {
        return Ok(Digest::of_bytes(bytes));
    };
    let hex: String =
        sha2::Sha512::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha512:{hex}").parse().map_err(|why| format!("{why}"))
}
