//! Manifests: of one image, and lists of them.

use serde::{Deserialize, Serialize};

use super::document::{self, MOST_MANIFEST_BYTES, Other, Texts, Unreadable, or_default};
use super::{Descriptor, Platform, media_type};

/// A manifest of one image, or of something else that is kept like one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u64,
    /// Its own media type, when it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact it is, when it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub layers: Vec<Descriptor>,
    /// What it refers to, such as the image that it signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations; empty when there are none.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Texts::is_empty")]
    pub annotations: Texts,
    /// Fields that are not known.
    #[serde(flatten)]
    pub other: Other,
}

/// A list of manifests: one for each platform, or what refers to an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u64,
    /// Its own media type, when it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What kind of artifact it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(deserialize_with = "or_default")]
    pub manifests: Vec<Descriptor>,
    /// What it refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations; empty when there are none.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Texts::is_empty")]
    pub annotations: Texts,
    /// Fields that are not known.
    #[serde(flatten)]
    pub other: Other,
}

impl Index {
    /// The images in it: everything but attestations.
    pub fn images(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|descriptor| !descriptor.is_attestation())
    }

    /// The image that a node of the platform runs: the first that is listed, as container runtimes
    /// choose among equals, and one of the very same variant before others.
    #[must_use]
    pub fn image_for(&self, node: &Platform) -> Option<&Descriptor> {
        let of = |image: &&Descriptor| image.platform.as_ref().is_some_and(|it| it == node);
        let runs = |image: &&Descriptor| image.platform.as_ref().is_some_and(|it| node.runs(it));
        self.images().find(of).or_else(|| self.images().find(runs))
    }
}

/// A manifest, of whatever kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// Of one image.
    Image(Box<ImageManifest>),
    /// A list of them.
    Index(Box<Index>),
}

/// What tells the kinds of manifests apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
}

impl Manifest {
    /// Reads a manifest. `declared` is the media type that came with it, if any.
    ///
    /// # Errors
    /// When it is too long, no JSON, of a kind that is not known, or when it says two different
    /// things about its kind: then two readers could see two different images in it
    /// (CVE-2021-41190).
    pub fn read(bytes: &[u8], declared: Option<&str>) -> Result<Self, Unreadable> {
        let refused = |why: String| Unreadable::new("manifest", why);
        let outline: Outline = document::read("manifest", bytes, MOST_MANIFEST_BYTES)?;
        if outline.schema_version != Some(2) {
            let found = outline.schema_version.map_or("no".to_owned(), |found| found.to_string());
            return Err(refused(format!(
                "it has schemaVersion {found}, and only 2 is read; push the image again with a \
                 current tool"
            )));
        }
        let of_one = outline.config.is_some() || outline.layers.is_some();
        if of_one && outline.manifests.is_some() {
            let why = "it lists `manifests`, and `config` or `layers` too, so that it is two \
                       images at once";
            return Err(refused(why.to_owned()));
        }
        let known = |kind: &&str| media_type::is_index(kind) || media_type::is_manifest(kind);
        let own = outline.media_type.as_deref();
        if let (Some(own), Some(declared)) = (own, declared.filter(known))
            && own != declared
        {
            return Err(refused(format!("it says that it is {own}, and came as {declared}")));
        }
        let is_index = outline.manifests.is_some();
        for said in own.into_iter().chain(declared.filter(known)) {
            let fits = if is_index { media_type::is_index } else { media_type::is_manifest };
            if !fits(said) {
                let shape = if is_index { "a list of manifests" } else { "no list of manifests" };
                return Err(refused(format!("it is {shape}, and says that it is {said}")));
            }
        }
        if is_index {
            let read = document::read("index", bytes, MOST_MANIFEST_BYTES);
            return read.map(Box::new).map(Self::Index);
        }
        document::read("manifest", bytes, MOST_MANIFEST_BYTES).map(Box::new).map(Self::Image)
    }

    /// Its own media type, when it says so.
    #[must_use]
    pub fn media_type(&self) -> Option<&str> {
        match self {
            Self::Image(image) => image.media_type.as_deref(),
            Self::Index(index) => index.media_type.as_deref(),
        }
    }

    /// Its annotations.
    #[must_use]
    pub fn annotations(&self) -> &std::collections::BTreeMap<String, String> {
        match self {
            Self::Image(image) => &image.annotations,
            Self::Index(index) => &index.annotations,
        }
    }

    /// What it refers to.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(image) => image.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    /// The list of manifests, if it is one.
    #[must_use]
    pub fn index(&self) -> Option<&Index> {
        match self {
            Self::Index(index) => Some(index),
            Self::Image(_) => None,
        }
    }

    /// The manifest of one image, if it is one.
    #[must_use]
    pub fn image(&self) -> Option<&ImageManifest> {
        match self {
            Self::Image(image) => Some(image),
            Self::Index(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn digest() -> String {
        format!("sha256:{}", "a".repeat(64))
    }

    fn image() -> serde_json::Value {
        let blob = json!({"mediaType": media_type::OCI_CONFIG, "digest": digest(), "size": 2});
        json!({"schemaVersion": 2, "config": blob, "layers": null, "annotations": null})
    }

    fn read(manifest: &serde_json::Value, declared: Option<&str>) -> Result<Manifest, String> {
        Manifest::read(manifest.to_string().as_bytes(), declared).map_err(|why| why.to_string())
    }

    #[test]
    fn unknown_fields_survive_and_go_lists_may_be_null() {
        let mut manifest = image();
        manifest["futureField"] = json!({"a": [1]});
        let Manifest::Image(read) = read(&manifest, Some(media_type::OCI_MANIFEST)).unwrap() else {
            panic!("it is one image")
        };
        assert!(read.layers.is_empty());
        assert_eq!(serde_json::to_value(&read).unwrap()["futureField"], json!({"a": [1]}));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let mut both = image();
        both["manifests"] = json!([]);
        assert!(read(&both, None).unwrap_err().contains("two images at once"));
        let mut liar = image();
        liar["mediaType"] = json!(media_type::OCI_INDEX);
        assert!(read(&liar, None).unwrap_err().contains("no list of manifests"));
        let came_as = read(&liar, Some(media_type::OCI_MANIFEST)).unwrap_err();
        assert!(came_as.contains("and came as"), "{came_as}");
        assert!(read(&image(), Some(media_type::DOCKER_LIST)).is_err());
        let twice = format!("{{\"schemaVersion\":2,{}", &image().to_string()[1..]);
        assert!(Manifest::read(twice.as_bytes(), None).unwrap_err().why.contains("duplicate"));
        assert!(read(&json!({"schemaVersion": 1}), None).unwrap_err().contains("schemaVersion 1"));
    }

    #[test]
    fn what_is_cut_too_long_or_too_deep_is_refused() {
        let text = image().to_string();
        let cut = Manifest::read(&text.as_bytes()[..text.len() / 2], None).unwrap_err();
        assert!(cut.why.contains("ends in the middle"), "{cut}");
        let long = vec![b' '; MOST_MANIFEST_BYTES + 1];
        assert!(Manifest::read(&long, None).unwrap_err().why.contains("at most"));
        let nested = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        let deep = format!("{{\"a\":{nested},{}", &image().to_string()[1..]);
        assert!(Manifest::read(deep.as_bytes(), None).unwrap_err().why.contains("recursion"));
        let mut wrong = image();
        wrong["config"]["digest"] = json!("sha256:123");
        let told = read(&wrong, None).unwrap_err();
        assert!(
            told.contains("64 lowercase hexadecimal digits") && told.contains("line 1"),
            "{told}"
        );
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Manifest::read(&bytes, None);
        }
    }
}
