//! Lint settings that Cargo and Clippy would let a crate leave out.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, ensure};

use super::Report;
use super::dependencies::PURE;
use crate::workspace::{members, read};

pub(super) fn clippy_supersets() -> Result<Report> {
    let root = rules(&read("clippy.toml")?);
    ensure!(!root.is_empty(), "clippy.toml has no rules");
    let mut findings = Vec::new();
    for name in PURE {
        let path = format!("crates/{name}/clippy.toml");
        let own = rules(&read(&path)?);
        findings.extend(root.difference(&own).map(|rule| format!("{path} lacks `{rule}`")));
    }
    let looked_at = format!("{} rules in {} crates", root.len(), PURE.len());
    Ok(Report { looked_at, findings })
}

/// The rules of a clippy.toml: `key = value`, or `key: element` for each line of a list.
fn rules(text: &str) -> BTreeSet<String> {
    let mut rules = BTreeSet::new();
    let mut list = None;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "]" {
            list = None;
        } else if let Some(key) =
            line.strip_suffix('[').and_then(|key| key.trim().strip_suffix('='))
        {
            list = Some(key.trim());
        } else if let Some(key) = list {
            rules.insert(format!("{key}: {}", line.trim_end_matches(',')));
        } else {
            rules.insert(line.to_owned());
        }
    }
    rules
}

pub(super) fn unsafe_forbidden() -> Result<Report> {
    let mut findings = Vec::new();
    if !has(&read("Cargo.toml")?, "[workspace.lints.rust]", "unsafe_code = \"forbid\"") {
        findings.push("Cargo.toml does not forbid unsafe_code for the workspace".to_owned());
    }
    let members = members()?;
    for member in &members {
        let path = Path::new(member).join("Cargo.toml");
        if !has(&read(&path)?, "[lints]", "workspace = true") {
            findings.push(format!("{} lacks `[lints] workspace = true`", path.display()));
        }
    }
    Ok(Report { looked_at: format!("{} members", members.len()), findings })
}

/// Whether a TOML text has this line in this table.
fn has(toml: &str, table: &str, wanted: &str) -> bool {
    let mut lines = toml.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.any(|line| line == table)
        && lines.take_while(|line| !line.starts_with('[')).any(|line| line == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "\
# A comment.
limit = 70
methods = [
  # Another comment.
  { path = \"a::b\", reason = \"c\" },
]
";

    #[test]
    fn a_file_with_more_rules_is_a_superset() {
        let own = "methods = [\n  { path = \"x\" },\n  { path = \"a::b\", reason = \"c\" }\n]\nlimit = 70\n";
        assert!(rules(own).is_superset(&rules(ROOT)));
    }

    #[test]
    fn a_missing_changed_or_misplaced_rule_is_seen() {
        let rule = "{ path = \"a::b\", reason = \"c\" }";
        for own in [
            "limit = 70\n".to_owned(),
            format!("limit = 80\nmethods = [\n  {rule},\n]\n"),
            format!("limit = 70\ntypes = [\n  {rule},\n]\n"),
            format!("limit = 70\nmethods = [\n  # {rule},\n]\n"),
        ] {
            assert_eq!(rules(ROOT).difference(&rules(&own)).count(), 1, "{own}");
        }
    }

    #[test]
    fn a_line_counts_only_in_its_table() {
        let toml =
            "[package]\nworkspace = false\n\n[lints] # ours\nworkspace = true\n[other]\nx = 1\n";
        assert!(has(toml, "[lints]", "workspace = true"));
        assert!(!has(toml, "[package]", "workspace = true"));
        assert!(!has(toml, "[lints]", "x = 1"));
        assert!(!has(toml, "[absent]", "x = 1"));
    }
}
