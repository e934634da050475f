//! Files that policies and releases name.

use std::io::Read;
use std::path::{Path, PathBuf};

use backout_core::manifest::{self, Manifest};

/// The most files of a folder of manifests, and how deep it may be.
const MOST_FILES: usize = 2_000;
const DEEPEST: usize = 8;
/// What manifests' names end with.
const ENDS: &[&str] = &["json", "yaml", "yml"];

/// Finds what a policy names. It must lie in the project's folder, because only then does the
/// commit that holds the policy also hold what it was checked against.
pub(super) fn resolve(project: &Path, given: &str) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("`{given}`: {error}");
    let root = project.canonicalize().map_err(failed)?;
    let path = project.join(given).canonicalize().map_err(failed)?;
    if path.starts_with(&root) {
        Ok(path)
    } else {
        Err(format!("`{given}` leaves the project's folder; keep it beside the policy"))
    }
}

/// Reads a file of at most so many bytes. A pipe is no file: opening it would wait for ever.
pub(super) fn bytes(project: &Path, given: &str, most: usize) -> Result<Vec<u8>, String> {
    read(&resolve(project, given)?, given, most)
}

fn read(path: &Path, given: &str, most: usize) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("`{given}`: {error}");
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(format!("`{given}` is not a file"));
    }
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > most {
        return Err(format!("`{given}` has more than {most} bytes"));
    }
    Ok(bytes)
}

/// Reads the manifests of a file, or of all files of a folder and those below it, by name.
pub(super) fn manifests(project: &Path, given: &str) -> Result<Vec<Manifest>, String> {
    let path = resolve(project, given)?;
    let mut found = Vec::new();
    if path.is_dir() {
        list(&path, given.trim_end_matches('/'), DEEPEST, &mut found)?;
        if found.is_empty() {
            return Err(format!("`{given}` holds no manifests"));
        }
    } else {
        found.push((path, given.to_owned()));
    }
    let limits = manifest::limits();
    let mut room = limits.max_bytes;
    let mut all = Vec::new();
    for (path, shown) in found {
        let bytes = read(&path, &shown, room)?;
        room -= bytes.len();
        all.extend(manifest::read(&shown, &bytes, &limits).map_err(|error| error.to_string())?);
    }
    Ok(all)
}

fn list(
    folder: &Path,
    shown: &str,
    deeper: usize,
    found: &mut Vec<(PathBuf, String)>,
) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("`{shown}`: {error}");
    if deeper == 0 || found.len() > MOST_FILES {
        return Err(format!("`{shown}` holds too many files or folders to be manifests"));
    }
    let entries = std::fs::read_dir(folder).map_err(failed)?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let inner = format!("{shown}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            list(&path, &inner, deeper - 1, found)?;
        } else if path.extension().is_some_and(|end| ENDS.iter().any(|known| end == *known)) {
            if kind.is_symlink() {
                return Err(format!("`{inner}` is a symbolic link"));
            }
            found.push((path, inner));
        }
    }
    Ok(())
}
