//! Images, indexes, attestations and referrers, the same bytes in every run.

use std::collections::BTreeMap;
use std::io::Write;

use backout_core::units::Digest;
use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};

/// Media type of an OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of a Docker image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Media type of an in-toto statement.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";
/// Media type of the configuration of what has none.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// A manifest with everything that it names.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Media type of the manifest.
    pub media_type: String,
    /// The manifest.
    pub bytes: Bytes,
    /// Configuration and layers, by digest.
    pub blobs: BTreeMap<Digest, Bytes>,
    /// The manifests that an index lists.
    pub children: Vec<Artifact>,
}

impl Artifact {
    fn of(media_type: &str, manifest: &Value) -> Self {
        Self {
            media_type: media_type.to_owned(),
            bytes: Bytes::from(manifest.to_string()),
            blobs: BTreeMap::new(),
            children: Vec::new(),
        }
    }

    /// The digest of the manifest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of_bytes(&self.bytes)
    }

    /// The manifest as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("it was made here")
    }

    /// What points at it.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": self.digest(),
            "size": self.bytes.len(),
        })
    }

    /// The configuration of an image as JSON.
    #[must_use]
    pub fn config(&self) -> Value {
        let digest: Digest = self.json()["config"]["digest"]
            .as_str()
            .expect("an image has a configuration")
            .parse()
            .expect("it was made here");
        serde_json::from_slice(&self.blobs[&digest]).expect("it was made here")
    }

    fn with_blob(&mut self, media_type: &str, blob: impl Into<Bytes>) -> Value {
        let blob = blob.into();
        let digest = Digest::of_bytes(&blob);
        let size = blob.len();
        self.blobs.insert(digest.clone(), blob);
        json!({"mediaType": media_type, "digest": digest, "size": size})
    }

    /// The same image in Docker's format, as `skopeo copy --format v2s2` makes it: configuration
    /// and layers stay the same bytes.
    #[must_use]
    pub fn to_docker(&self) -> Self {
        let mut manifest = self.json();
        manifest["mediaType"] = json!(DOCKER_MANIFEST);
        manifest["config"]["mediaType"] = json!(DOCKER_CONFIG);
        for layer in manifest["layers"].as_array_mut().expect("an image has layers") {
            layer["mediaType"] = json!(DOCKER_LAYER);
        }
        Self { blobs: self.blobs.clone(), ..Self::of(DOCKER_MANIFEST, &manifest) }
    }

    /// The same image with its layers compressed again, as saving and loading makes it.
    #[must_use]
    pub fn recompressed(&self) -> Self {
        let mut manifest = self.json();
        let mut again = Self::of(&self.media_type, &manifest);
        let config = manifest["config"]["digest"].as_str().expect("it has one");
        let config: Digest = config.parse().expect("it was made here");
        again.blobs.insert(config.clone(), self.blobs[&config].clone());
        for layer in manifest["layers"].as_array_mut().expect("an image has layers") {
            let digest: Digest =
                layer["digest"].as_str().expect("it has one").parse().expect("it was made here");
            let mut raw = Vec::new();
            let mut reader = flate2::read::GzDecoder::new(&self.blobs[&digest][..]);
            std::io::Read::read_to_end(&mut reader, &mut raw).expect("it was made here");
            let media_type = layer["mediaType"].as_str().expect("it has one").to_owned();
            *layer = again.with_blob(&media_type, gzip(&raw, Compression::none()));
        }
        again.bytes = Bytes::from(manifest.to_string());
        again
    }
}

/// Makes the image of one platform.
#[derive(Clone, Debug)]
pub struct Image {
    config: Value,
    annotations: BTreeMap<String, String>,
    layers: Vec<Vec<u8>>,
}

impl Image {
    /// An image for a platform such as `linux/amd64`, without layers yet.
    #[must_use]
    pub fn new(platform: &str) -> Self {
        let mut parts = platform.split('/');
        let (os, architecture) = (parts.next(), parts.next());
        let mut config = json!({
            "created": "2026-01-02T03:04:05Z",
            "architecture": architecture.expect("a platform such as linux/amd64"),
            "os": os,
            "config": {
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
                "Entrypoint": ["/app"],
                "User": "1000",
                "Labels": {},
            },
            "history": [{"created": "2026-01-02T03:04:05Z", "created_by": "COPY app /app"}],
        });
        if let Some(variant) = parts.next() {
            config["variant"] = json!(variant);
        }
        Self { config, annotations: BTreeMap::new(), layers: Vec::new() }
    }

    /// Adds a layer of these files.
    #[must_use]
    pub fn layer(mut self, files: &[(&str, &str)]) -> Self {
        self.layers.push(archive(files));
        self
    }

    /// Sets a label.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.config["config"]["Labels"][name] = json!(value);
        self
    }

    /// Sets an annotation of the manifest.
    #[must_use]
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets when it was built.
    #[must_use]
    pub fn created(mut self, created: &str) -> Self {
        self.config["created"] = json!(created);
        self.config["history"][0]["created"] = json!(created);
        self
    }

    /// Sets a field of how it runs, such as `Env`.
    #[must_use]
    pub fn runs_with(mut self, field: &str, value: Value) -> Self {
        self.config["config"][field] = value;
        self
    }

    /// The image.
    #[must_use]
    pub fn build(&self) -> Artifact {
        let mut config = self.config.clone();
        let diff_ids: Vec<Digest> = self.layers.iter().map(|tar| Digest::of_bytes(tar)).collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let mut artifact = Artifact::of(OCI_MANIFEST, &Value::Null);
        let config = artifact.with_blob(OCI_CONFIG, config.to_string());
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|tar| artifact.with_blob(OCI_LAYER, gzip(tar, Compression::best())))
            .collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config,
            "layers": layers,
        });
        if !self.annotations.is_empty() {
            manifest["annotations"] = json!(self.annotations);
        }
        artifact.bytes = Bytes::from(manifest.to_string());
        artifact
    }
}

/// An index over images, each with its platform, and over attestations of them.
#[must_use]
pub fn index(images: &[(&str, &Artifact)], attestations: &[&Artifact]) -> Artifact {
    let mut listed = Vec::new();
    let mut children = Vec::new();
    for (platform, image) in images {
        let mut parts = platform.split('/');
        let mut descriptor = image.descriptor();
        descriptor["platform"] = json!({"os": parts.next(), "architecture": parts.next()});
        if let Some(variant) = parts.next() {
            descriptor["platform"]["variant"] = json!(variant);
        }
        listed.push(descriptor);
        children.push((*image).clone());
    }
    for attestation in attestations {
        let of = attestation.json()["annotations"]["vnd.docker.reference.digest"].clone();
        let mut descriptor = attestation.descriptor();
        descriptor["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        descriptor["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": of,
        });
        listed.push(descriptor);
        children.push((*attestation).clone());
    }
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed});
    Artifact { children, ..Artifact::of(OCI_INDEX, &index) }
}

/// An attestation of an image, as BuildKit puts it into an index: a provenance that names a commit.
/// `started` makes one build differ from the next.
#[must_use]
pub fn provenance(of: &Artifact, revision: &str, started: &str) -> Artifact {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": "https://slsa.dev/provenance/v0.2",
        "subject": [{"name": "pkg:docker/app", "digest": {"sha256": of.digest().hex()}}],
        "predicate": {
            "buildType": "https://mobyproject.org/buildkit@v1",
            "invocation": {"configSource": {
                "uri": "git+https://git.example/shop/checkout",
                "digest": {"sha1": revision},
            }},
            "metadata": {"buildStartedOn": started},
        },
    });
    let mut artifact = Artifact::of(OCI_MANIFEST, &Value::Null);
    let config = json!({"architecture": "unknown", "os": "unknown", "config": {},
        "rootfs": {"type": "layers", "diff_ids": []}});
    let config = artifact.with_blob(OCI_CONFIG, config.to_string());
    let mut layer = artifact.with_blob(IN_TOTO, statement.to_string());
    layer["annotations"] = json!({"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config,
        "layers": [layer],
        // BuildKit writes it into the index's descriptor only; here it tells `index` what to write.
        "annotations": {"vnd.docker.reference.digest": of.digest()},
    });
    artifact.bytes = Bytes::from(manifest.to_string());
    artifact
}

/// What refers to an image, such as its signature: one layer of some type, with annotations.
#[must_use]
pub fn referrer(
    subject: &Artifact,
    artifact_type: &str,
    layer_type: &str,
    layer: &[u8],
    annotations: &[(&str, &str)],
) -> Artifact {
    let mut artifact = Artifact::of(OCI_MANIFEST, &Value::Null);
    let config = artifact.with_blob(OCI_EMPTY, "{}");
    let layer = artifact.with_blob(layer_type, layer.to_vec());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": config,
        "layers": [layer],
        "subject": subject.descriptor(),
        "annotations": annotations.iter().copied().collect::<BTreeMap<_, _>>(),
    });
    artifact.bytes = Bytes::from(manifest.to_string());
    artifact
}

/// The index that holds an image's referrers where a registry has no API for them. It belongs
/// under [`fallback_tag`]. `artifact_type` is what it says of each: often a wrong one.
#[must_use]
pub fn fallback_index(referrers: &[&Artifact], artifact_type: &str) -> Artifact {
    let listed: Vec<Value> = referrers
        .iter()
        .map(|referrer| {
            let mut descriptor = referrer.descriptor();
            descriptor["artifactType"] = json!(artifact_type);
            descriptor
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed});
    let children = referrers.iter().map(|referrer| (*referrer).clone()).collect();
    Artifact { children, ..Artifact::of(OCI_INDEX, &index) }
}

/// The tag of an image's referrers where a registry has no API for them.
#[must_use]
pub fn fallback_tag(digest: &Digest) -> String {
    digest.as_str().replacen(':', "-", 1)
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o755);
        header.set_size(content.len().try_into().expect("a small file"));
        header.set_mtime(0);
        builder.append_data(&mut header, path, content.as_bytes()).expect("memory takes it");
    }
    builder.into_inner().expect("memory takes it")
}

fn gzip(raw: &[u8], level: Compression) -> Vec<u8> {
    let mut writer = GzBuilder::new().mtime(0).write(Vec::new(), level);
    writer.write_all(raw).expect("memory takes it");
    writer.finish().expect("memory takes it")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Artifact {
        Image::new("linux/arm64/v8").layer(&[("app", "one")]).label("a", "b").build()
    }

    #[test]
    fn the_same_image_has_the_same_bytes() {
        assert_eq!(image().bytes, image().bytes);
        assert_eq!(image().config()["variant"], "v8");
    }

    #[test]
    fn conversions_keep_what_they_should() {
        let (oci, docker, again) = (image(), image().to_docker(), image().recompressed());
        assert_eq!(oci.json()["config"]["digest"], docker.json()["config"]["digest"]);
        assert_eq!(oci.json()["layers"][0]["digest"], docker.json()["layers"][0]["digest"]);
        assert_ne!(oci.digest(), docker.digest());
        assert_eq!(oci.json()["config"]["digest"], again.json()["config"]["digest"]);
        assert_ne!(oci.json()["layers"][0]["digest"], again.json()["layers"][0]["digest"]);
        for layer in again.json()["layers"].as_array().unwrap() {
            let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
            assert!(again.blobs.contains_key(&digest));
        }
    }
}
