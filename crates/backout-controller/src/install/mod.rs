//! What is installed into a cluster: every object, in a stable order.
//!
//! The permissions are the least that work, and each says why it is needed.

mod admission;
mod permissions;
mod program;
#[cfg(test)]
mod tests;

pub(crate) use permissions::needed;
use serde_json::{Value, json};

use crate::resources::definitions;

/// What to install, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Namespace of the controller itself.
    pub namespace: String,
    /// Namespaces that it watches; empty is its own. Not looked at when `cluster_wide`.
    pub watch: Vec<String>,
    /// Whether it watches every namespace.
    pub cluster_wide: bool,
    /// Image of the controller.
    pub image: String,
    /// Whether the resource definitions are part of it.
    pub definitions: bool,
    /// Whether the policy that refuses quarantined images is part of it.
    pub admission_policy: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: "backout".to_owned(),
            watch: Vec::new(),
            cluster_wide: false,
            image: format!("ghcr.io/backout/backout:{}", env!("CARGO_PKG_VERSION")),
            definitions: true,
            admission_policy: true,
        }
    }
}

impl Options {
    /// The namespaces that are watched, each once; empty when all are.
    #[must_use]
    pub fn watched(&self) -> Vec<String> {
        if self.cluster_wide {
            return Vec::new();
        }
        let mut watched = self.watch.clone();
        if watched.is_empty() {
            watched.push(self.namespace.clone());
        }
        watched.sort();
        watched.dedup();
        watched
    }
}

/// One object, and why it is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Why, in full sentences: the comment over the document.
    pub why: String,
    /// The object.
    pub object: Value,
}

/// Every object, in the order in which it has to be made. The namespace is not among them: it
/// may exist, and carry settings that are not ours.
#[must_use]
pub fn manifests(options: &Options) -> Vec<Manifest> {
    let mut manifests = Vec::new();
    if options.definitions {
        manifests.extend(definitions().into_iter().map(|object| Manifest {
            why: "Deleting a definition deletes every object of its kind.".to_owned(),
            object,
        }));
    }
    manifests.extend(permissions::manifests(options));
    if options.admission_policy {
        manifests.extend(admission::manifests(options));
    }
    manifests.extend(program::manifests(options));
    manifests
}

/// Labels of every object.
fn labels() -> Value {
    json!({ "app.kubernetes.io/name": "backout", "app.kubernetes.io/part-of": "backout" })
}
