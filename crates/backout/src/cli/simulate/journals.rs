//! Journals on disk: a header line, then one line per entry.

use std::path::Path;

use backout_sim::rehearse::Rehearsed;

use crate::error::Failure;
use crate::project::files;

/// Writes the journal of one run to a file, and those of several into a directory.
pub(super) fn write(path: &Path, rows: &[Rehearsed]) -> Result<(), Failure> {
    match rows {
        [only] if !path.is_dir() => write_file(path, only),
        _ => rows.iter().try_for_each(|row| write_file(&path.join(file_name(&row.name)), row)),
    }
}

/// Names of faults and scenarios are names of objects: no slash can be in them.
fn file_name(run: &str) -> String {
    format!("{run}.jsonl")
}

fn write_file(path: &Path, row: &Rehearsed) -> Result<(), Failure> {
    let text = text(row).map_err(|error| unwritten(path, error.into()))?;
    put(path, &text)
}

/// Writes a file, in a directory that is made if it is not there.
pub(super) fn put(path: &Path, text: &str) -> Result<(), Failure> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    made.and_then(|()| std::fs::write(path, text)).map_err(|source| unwritten(path, source))
}

fn text(row: &Rehearsed) -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string(&row.header)?;
    text.push('\n');
    for entry in row.journal() {
        text.push_str(&serde_json::to_string(entry)?);
        text.push('\n');
    }
    Ok(text)
}

fn unwritten(path: &Path, source: std::io::Error) -> Failure {
    Failure::Write { path: files::shown(path), source }
}
