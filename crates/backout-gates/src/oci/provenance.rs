//! Which source an image was built from, as its builder says in an in-toto statement.

use backout_core::units::Digest;
use serde::Deserialize;
use serde_json::Value;

use super::document::{self, MOST_CONFIG_BYTES, Unreadable, or_default};

/// Which source an image was built from, as its builder says. Whether the builder signed it is
/// another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// The commit, if the statement names exactly one.
    pub revision: Option<String>,
    /// The digests that the statement is about.
    pub subjects: Vec<Digest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(default)]
    predicate_type: String,
    #[serde(default, deserialize_with = "or_default")]
    subject: Vec<Subject>,
    #[serde(default)]
    predicate: Value,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default, deserialize_with = "or_default")]
    digest: std::collections::BTreeMap<String, String>,
}

/// Where SLSA provenance 0.2 and 1 and BuildKit say which commit was built, the surest first.
const REVISIONS: [&str; 4] = [
    "/invocation/configSource/digest",
    "/buildDefinition/externalParameters/configSource/digest",
    "/metadata/https:~1~1mobyproject.org~1buildkit@v1#metadata/vcs/revision",
    "/runDetails/metadata/buildkit_metadata/vcs/revision",
];

/// What else went into a build. Of other builders than BuildKit its only Git repository is the one
/// that was built; BuildKit lists what a Dockerfile fetched here, too.
const SOURCES: [&str; 2] = ["/materials", "/buildDefinition/resolvedDependencies"];

/// Where a statement names the kind of its builder.
const BUILD_TYPES: [&str; 2] = ["/buildType", "/buildDefinition/buildType"];

impl Provenance {
    /// Whether a statement of this predicate type is a provenance.
    #[must_use]
    pub fn is_predicate(predicate_type: &str) -> bool {
        predicate_type.starts_with("https://slsa.dev/provenance/")
    }

    /// Reads an in-toto statement whose predicate is a SLSA provenance.
    ///
    /// # Errors
    /// When it is too long, no JSON, or a statement about something else.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let statement: Statement = document::read("provenance", bytes, MOST_CONFIG_BYTES)?;
        if !Self::is_predicate(&statement.predicate_type) {
            let shown: String = statement.predicate_type.chars().take(100).collect();
            let why = format!("its predicate is of type `{shown}`, and not a SLSA provenance");
            return Err(Unreadable::new("provenance", why));
        }
        let subjects = statement
            .subject
            .iter()
            .filter_map(|subject| format!("sha256:{}", subject.digest.get("sha256")?).parse().ok());
        let mut places = REVISIONS.iter().filter_map(|place| statement.predicate.pointer(place));
        let revision = places.find_map(revision).or_else(|| {
            let named = BUILD_TYPES.iter().filter_map(|place| statement.predicate.pointer(place));
            let mut named = named.filter_map(Value::as_str);
            let is_buildkit = named.any(|name| name.contains("buildkit"));
            let sources = SOURCES.iter().filter_map(|place| statement.predicate.pointer(place));
            sources.filter(|_| !is_buildkit).find_map(revision)
        });
        Ok(Self { subjects: subjects.collect(), revision })
    }
}

/// The commit in a text, in a set of digests, or in a list of sources of which one is a Git
/// repository.
fn revision(place: &Value) -> Option<String> {
    match place {
        Value::String(text) => Some(text.clone()),
        Value::Object(digests) => {
            let commit = ["gitCommit", "sha1"].iter().find_map(|name| digests.get(*name))?;
            commit.as_str().map(str::to_owned)
        }
        Value::Array(sources) => {
            let is_git = |source: &&Value| {
                let uri = source.get("uri").and_then(Value::as_str).unwrap_or_default();
                uri.starts_with("git+") || uri.starts_with("git://") || uri.contains(".git")
            };
            let mut found =
                sources.iter().filter(is_git).filter_map(|source| revision(source.get("digest")?));
            let first = found.next()?;
            found.all(|other| other == first).then_some(first)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision_in(predicate: &Value) -> Option<String> {
        let statement = serde_json::json!({
            "_type": "https://in-toto.io/Statement/v0.1",
            "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [{"name": "x", "digest": {"sha256": "a".repeat(64)}}],
            "predicate": predicate,
        });
        let read = Provenance::read(statement.to_string().as_bytes()).unwrap();
        assert_eq!(read.subjects.len(), 1);
        read.revision
    }

    #[test]
    fn the_commit_is_found_where_builders_write_it() {
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let git = |commit: &str| serde_json::json!({"uri": "git+https://git.example/a", "digest": {"sha1": commit}});
        for predicate in [
            serde_json::json!({"invocation": {"configSource": {"digest": {"sha1": commit}}}}),
            serde_json::json!({"metadata": {"https://mobyproject.org/buildkit@v1#metadata": {"vcs": {"revision": commit}}}}),
            serde_json::json!({"materials": [{"uri": "pkg:docker/a", "digest": {"sha256": "b"}}, git(commit)]}),
            serde_json::json!({"buildDefinition": {"resolvedDependencies": [
                {"uri": "git+https://git.example/a", "digest": {"gitCommit": commit}}]}}),
        ] {
            assert_eq!(revision_in(&predicate).as_deref(), Some(commit), "{predicate}");
        }
        let two = serde_json::json!({"materials": [git(commit), git("b")]});
        assert_eq!(revision_in(&two), None, "two sources name no one commit");
        assert_eq!(revision_in(&serde_json::json!({})), None);
        let fetched = serde_json::json!({
            "buildType": "https://mobyproject.org/buildkit@v1",
            "materials": [git(commit)],
        });
        assert_eq!(revision_in(&fetched), None, "what a Dockerfile fetched is not what was built");
    }

    #[test]
    fn other_statements_are_refused() {
        let sbom = br#"{"predicateType":"https://spdx.dev/Document","predicate":{}}"#;
        assert!(Provenance::read(sbom).unwrap_err().to_string().contains("spdx"));
        assert!(Provenance::read(b"{\"predicateType\":").unwrap_err().why.contains("middle"));
    }
}
