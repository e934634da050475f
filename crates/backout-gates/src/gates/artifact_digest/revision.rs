//! Which commit an image was built from, and how far that can be believed.

use super::evidence::{Artifact, Evidence, Git, PlatformArtifact};
use super::ladder::Cause;
use crate::oci::Lookup;

/// Shorter names of commits are not accepted: Git itself never makes them.
const SHORTEST: usize = 7;

/// Why two images with different content differ: rows 8, 9 and 10 of the ladder.
///
/// The commit of an image is established when its label, its annotation and its provenance, those
/// of them that there are, agree, and Git, if it was asked, knows the commit.
pub(super) fn cause(
    evidence: &Evidence,
    built: &PlatformArtifact,
    actual: &PlatformArtifact,
) -> Cause {
    let claimed = match established(evidence, actual) {
        Ok(claimed) => claimed,
        Err(why) => return Cause::LabelUntrusted { why },
    };
    let recorded = evidence.recorded.revision.as_deref();
    let own = || built.attested_revision().or_else(|| built.labelled_revisions().next());
    let Some(expected) = recorded.or_else(own) else {
        let why = "neither the record nor the recorded image says which commit was built, so that \
                   nothing confirms the one that this image names";
        return Cause::LabelUntrusted { why: why.to_owned() };
    };
    let git = evidence.git.get(claimed);
    if is_same(expected, claimed) || git == Some(&Git::Same) {
        let vouched = actual.attested_revision().is_some_and(|named| is_same(expected, named));
        return Cause::NonReproducibleRebuild { revision: expected.to_owned(), vouched };
    }
    Cause::WrongCommit {
        expected: expected.to_owned(),
        found: claimed.to_owned(),
        git: git.cloned(),
    }
}

/// The commit that an image was built from, or why what it says cannot be believed.
fn established<'a>(evidence: &Evidence, image: &'a PlatformArtifact) -> Result<&'a str, String> {
    let labels: Vec<&str> = image.labelled_revisions().collect();
    let attested = image.attested_revision();
    let Some(claimed) = attested.or_else(|| labels.first().copied()) else {
        return Err("it names no commit: it has no label \
                    org.opencontainers.image.revision and no provenance"
            .to_owned());
    };
    if let Some(odd) = labels.iter().find(|label| !is_commit(label)) {
        return Err(format!("its label names `{}`, which is no commit", shown(odd)));
    }
    if !is_commit(claimed) {
        return Err(format!("its provenance names `{}`, which is no commit", shown(claimed)));
    }
    if let Some(other) = labels.iter().find(|label| !is_same(label, claimed)) {
        let who = if attested.is_some() { "its provenance" } else { "its label" };
        return Err(format!("its {} says {other}, and {who} says {claimed}", label_word(attested)));
    }
    match evidence.git.get(claimed) {
        Some(Git::Unknown) => Err(format!("it names commit {claimed}, which Git does not know")),
        Some(Git::Ambiguous) => Err(format!("more than one commit begins with {claimed}")),
        _ => Ok(claimed),
    }
}

const fn label_word(attested: Option<&str>) -> &'static str {
    if attested.is_some() { "label" } else { "annotation" }
}

/// Whether two names mean the same commit: equal, or one the beginning of the other.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    let (short, long) = if one.len() <= other.len() { (&one, &other) } else { (&other, &one) };
    short.len() >= SHORTEST && is_commit(short) && long.starts_with(short.as_str())
}

/// Whether a text can be a commit: up to 40 hexadecimal digits, or 64 in a repository that uses
/// SHA-256.
fn is_commit(text: &str) -> bool {
    let length = text.len();
    ((SHORTEST..=40).contains(&length) || length == 64)
        && text.chars().all(|c| c.is_ascii_hexdigit())
}

fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

/// The commit that an artifact's images name, for words.
pub(super) fn named(artifact: &Artifact) -> Option<&str> {
    artifact.images.iter().find_map(|(_, image)| match image {
        Lookup::Found(image) => {
            image.attested_revision().or_else(|| image.labelled_revisions().next())
        }
        Lookup::Absent | Lookup::Failed(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_of_commits_are_their_beginning() {
        let long = "0123456789abcdef0123456789abcdef01234567";
        assert!(is_same(long, "0123456") && is_same("0123456789AB", long) && is_same(long, long));
        assert!(!is_same(long, "012345"), "too short");
        assert!(!is_same(long, "1123456") && !is_same(long, "") && !is_same("", ""));
        assert!(is_commit(&"a".repeat(64)), "a repository with SHA-256");
        assert!(!is_commit(&"a".repeat(50)) && !is_commit("latest-build"));
    }
}
