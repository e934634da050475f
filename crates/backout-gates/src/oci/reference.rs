//! Image references, as people and manifests write them.

use std::fmt;
use std::str::FromStr;

use backout_core::units::Digest;
use serde::{Serialize, Serializer};

/// The registry that a reference without one means.
const DOCKER_HUB: &str = "docker.io";

/// A text that is not an image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {why}")]
pub struct ReferenceError {
    text: String,
    why: String,
}

impl ReferenceError {
    fn new(text: &str, why: impl Into<String>) -> Self {
        let shown: String = text.chars().take(120).flat_map(char::escape_debug).collect();
        Self { text: shown, why: why.into() }
    }
}

/// A repository: the registry and the name in it. `nginx` is `docker.io/library/nginx`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    name: String,
}

impl Repository {
    /// The registry's host, with its port if one is written. Of Docker Hub it is `docker.io`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name within the registry, such as `shop/checkout`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.name)
    }
}

impl Serialize for Repository {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refused = |why: &str| ReferenceError::new(text, why);
        let (host, name) = match text.split_once('/') {
            Some((first, rest)) if is_host(first) => (first.to_ascii_lowercase(), rest),
            _ => (DOCKER_HUB.to_owned(), text),
        };
        let host = match host.as_str() {
            "index.docker.io" | "registry-1.docker.io" => DOCKER_HUB.to_owned(),
            _ => host,
        };
        check_host(&host).map_err(refused)?;
        let is_official = host == DOCKER_HUB && !name.contains('/');
        let name = if is_official { format!("library/{name}") } else { name.to_owned() };
        if name.len() > 255 {
            return Err(refused("the name is longer than 255 characters"));
        }
        if !name.split('/').all(is_component) {
            return Err(refused(
                "expected a repository such as `registry.example/shop/checkout`, in lower case, \
                 with letters, digits and single `.`, `_` or `-` between them",
            ));
        }
        Ok(Self { host, name })
    }
}

/// Whether the first part of a reference is a host and no name, by the rule that Docker made.
fn is_host(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase)
}

fn check_host(host: &str) -> Result<(), &'static str> {
    // A colon within brackets belongs to an IPv6 address.
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return Err("the port is not a number up to 65535");
    }
    let is_name = |name: &str| {
        let fits = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        name.len() <= 253 && name.split('.').all(fits)
    };
    let is_address = |name: &str| {
        let inner = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
    };
    if is_name(name) || is_address(name) { Ok(()) } else { Err("the host is not a host name") }
}

/// Letters and digits, with one `.`, one or two `_`, or any number of `-` between them.
fn is_component(part: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separators = part.split(letter).filter(|between| !between.is_empty());
    let fits =
        |s: &str| matches!(s, "." | "_" | "__") || s.chars().all(|c| c == '-') && !s.is_empty();
    part.starts_with(letter) && part.ends_with(letter) && separators.into_iter().all(fits)
}

/// Up to 128 letters, digits, `_`, `.` and `-`; neither `.` nor `-` first.
fn is_tag(tag: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=128).contains(&tag.len()) && tag.chars().all(fits) && !tag.starts_with(['.', '-'])
}

/// Which manifest of a repository is wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// What the tag points to now.
    Tag(String),
    /// The one of this digest.
    Digest(Digest),
}

impl Wanted {
    /// A manifest by tag.
    ///
    /// # Errors
    /// When the text cannot be a tag.
    pub fn tag(tag: &str) -> Result<Self, ReferenceError> {
        if is_tag(tag) {
            return Ok(Self::Tag(tag.to_owned()));
        }
        let why = "a tag has up to 128 letters, digits, `_`, `.` and `-`";
        Err(ReferenceError::new(tag, why))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A reference to an image: `registry.example/shop/checkout:1.42.0@sha256:...`. With both, the
/// digest decides, and nobody looks at the tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Registry and name.
    pub repository: Repository,
    /// The tag, if one is written.
    pub tag: Option<String>,
    /// The digest, if one is written.
    pub digest: Option<Digest>,
}

impl Reference {
    /// What a container runtime would ask the registry for: the digest, or else the tag, or else
    /// `latest`.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Wanted::Digest(digest.clone()),
            (None, Some(tag)) => Wanted::Tag(tag.clone()),
            (None, None) => Wanted::Tag("latest".to_owned()),
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let refused = |why: String| ReferenceError::new(text, why);
        if text.len() > 1024 {
            return Err(refused("it is longer than 1024 characters".to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse::<Digest>().map_err(|why| refused(why.to_string()))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to a port.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            let why = "a tag has up to 128 letters, digits, `_`, `.` and `-`";
            return Err(refused(why.to_owned()));
        }
        let repository = repository.parse().map_err(|why: ReferenceError| refused(why.why))?;
        Ok(Self { repository, tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))?;
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_mean_what_container_runtimes_take_them_for() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("grafana/loki", "docker.io/grafana/loki"),
            ("docker.io/nginx", "docker.io/library/nginx"),
            ("index.docker.io/a/b:c", "docker.io/a/b:c"),
            ("localhost/a", "localhost/a"),
            ("127.0.0.1:5000/shop/checkout:1.42.0", "127.0.0.1:5000/shop/checkout:1.42.0"),
            ("[::1]:5000/a", "[::1]:5000/a"),
            ("Registry.Example/a__b/c-d.e:V_1", "registry.example/a__b/c-d.e:V_1"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), expected, "{text}");
        }
        let pinned: Reference = format!("registry.example/a:1@{digest}").parse().unwrap();
        assert_eq!(pinned.wanted().to_string(), digest);
        assert_eq!("a".parse::<Reference>().unwrap().wanted().to_string(), "latest");
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for text in [
            "",
            "/",
            "a/../b",
            "registry.example/../etc",
            "a//b",
            "a/",
            "A/b c",
            "a:",
            "a:b/c:",
            "a@sha256:1",
            "a@",
            "user@registry.example/a",
            "registry.example:99999/a",
            "a?b",
            "registry.example/a#b",
            "registry.example/a%2fb",
            "ä/b",
            "a:.b",
            "x..y.z/a",
            "a___b",
        ] {
            let read = text.parse::<Reference>();
            assert!(read.is_err(), "{text:?} was read as {read:?}");
        }
        let long = format!("a/{}", "b".repeat(300));
        assert!(long.parse::<Repository>().is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in ".{0,200}") {
            let _ = text.parse::<Reference>();
        }

        #[test]
        fn what_is_written_is_read_the_same(
            host in "[a-z]{1,8}\\.[a-z]{2,5}(:[1-9][0-9]{0,3})?",
            name in "[a-z0-9]{1,9}(/[a-z0-9]{1,9}){0,3}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}"),
        ) {
            let tag = tag.map_or(String::new(), |tag| format!(":{tag}"));
            let text = format!("{host}/{name}{tag}");
            let read: Reference = text.parse().unwrap();
            prop_assert_eq!(read.to_string(), text);
        }
    }
}
