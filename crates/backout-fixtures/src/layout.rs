//! Images as a folder in OCI image layout.

use std::path::Path;

use serde_json::{Value, json};

use crate::image::Artifact;

/// Writes images into a folder, each under a name: a whole reference, a bare tag, or none. Layers
/// are left out when `with_layers` is false, since Backout reads none.
pub fn write(folder: &Path, images: &[(Option<&str>, &Artifact)], with_layers: bool) {
    std::fs::create_dir_all(folder.join("blobs/sha256")).expect("writable");
    let listed: Vec<Value> = images
        .iter()
        .map(|(name, image)| {
            write_blobs(folder, image, with_layers);
            let mut descriptor = image.descriptor();
            if let Some(name) = name {
                descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
            }
            descriptor
        })
        .collect();
    let index = json!({"schemaVersion": 2, "manifests": listed});
    std::fs::write(folder.join("index.json"), index.to_string()).expect("writable");
    let version = json!({"imageLayoutVersion": "1.0.0"});
    std::fs::write(folder.join("oci-layout"), version.to_string()).expect("writable");
}

fn write_blobs(folder: &Path, image: &Artifact, with_layers: bool) {
    let put = |digest: &backout_core::units::Digest, bytes: &[u8]| {
        std::fs::write(folder.join("blobs/sha256").join(digest.hex()), bytes).expect("writable");
    };
    put(&image.digest(), &image.bytes);
    for (digest, blob) in &image.blobs {
        let is_gzip = blob.starts_with(&[0x1f, 0x8b]);
        if with_layers || !is_gzip {
            put(digest, blob);
        }
    }
    for child in &image.children {
        write_blobs(folder, child, with_layers);
    }
}
