//! Digests that must not be deployed again, one object per digest.

use std::collections::BTreeMap;

use backout_core::units::Digest;
use kube::Client;
use serde_json::{Value, json};

use super::names;
use super::objects::{self, Objects, QUARANTINE};
use crate::failure::{Failure, Kind};

/// Why a digest must not be deployed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The digest.
    pub digest: Digest,
    /// Why, in one sentence fragment.
    pub reason: String,
    /// Name of the release that failed with it; empty if none is known.
    pub release: String,
    /// Since when, RFC 3339, in UTC.
    pub since: String,
}

/// The quarantine of one namespace.
#[derive(Clone, Debug)]
pub struct Quarantine {
    objects: Objects,
}

impl Quarantine {
    /// The quarantine of this namespace.
    #[must_use]
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { objects: Objects::new(client, namespace) }
    }

    /// Puts a digest into quarantine. One that is there already stays as it is, with its first
    /// reason.
    ///
    /// # Errors
    ///
    /// If the object cannot be written, or one of that name holds another digest.
    pub async fn add(&self, entry: &Entry) -> Result<(), Failure> {
        let name = name(&entry.digest);
        let mut object = json!({
            "apiVersion": "backout.dev/v1alpha1", "kind": "Quarantine",
            "metadata": {
                "name": name, "namespace": self.objects.namespace(),
                "labels": {"app.kubernetes.io/managed-by": names::MANAGED_BY},
            },
            "spec": {
                "digest": entry.digest.as_str(), "reason": entry.reason,
                "since": entry.since,
            },
        });
        // A person may know of no release; an empty name is none.
        if !entry.release.is_empty() {
            object["spec"]["release"] = json!(entry.release);
        }
        if self.objects.create(QUARANTINE, &object).await.map_err(installed)?.is_some() {
            return Ok(());
        }
        let found = self.objects.get(QUARANTINE, &name).await.map_err(installed)?;
        match found.as_ref().map(|found| found["spec"]["digest"].as_str()) {
            Some(Some(digest)) if digest == entry.digest.as_str() => Ok(()),
            Some(_) => {
                let told = self.objects.in_words(QUARANTINE, &name);
                let message = format!("{told} holds another digest than {}", entry.digest);
                Err(Failure::new(Kind::Refused, message)
                    .with_help("look at the object; quarantine the digest under another name"))
            }
            None => {
                let message = format!("quarantine of {} was lifted meanwhile", entry.digest);
                Err(Failure::new(Kind::Failed, message))
            }
        }
    }

    /// The quarantined digests. An object that names no digest is a failure: taking it for nothing
    /// would let a digest through.
    ///
    /// # Errors
    ///
    /// If they cannot be listed or read.
    pub async fn list(&self) -> Result<BTreeMap<Digest, Entry>, Failure> {
        let found = self.objects.list(QUARANTINE, "").await.map_err(installed)?;
        let entries = found.iter().map(|object| {
            let entry = entry(object).ok_or_else(|| {
                let told = self.objects.in_words(QUARANTINE, objects::name(object));
                Failure::new(Kind::Failed, format!("{told}: spec.digest is not a digest"))
                    .with_help("correct it, as `sha256:` and 64 hexadecimal digits, or delete it")
            })?;
            Ok((entry.digest.clone(), entry))
        });
        entries.collect()
    }

    /// Lifts the quarantine of a digest; does nothing if there is none.
    ///
    /// # Errors
    ///
    /// If the object cannot be deleted.
    pub async fn remove(&self, digest: &Digest) -> Result<(), Failure> {
        for object in self.objects.list(QUARANTINE, "").await.map_err(installed)? {
            if object["spec"]["digest"].as_str() == Some(digest.as_str()) {
                let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
                self.objects.delete(QUARANTINE, objects::name(&object), uid).await?;
            }
        }
        Ok(())
    }
}

/// Name of a digest's object.
#[must_use]
pub fn name(digest: &Digest) -> String {
    format!("sha256-{}", digest.hex().get(..16).unwrap_or_default())
}

fn entry(object: &Value) -> Option<Entry> {
    let spec = &object["spec"];
    let text = |key: &str| spec[key].as_str().unwrap_or_default().to_owned();
    Some(Entry {
        digest: spec["digest"].as_str()?.parse().ok()?,
        reason: text("reason"),
        release: text("release"),
        since: text("since"),
    })
}

/// A missing resource definition has one cause here.
fn installed(failure: Failure) -> Failure {
    if failure.kind == Kind::Missing && failure.message.contains("does not know the kind") {
        failure.with_help("run `backout install` to install the resource definitions")
    } else {
        failure
    }
}
