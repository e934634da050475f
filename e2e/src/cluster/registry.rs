//! Images: which program stands for a repository, and which digest a tag points at.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// The repository of the demo application.
pub const APP: &str = "registry.shop.example/shop/checkout";
/// The repository of an image that does nothing until it is told to end.
pub const PAUSE: &str = "registry.shop.example/tools/pause";
/// The repository of an image whose containers give a command of the machine themselves, such as
/// `["sh", "-c", "exit 1"]`.
pub const SHELL: &str = "registry.shop.example/tools/shell";

/// A local program that stands for an image.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program's file.
    pub path: PathBuf,
    /// Its arguments, unless the container gives its own.
    pub arguments: Vec<String>,
}

/// What an image reference stands for.
#[derive(Clone, Debug)]
pub struct Image {
    /// The reference without tag and digest.
    pub repository: String,
    /// `sha256:` and 64 digits.
    pub digest: String,
    /// What runs.
    pub program: Program,
    /// How the demo application of this digest behaves; see [`crate::app::Behaviour`].
    pub behaviour: Option<Value>,
}

/// The table of images. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Tables>>);

#[derive(Debug, Default)]
struct Tables {
    programs: BTreeMap<String, Program>,
    images: BTreeSet<(String, String)>,
    tags: BTreeMap<(String, String), String>,
    behaviours: BTreeMap<String, Value>,
}

impl Registry {
    /// A registry with the repositories [`APP`], [`PAUSE`] and [`SHELL`]; `own` is this program.
    #[must_use]
    pub fn new(own: &Path) -> Self {
        let registry = Self::default();
        let program =
            |argument: &str| Program { path: own.to_owned(), arguments: vec![argument.to_owned()] };
        registry.add_repository(APP, program("app"));
        registry.add_repository(PAUSE, program("pause"));
        let shell = Program { path: PathBuf::from("/bin/sh"), arguments: Vec::new() };
        registry.add_repository(SHELL, shell);
        registry.push(PAUSE, "latest", None);
        registry.push(SHELL, "latest", None);
        registry
    }

    /// Adds a repository, or replaces its program.
    pub fn add_repository(&self, repository: &str, program: Program) {
        self.with(|tables| tables.programs.insert(repository.to_owned(), program));
    }

    /// Pushes an image under a tag, with a behaviour of the demo application, and returns its
    /// digest, which depends on repository and tag only.
    pub fn push(&self, repository: &str, tag: &str, behaviour: Option<Value>) -> String {
        let digest = digest_of(&format!("{repository}:{tag}"));
        self.with(|tables| {
            tables.images.insert((repository.to_owned(), digest.clone()));
            tables.tags.insert((repository.to_owned(), tag.to_owned()), digest.clone());
            if let Some(behaviour) = behaviour {
                tables.behaviours.insert(digest.clone(), behaviour);
            }
        });
        digest
    }

    /// Points a tag at another digest, as a careless push would.
    pub fn move_tag(&self, repository: &str, tag: &str, digest: &str) {
        self.with(|tables| {
            tables.tags.insert((repository.to_owned(), tag.to_owned()), digest.to_owned())
        });
    }

    /// What an image reference stands for.
    ///
    /// # Errors
    /// What a container runtime would say: the repository, tag or digest is not there.
    pub fn resolve(&self, reference: &str) -> Result<Image, String> {
        let (name, digest) = match reference.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (reference, None),
        };
        let (repository, tag) = split_tag(name);
        self.with(|tables| {
            let missing = || {
                format!("failed to pull and unpack image \"{reference}\": {repository}: not found")
            };
            let program = tables.programs.get(repository).cloned().ok_or_else(missing)?;
            let tagged = || tables.tags.get(&(repository.to_owned(), tag.to_owned())).cloned();
            let digest = digest.or_else(tagged).ok_or_else(missing)?;
            if !tables.images.contains(&(repository.to_owned(), digest.clone())) {
                return Err(missing());
            }
            let behaviour = tables.behaviours.get(&digest).cloned();
            Ok(Image { repository: repository.to_owned(), digest, program, behaviour })
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Tables) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Splits `host:5000/name:tag`; a colon before the last slash is a port.
fn split_tag(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

/// A digest that is the same in every run. It only has to look like one.
fn digest_of(text: &str) -> String {
    let mut digest = String::from("sha256:");
    for part in 0_u8..4 {
        let mut hasher = DefaultHasher::new();
        (part, text).hash(&mut hasher);
        digest.push_str(&format!("{:016x}", hasher.finish()));
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::{APP, Registry};

    #[test]
    fn tags_and_digests_resolve_and_unknown_ones_do_not() {
        let registry = Registry::new(std::path::Path::new("/program"));
        let digest = registry.push(APP, "1.41.0", None);
        assert_eq!(digest.len(), 71);
        assert_eq!(registry.resolve(&format!("{APP}:1.41.0")).unwrap().digest, digest);
        assert_eq!(registry.resolve(&format!("{APP}@{digest}")).unwrap().repository, APP);
        assert!(registry.resolve(&format!("{APP}:1.42.0")).is_err());
        assert!(registry.resolve(&format!("{APP}@sha256:{}", "0".repeat(64))).is_err());
        assert!(registry.resolve("host:5000/other").is_err());
    }
}
