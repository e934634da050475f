//! A `.rs` file that no `mod` declares is compiled by nothing, and nothing says so.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;

use super::Report;
use crate::workspace::{members, read, tracked_files};

/// The folders whose files belong to targets, and the key that turns off finding them.
const TARGETS: &[(&str, Option<&str>)] =
    &[("src", None), ("tests", Some("autotests")), ("benches", Some("autobenches"))];

pub(super) fn none_forgotten() -> Result<Report> {
    let tracked = tracked_files()?;
    let mut seen = 0;
    let mut findings = Vec::new();
    for member in members()? {
        let manifest = read(member.join("Cargo.toml"))?;
        for (folder, key) in TARGETS {
            let files = rust_files(&tracked, &member.join(folder));
            let by_hand = key.is_some_and(|key| manifest.contains(&format!("{key} = false")));
            let mut roots = named_roots(&manifest, &member);
            if !by_hand {
                roots.extend(files.iter().filter(|file| is_found_by_cargo(&member, file)).cloned());
            }
            roots.retain(|root| files.contains(root));
            let reached = reach(roots, |path| files.contains(path).then(|| read(path)))?;
            seen += files.len();
            findings.extend(
                files
                    .difference(&reached)
                    .map(|file| format!("no `mod` declares {}", file.display())),
            );
        }
    }
    Ok(Report { looked_at: format!("{seen} files"), findings })
}

fn rust_files(tracked: &BTreeSet<PathBuf>, folder: &Path) -> BTreeSet<PathBuf> {
    let wanted =
        |path: &&PathBuf| path.starts_with(folder) && path.extension() == Some("rs".as_ref());
    tracked.iter().filter(wanted).cloned().collect()
}

/// Targets that the manifest names: `path = "tests/it/main.rs"`.
fn named_roots(manifest: &str, member: &Path) -> BTreeSet<PathBuf> {
    let paths = manifest.lines().filter_map(|line| {
        let path = line.trim().strip_prefix("path = \"")?.strip_suffix('"')?;
        path.ends_with(".rs").then(|| member.join(path))
    });
    paths.collect()
}

/// Whether Cargo makes a target of the file without being told.
fn is_found_by_cargo(member: &Path, file: &Path) -> bool {
    let inside = file.strip_prefix(member).unwrap_or(file);
    let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    matches!(
        parts.as_slice(),
        ["src", "lib.rs" | "main.rs"]
            | ["src", "bin", _]
            | ["src", "bin", _, "main.rs"]
            | ["tests" | "benches", _]
            | ["tests" | "benches", _, "main.rs"]
    )
}

/// Follows `mod` declarations from the roots of targets. `source` knows which files exist.
fn reach(
    roots: BTreeSet<PathBuf>,
    source: impl Fn(&Path) -> Option<Result<String>>,
) -> Result<BTreeSet<PathBuf>> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<(PathBuf, bool)> = roots.into_iter().map(|root| (root, true)).collect();
    while let Some((file, is_root)) = open.pop() {
        let Some(text) = source(&file) else { continue };
        for declared in declared_modules(&text?) {
            open.extend(candidates(&file, is_root, &declared).map(|path| (path, false)));
        }
        reached.insert(file);
    }
    Ok(reached)
}

/// A module that lives in another file: by its name, or by a path that an attribute gives.
#[derive(Debug, PartialEq)]
enum Declared {
    Named(String),
    At(String),
}

/// The declarations of a file, without those inside an inline module: none of ours has any.
fn declared_modules(text: &str) -> Vec<Declared> {
    let mut declared = Vec::new();
    let mut path = None;
    for line in text.lines().map(str::trim) {
        if let Some(given) = line.strip_prefix("#[path = \"").and_then(|l| l.strip_suffix("\"]")) {
            path = Some(given.to_owned());
        } else if let Some(name) = module_name(line).or_else(|| entered_name(line)) {
            declared
                .push(path.take().map_or_else(|| Declared::Named(name.to_owned()), Declared::At));
        }
    }
    declared
}

/// The name in `mod name;`, `pub mod name;` or `pub(crate) mod name;`.
fn module_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("mod ")?;
    let visibility = before.trim_end();
    let is_declaration = visibility.is_empty()
        || visibility == "pub"
        || (visibility.starts_with("pub(") && visibility.ends_with(')'));
    let name = after.split(';').next().filter(|name| name.len() < after.len())?.trim();
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_declaration && is_name).then_some(name)
}

/// The name in a line such as `disk_full::DiskFull,` of a list that a macro turns into modules.
fn entered_name(line: &str) -> Option<&str> {
    let (module, item) = line.strip_suffix(',')?.split_once("::")?;
    let snake = module.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let camel = item.starts_with(|c: char| c.is_ascii_uppercase())
        && item.chars().all(char::is_alphanumeric);
    (snake && camel && !module.is_empty()).then_some(module)
}

/// The files that a declaration can mean. At most one of them exists, or rustc refuses.
fn candidates(file: &Path, is_root: bool, declared: &Declared) -> impl Iterator<Item = PathBuf> {
    let beside = file.parent().unwrap_or(Path::new(""));
    let paths = match declared {
        Declared::At(path) => vec![normal(&beside.join(path))],
        Declared::Named(name) => {
            let owns_folder = is_root || file.ends_with("mod.rs");
            let folder = if owns_folder { beside.to_owned() } else { file.with_extension("") };
            vec![folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")]
        }
    };
    paths.into_iter()
}

/// The path without `..`, as Git would list it.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            normal.pop();
        } else {
            normal.push(part);
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as `path: content`, and those that no declaration reaches.
    fn forgotten(files: &[(&str, &str)]) -> Vec<String> {
        let roots = files.iter().map(|(path, _)| PathBuf::from(path));
        let roots = roots.filter(|path| is_found_by_cargo(Path::new("c"), path)).collect();
        let source = |path: &Path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path)?;
            Some(Ok(file.1.to_owned()))
        };
        let reached = reach(roots, source).unwrap();
        let names = files.iter().map(|(path, _)| *path);
        names.filter(|name| !reached.contains(Path::new(name))).map(str::to_owned).collect()
    }

    #[test]
    fn modules_are_followed_in_both_layouts() {
        let files = [
            ("c/src/lib.rs", "//! Docs.\nmod a;\npub mod b;\n"),
            ("c/src/a.rs", "pub(crate) mod x;\n#[cfg(test)]\nmod tests;\n"),
            ("c/src/a/x.rs", ""),
            ("c/src/a/tests.rs", ""),
            ("c/src/b/mod.rs", "pub(super) mod y; // why\n"),
            ("c/src/b/y.rs", ""),
            ("c/tests/it/main.rs", "mod plan;\n"),
            ("c/tests/it/plan.rs", "#[path = \"../shared/world.rs\"]\nmod world;\n"),
            ("c/tests/shared/world.rs", ""),
        ];
        assert_eq!(forgotten(&files), Vec::<String>::new());
    }

    #[test]
    fn a_list_of_a_macro_declares_modules() {
        assert_eq!(entered_name("disk_full::DiskFull,"), Some("disk_full"));
        for other in ["Fault::DiskFull,", "disk_full,", "a::b,", "use a::B;", "::B,"] {
            assert_eq!(entered_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_file_that_nothing_declares_is_forgotten() {
        let files = [
            ("c/src/main.rs", "// mod a;\nmod b {\n}\nlet x = \"mod c;\";\nmod d;\n"),
            ("c/src/a.rs", "mod a;\n"),
            ("c/src/b.rs", ""),
            ("c/src/c.rs", ""),
            ("c/src/d/e.rs", ""),
        ];
        assert_eq!(forgotten(&files), ["c/src/a.rs", "c/src/b.rs", "c/src/c.rs", "c/src/d/e.rs"]);
    }

    #[test]
    fn named_targets_are_roots() {
        let manifest = "[[test]]\nname = \"it\"\npath = \"tests/it/main.rs\"\n[dependencies]\n";
        let roots = named_roots(manifest, Path::new("c"));
        assert_eq!(roots, BTreeSet::from([PathBuf::from("c/tests/it/main.rs")]));
    }
}
