//! `cargo xtask new-fault`, `new-oracle` and `new-traffic`: new files from templates, wired at the
//! markers.
//!
//! A marker is a comment in the source that names the list which follows it and the line that a
//! new member gets there:
//!
//! ```text
//! // xtask:faults mod {snake};
//! mod error_rate;
//! mod slow_start;
//! ```
//!
//! `{snake}`, `{kebab}`, `{camel}`, `{upper}` and `{words}` stand for the new name. A marker
//! without a line stands for `mod {snake};`. The list ends at a blank line or where the
//! indentation decreases.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{read, root, tracked_files};

/// What can be added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Something that goes wrong in the virtual world.
    Fault,
    /// Something that must hold after every event.
    Oracle,
    /// A kind of object that moves traffic, and its entry in the contract's tests.
    Traffic,
}

impl Kind {
    /// What the markers say.
    fn word(self) -> &'static str {
        match self {
            Self::Fault => "faults",
            Self::Oracle => "oracles",
            Self::Traffic => "traffic",
        }
    }

    /// The new files: their folders and templates.
    fn files(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Fault => {
                &[("crates/backout-sim/src/faults", include_str!("../templates/fault.rs.txt"))]
            }
            Self::Oracle => {
                &[("crates/backout-sim/src/oracles", include_str!("../templates/oracle.rs.txt"))]
            }
            Self::Traffic => &[
                ("crates/backout-world/src/traffic", include_str!("../templates/traffic.rs.txt")),
                (
                    "crates/backout-world/tests/it/traffic",
                    include_str!("../templates/traffic_contract.rs.txt"),
                ),
            ],
        }
    }

    /// Where markers are.
    fn sources(self) -> &'static [&'static str] {
        match self {
            Self::Fault | Self::Oracle => &["crates/backout-sim/src"],
            Self::Traffic => &[
                "crates/backout-core/src/policy",
                "crates/backout-world/src/traffic",
                "crates/backout-world/tests/it/traffic",
            ],
        }
    }

    /// What to do when the files are written.
    fn next(self) -> &'static str {
        match self {
            Self::Fault | Self::Oracle => "then run `cargo xtask generate`",
            Self::Traffic => {
                "give the new `RouteKind` its docs, then run `cargo xtask generate` and the \
                 contract's tests on a real API server"
            }
        }
    }
}

/// Writes the new files and a line at each marker. Everything is worked out before the first
/// file is written.
pub(crate) fn run(kind: Kind, name: &str) -> Result<()> {
    let name = Name::parse(name)?;
    let mut changes = Vec::new();
    for (folder, template) in kind.files() {
        let file = Path::new(folder).join(format!("{}.rs", name.snake()));
        ensure!(!root().join(&file).exists(), "{} exists already", file.display());
        changes.push((file, name.fill(template)));
    }
    let new: Vec<String> = changes.iter().map(|(file, _)| file.display().to_string()).collect();
    for path in sources(kind)? {
        if let Some(changed) = insert_at_markers(&read(&path)?, kind, &name)? {
            changes.push((path, changed));
        }
    }
    let searched = kind.sources().join(" and ");
    ensure!(changes.len() > new.len(), "no `{}` marker under {searched}", marker(kind));

    for (path, content) in changes {
        let target = root().join(&path);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        std::fs::write(target, content)
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("written {}", path.display());
    }
    println!("Next: fill in {}, {}.", new.join(" and "), kind.next());
    Ok(())
}

fn sources(kind: Kind) -> Result<BTreeSet<PathBuf>> {
    let mut files = tracked_files()?;
    files.retain(|path| {
        let is_below = kind.sources().iter().any(|source| path.starts_with(source));
        is_below && path.extension().is_some_and(|extension| extension == "rs")
    });
    Ok(files)
}

fn marker(kind: Kind) -> String {
    format!("// xtask:{}", kind.word())
}

/// Returns the text with a line added to the list after each marker, or `None` if there is no
/// marker of this kind.
fn insert_at_markers(text: &str, kind: Kind, name: &Name) -> Result<Option<String>> {
    let marker = marker(kind);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut found = false;
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].clone();
        at += 1;
        let Some(template) = line.trim_start().strip_prefix(&marker) else { continue };
        if !template.is_empty() && !template.starts_with(' ') {
            continue;
        }
        found = true;
        let template = if template.trim().is_empty() { "mod {snake};" } else { template.trim() };
        let indent = indent_of(&line);
        let new = format!("{}{}", &line[..indent], name.fill(template));
        let list = list_after(&lines[at..], indent);
        ensure!(!list.contains(&new), "`{}` is listed already", new.trim());
        let offset = place(list, indent, &new);
        lines.insert(at + offset, new);
    }
    Ok(found.then(|| lines.join("\n") + "\n"))
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The lines up to the next blank line or lesser indentation.
fn list_after(lines: &[String], indent: usize) -> &[String] {
    let ends = |line: &String| {
        line.trim().is_empty()
            || indent_of(line) < indent
            || (indent == 0 && line.starts_with(['}', ')', ']']))
    };
    let end = lines.iter().position(ends).unwrap_or(lines.len());
    &lines[..end]
}

/// Where in a list a new line belongs: sorted if the list is sorted, and otherwise last, because
/// then its order has a meaning.
fn place(list: &[String], indent: usize, new: &str) -> usize {
    let entries = entries(list, indent);
    if !entries.is_sorted_by_key(|(_, key)| *key) {
        return list.len();
    }
    entries.iter().find(|(_, key)| *key > new).map_or(list.len(), |(start, _)| *start)
}

/// The first line of each entry and the line to sort it by. Comments and attributes belong to
/// the entry after them; deeper lines and closing brackets to the entry before them.
fn entries(list: &[String], indent: usize) -> Vec<(usize, &str)> {
    let mut entries = Vec::new();
    let mut start = None;
    for (at, line) in list.iter().enumerate() {
        let content = line.trim_start();
        if indent_of(line) > indent || content.starts_with(['}', ')', ']']) {
            continue;
        }
        let first = *start.get_or_insert(at);
        if !content.starts_with("//") && !content.starts_with("#[") {
            entries.push((first, line.as_str()));
            start = None;
        }
    }
    entries
}

/// A name in lower-case words.
struct Name(Vec<String>);

impl Name {
    /// Accepts `slow-start` and `slow_start`.
    fn parse(text: &str) -> Result<Self> {
        let words: Vec<String> = text.split(['-', '_']).map(str::to_owned).collect();
        let well_formed = |word: &String| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        };
        let starts_with_letter = text.starts_with(|c: char| c.is_ascii_lowercase());
        if !starts_with_letter || !words.iter().all(well_formed) {
            bail!("ill-formed name `{text}`: write lower-case words, like `slow-start`");
        }
        if RESERVED.contains(&text) {
            bail!("`{text}` has a meaning in Rust or in this folder: choose another name");
        }
        Ok(Self(words))
    }

    fn snake(&self) -> String {
        self.0.join("_")
    }

    fn camel(&self) -> String {
        self.0.iter().map(|word| word[..1].to_uppercase() + &word[1..]).collect()
    }

    fn fill(&self, template: &str) -> String {
        template
            .replace("{snake}", &self.snake())
            .replace("{kebab}", &self.0.join("-"))
            .replace("{camel}", &self.camel())
            .replace("{upper}", &self.snake().to_uppercase())
            .replace("{words}", &self.0.join(" "))
    }
}

const RESERVED: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "lib", "loop", "macro", "main", "match", "mod", "move", "mut", "override", "priv",
    "pub", "ref", "return", "self", "static", "struct", "super", "tests", "trait", "true", "try",
    "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(text: &str, name: &str) -> String {
        let name = Name::parse(name).unwrap();
        insert_at_markers(text, Kind::Fault, &name).unwrap().expect("a marker")
    }

    #[test]
    fn a_new_line_keeps_the_order() {
        let text = "//! Faults.\n\n// xtask:faults\nmod error_rate;\nmod slow_start;\n\nuse x;\n";
        for (name, expected) in [
            ("cold-target", "mod cold_target;\nmod error_rate;\nmod slow_start;"),
            ("missing-image", "mod error_rate;\nmod missing_image;\nmod slow_start;"),
            ("two-actors", "mod error_rate;\nmod slow_start;\nmod two_actors;"),
        ] {
            let expected = format!("//! Faults.\n\n// xtask:faults\n{expected}\n\nuse x;\n");
            assert_eq!(insert(text, name), expected);
        }
    }

    #[test]
    fn an_empty_list_gets_its_first_line() {
        assert_eq!(insert("// xtask:faults\n", "one"), "// xtask:faults\nmod one;\n");
        assert_eq!(
            insert("const ALL: &[F] = &[\n    // xtask:faults {snake}::FAULT,\n];\n", "one"),
            "const ALL: &[F] = &[\n    // xtask:faults {snake}::FAULT,\n    one::FAULT,\n];\n"
        );
    }

    #[test]
    fn each_marker_says_what_is_written() {
        let text = "\
enum Fault {
    // xtask:faults {camel}({snake}::{camel}),
    /// Requests fail.
    ErrorRate(error_rate::ErrorRate),
    /// Pods are slow.
    #[serde(rename = \"slow\")]
    SlowStart(slow_start::SlowStart),
}
fn name(fault: &Fault) -> &str {
    match fault {
        // xtask:faults Fault::{camel}(_) => \"{kebab}\",
        Fault::ErrorRate(_) => \"error-rate\",
        Fault::SlowStart(_) => {
            \"slow-start\"
        }
    }
}
";
        let expected = text
            .replace("    /// Pods", "    MissingImage(missing_image::MissingImage),\n    /// Pods")
            .replace(
                "        Fault::Slow",
                "        Fault::MissingImage(_) => \"missing-image\",\n        Fault::Slow",
            );
        assert_eq!(insert(text, "missing-image"), expected);
    }

    #[test]
    fn an_unsorted_list_grows_at_its_end() {
        let text = "// xtask:faults\nmod z;\nmod a;\n";
        assert_eq!(insert(text, "m"), "// xtask:faults\nmod z;\nmod a;\nmod m;\n");
    }

    #[test]
    fn other_markers_are_left_alone() {
        let name = Name::parse("one").unwrap();
        for text in ["// xtask:oracles\n", "// xtask:faults-of-others\n", "mod a;\n", ""] {
            assert!(insert_at_markers(text, Kind::Fault, &name).unwrap().is_none(), "{text}");
        }
    }

    #[test]
    fn a_line_is_not_written_twice() {
        let name = Name::parse("one").unwrap();
        let error = insert_at_markers("// xtask:faults\nmod one;\n", Kind::Fault, &name);
        assert_eq!(error.unwrap_err().to_string(), "`mod one;` is listed already");
    }

    #[test]
    fn names_are_lower_case_words() {
        for good in ["a", "slow-start", "slow_start", "s1-no-ready-endpoint", "http2"] {
            assert!(Name::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-", "a-", "-a", "a--b", "Slow", "1st", "a b", "a/b", "../a", "é", "a.rs"]
        {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
        for reserved in ["mod", "tests", "match"] {
            assert!(Name::parse(reserved).is_err(), "{reserved}");
        }
    }

    #[test]
    fn a_template_is_filled_with_every_form_of_the_name() {
        let name = Name::parse("slow-start").unwrap();
        let filled = name.fill("{snake} {kebab} {camel} {upper} {words} {other}");
        assert_eq!(filled, "slow_start slow-start SlowStart SLOW_START slow start {other}");
        for kind in [Kind::Fault, Kind::Oracle, Kind::Traffic] {
            for (_, template) in kind.files() {
                let filled = name.fill(template);
                assert!(filled.contains("slow") && !filled.contains("{snake}"), "{filled}");
            }
        }
    }

    #[test]
    fn every_kind_has_markers_that_can_be_followed() {
        let name = Name::parse("very-new").unwrap();
        for (kind, expected) in [(Kind::Fault, 1), (Kind::Oracle, 1), (Kind::Traffic, 6)] {
            let mut lines = 0;
            for path in sources(kind).unwrap() {
                let text = read(&path).unwrap();
                if let Some(changed) = insert_at_markers(&text, kind, &name).unwrap() {
                    lines += changed.lines().count() - text.lines().count();
                }
            }
            assert_eq!(lines, expected, "{kind:?}");
        }
    }

    #[test]
    fn the_reserved_words_are_sorted() {
        assert!(RESERVED.is_sorted());
    }
}
