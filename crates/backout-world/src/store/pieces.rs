//! Pieces of a run: their names, and the lines of the journal.

use backout_core::journal::Entry;
use backout_core::units::Digest;

use super::unreadable;
use crate::failure::Failure;

/// Name of a piece: after the run, what it holds, and a hash of its content.
pub(super) fn piece_name(run: &str, key: &str, text: &str) -> String {
    let digest = Digest::of_bytes(text.as_bytes());
    let hash = digest.hex().get(..12).unwrap_or_default();
    format!("backout-run-{run}-{key}-{hash}")
}

/// Entries as lines.
pub(super) fn lines(entries: &[Entry]) -> Result<String, Failure> {
    let mut text = String::new();
    for entry in entries {
        text.push_str(&super::text(entry)?);
        text.push('\n');
    }
    Ok(text)
}

/// The entries of a text.
pub(super) fn parsed_lines(
    told: &str,
    text: &str,
    entries: &mut Vec<Entry>,
) -> Result<(), Failure> {
    for line in text.lines() {
        entries.push(serde_json::from_str(line).map_err(|error| unreadable(told, &error))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_contents_apart() {
        assert_ne!(piece_name("a", "journal", "x"), piece_name("a", "journal", "y"));
        assert_eq!(piece_name("a", "journal", "x"), piece_name("a", "journal", "x"));
    }
}
