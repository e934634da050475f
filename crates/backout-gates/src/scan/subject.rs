//! Whether a report is about an image.

use std::collections::BTreeSet;

use backout_core::units::Digest;
use serde::Serialize;

use super::{Artifact, Report};

/// An image, by everything that names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The container's name.
    pub name: String,
    /// Registry and repository, without tag.
    pub repository: String,
    /// The tag that people use for it.
    pub tag: String,
    /// The recorded digest, those of its platforms, and those of their configurations where they
    /// are known.
    pub digests: BTreeSet<Digest>,
}

/// How a report hangs together with an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// It names a digest of the image.
    Digest,
    /// It names the image's repository and tag and no digest; a tag can be moved.
    Tag,
    /// It names digests, and none is the image's; this is one of them.
    OtherDigest(Digest),
    /// It names something else, without a digest.
    OtherName(String),
    /// It names nothing.
    Nothing,
}

/// Tells how a report hangs together with an image.
#[must_use]
pub fn bind(report: &Report, image: &Image) -> Binding {
    let artifact = &report.artifact;
    if artifact.digests.union(&artifact.image_ids).any(|digest| image.digests.contains(digest)) {
        return Binding::Digest;
    }
    if let Some(other) = artifact.digests.first() {
        return Binding::OtherDigest(other.clone());
    }
    let reference = format!("{}:{}", image.repository, image.tag);
    if artifact.names.iter().any(|name| *name == reference) {
        return Binding::Tag;
    }
    match artifact.names.first() {
        Some(name) => Binding::OtherName(name.clone()),
        None => Binding::Nothing,
    }
}

impl Artifact {
    /// Takes a name, and the digest that it may carry: `registry/name@sha256:...`.
    pub(super) fn name(&mut self, text: &str) {
        let name = super::tidy(text);
        if let Some(digest) = digest_in(&name) {
            self.digests.insert(digest);
        }
        if !name.is_empty() {
            self.names.insert(name);
        }
    }

    /// Takes a digest of a manifest, if it is one.
    pub(super) fn digest(&mut self, text: &str) {
        self.digests.extend(text.parse::<Digest>().ok());
    }

    /// Takes a digest of an image configuration, if it is one.
    pub(super) fn image_id(&mut self, text: &str) {
        self.image_ids.extend(text.parse::<Digest>().ok());
    }
}

/// The digest that a reference ends with; package URLs write its colon as `%3A`.
pub(super) fn digest_in(reference: &str) -> Option<Digest> {
    let (_, rest) = reference.rsplit_once('@')?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    rest.replace("%3A", ":").replace("%3a", ":").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_in_references() {
        let hex = "ab".repeat(32);
        for text in [
            format!("registry.example/shop/checkout@sha256:{hex}"),
            format!(
                "pkg:oci/checkout@sha256%3A{hex}?repository_url=registry.example/shop/checkout"
            ),
        ] {
            assert_eq!(digest_in(&text).unwrap().hex(), hex);
        }
        assert_eq!(digest_in("registry.example/shop/checkout:1"), None);
    }
}
