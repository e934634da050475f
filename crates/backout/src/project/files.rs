//! Reading files, each with a bound, and each with an error that says what to do.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use backout_core::document::{self, Document, FieldPath, Limits, Location, Problem, Unreadable};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Failure;

/// The path that stands for standard input.
pub(crate) const STDIN: &str = "-";

/// How messages name standard input.
const STDIN_NAME: &str = "<stdin>";

/// What a document is expected to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// Its kind, such as `Release`.
    pub(crate) kind: &'static str,
    /// What to do when it is of another kind.
    pub(crate) help: &'static str,
}

/// Reads a document from a file, or from standard input when the path is `-`.
///
/// # Errors
/// When the file cannot be opened, or is not a document of that kind.
pub(crate) fn document<T: DeserializeOwned>(
    path: &Path,
    expected: Expected,
) -> Result<Document<T>, Failure> {
    let limits = Limits::default();
    let (name, bytes) = if is_stdin(path) {
        (STDIN_NAME.to_owned(), at_most(io::stdin().lock(), limits.max_bytes))
    } else {
        (shown(path), bytes(path, limits.max_bytes))
    };
    let bytes = bytes.map_err(|source| Failure::File { path: name.clone(), source })?;
    parse(&name, &bytes, expected, &limits)
        .map_err(|unreadable| Failure::Document(Box::new(unreadable)))
}

fn parse<T: DeserializeOwned>(
    name: &str,
    bytes: &[u8],
    expected: Expected,
    limits: &Limits,
) -> Result<Document<T>, Unreadable> {
    if bytes.len() > limits.max_bytes {
        return Err(too_large(name, limits.max_bytes));
    }
    document::read(name, bytes, limits).map_err(|unreadable| {
        let other = other_kind(name, bytes, expected, limits);
        other.unwrap_or(unreadable)
    })
}

/// A document that was not read to its end, because it is larger than any that people write.
pub(super) fn too_large(name: &str, most: usize) -> Unreadable {
    let problem = Problem {
        path: None,
        location: Some(Location::START),
        message: format!("the file has more than {most} bytes"),
        expected: None,
        help: Some("check that this is the right file".to_owned()),
    };
    Unreadable { source_name: name.to_owned(), source: None, problems: vec![problem] }
}

/// When a document is of another kind, that is the one thing to say, and not which of its fields
/// are unknown.
fn other_kind(name: &str, bytes: &[u8], expected: Expected, limits: &Limits) -> Option<Unreadable> {
    #[derive(Deserialize)]
    struct Kinded {
        kind: String,
    }
    let document: Document<Kinded> = document::read(name, bytes, limits).ok()?;
    let found = &document.value.kind;
    if found == expected.kind {
        return None;
    }
    let path = FieldPath::root().key("kind");
    let problem = Problem {
        location: Some(document.map.nearest(&path)),
        path: Some(path),
        message: format!("this is a `{found}`, not a `{}`", expected.kind),
        expected: Some(format!("`{}`", expected.kind)),
        help: Some(expected.help.to_owned()),
    };
    Some(Unreadable {
        source_name: name.to_owned(),
        source: Some(document.source),
        problems: vec![problem],
    })
}

/// Reads a file; of one that is larger than `most`, one byte more than that.
///
/// # Errors
/// When it cannot be opened or is not a regular file: opening a pipe would wait for ever.
pub(super) fn bytes(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
    }
    if !metadata.is_file() {
        let message = "it is neither a file nor a directory, but a pipe, a device or a socket";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    at_most(File::open(path)?, most)
}

fn at_most(reader: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let most = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    reader.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a path stands for standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == STDIN
}

/// A path as its user would write it.
pub(crate) fn shown(path: &Path) -> String {
    let path: PathBuf =
        path.components().filter(|component| *component != Component::CurDir).collect();
    let text = path.to_string_lossy();
    if text.is_empty() { ".".to_owned() } else { text.into_owned() }
}

#[cfg(test)]
mod tests {
    use backout_core::release::Release;

    use super::*;

    const RELEASE: Expected = Expected { kind: "Release", help: "name a release" };

    fn problem(text: &[u8]) -> String {
        let limits = Limits { max_bytes: 200, ..Limits::default() };
        parse::<Release>("r.yaml", text, RELEASE, &limits).unwrap_err().to_string()
    }

    #[test]
    fn another_kind_is_said_before_its_fields() {
        let text = b"apiVersion: backout.dev/v1alpha1\nkind: ReleasePolicy\nspec: {strategy: {}}\n";
        assert_eq!(
            problem(text),
            "r.yaml:2:7: this is a `ReleasePolicy`, not a `Release`; expected `Release`; name a \
             release"
        );
    }

    #[test]
    fn the_right_kind_is_judged_by_its_fields() {
        let text = b"apiVersion: backout.dev/v1alpha1\nkind: Release\nspecs: {}\n";
        assert!(problem(text).contains("specs"), "{}", problem(text));
        assert!(problem(b"a: [").starts_with("r.yaml:1:"), "{}", problem(b"a: ["));
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read_to_its_end() {
        assert!(problem(&[b'a'; 201]).contains("more than 200 bytes"));
        assert_eq!(at_most(&[0; 100][..], 10).unwrap().len(), 11);
    }

    #[test]
    fn only_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let error = bytes(directory.path(), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        let error = bytes(&directory.path().join("absent"), 10).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn paths_are_shown_without_needless_dots() {
        for (path, text) in [("./a/b", "a/b"), ("a/./b/", "a/b"), (".", "."), ("../a", "../a")] {
            assert_eq!(shown(Path::new(path)), text);
        }
    }
}
