//! Signs an image in a folder in OCI image layout with a new key, in the old form and the new one,
//! and writes the public key: `sign_image LAYOUT REPOSITORY DIGEST PUBLIC_KEY_FILE`.
//!
//! The secret key is dropped. Nothing but tests and examples should sign like this.

use std::path::Path;

use backout_core::units::Digest;
use backout_signatures::sign::{
    BUNDLE, Image, MANIFEST, Pushable, SigningKey, referrer, sig_manifest,
};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [layout, repository, digest, public_key] = arguments.as_slice() else {
        return Err("usage: sign_image LAYOUT REPOSITORY DIGEST PUBLIC_KEY_FILE".into());
    };
    sign(Path::new(layout), repository, &digest.parse()?, Path::new(public_key))
}

fn sign(layout: &Path, repository: &str, on: &Digest, public_key: &Path) -> Result<(), Failure> {
    let manifest = std::fs::read(layout.join("blobs/sha256").join(on.hex()))?;
    let media_type = serde_json::from_slice::<Value>(&manifest)?["mediaType"]
        .as_str()
        .unwrap_or(MANIFEST)
        .to_owned();
    let image = Image { digest: on.clone(), media_type, size_bytes: manifest.len() };
    let key = SigningKey::generate()?;
    let old = sig_manifest(&[key.simple_signing(repository, on)?]);
    let new = referrer(&image, BUNDLE, &[key.bundle(on)?]);
    let tag = format!("{}.sig", on.as_str().replacen(':', "-", 1));
    add(layout, &old, json!({ "annotations": { "org.opencontainers.image.ref.name": tag } }))?;
    add(layout, &new, json!({ "artifactType": BUNDLE }))?;
    std::fs::write(public_key, key.public_pem()?)?;
    Ok(())
}

/// Writes a manifest with its blobs, and lists it with some more fields.
fn add(layout: &Path, pushable: &Pushable, mut entry: Value) -> Result<(), Failure> {
    for blob in pushable.blobs.iter().chain([&pushable.manifest]) {
        let file = layout.join("blobs/sha256").join(Digest::of_bytes(blob).hex());
        std::fs::write(file, blob)?;
    }
    entry["mediaType"] = json!(MANIFEST);
    entry["digest"] = json!(pushable.digest().to_string());
    entry["size"] = json!(pushable.manifest.len());
    let file = layout.join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let manifests = index["manifests"].as_array_mut().ok_or("index.json lists no manifests")?;
    manifests.push(entry);
    std::fs::write(file, serde_json::to_vec_pretty(&index)?)?;
    Ok(())
}
