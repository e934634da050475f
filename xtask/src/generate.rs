//! `cargo xtask generate`: files that are written from the code and committed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::{cargo, output_of, root};

/// Each generated file and the arguments that make `backout` print it.
const GENERATED: &[(&str, &[&str])] = &[
    (
        "charts/backout/files/admission-policy.yaml",
        &["install", "--object", "ValidatingAdmissionPolicy/backout-quarantine"],
    ),
    ("charts/backout/files/crds/quarantine.yaml", &["install", "--definition", "Quarantine"]),
    (
        "charts/backout/files/crds/release-policy.yaml",
        &["install", "--definition", "ReleasePolicy"],
    ),
    ("charts/backout/files/crds/release.yaml", &["install", "--definition", "Release"]),
    (
        "charts/backout/files/permissions/controller.yaml",
        &["install", "--cluster-wide", "--object", "ClusterRole/backout-controller"],
    ),
    (
        "charts/backout/files/permissions/operator.yaml",
        &["install", "--object", "ClusterRole/backout-operator"],
    ),
    (
        "charts/backout/files/permissions/viewer.yaml",
        &["install", "--object", "ClusterRole/backout-viewer"],
    ),
    ("docs/exit-codes.md", &["help-page", "exit-codes"]),
    ("docs/faults.md", &["help-page", "faults"]),
    ("docs/oracles.md", &["help-page", "oracles"]),
    ("schemas/release-policy.schema.json", &["schema", "ReleasePolicy"]),
    ("schemas/release.schema.json", &["schema", "Release"]),
    ("schemas/scenario.schema.json", &["schema", "Scenario"]),
    ("schemas/world.schema.json", &["schema", "World"]),
];

/// Folders in which every file is generated.
const GENERATED_ONLY: &[&str] =
    &["charts/backout/files/crds", "charts/backout/files/permissions", "schemas"];

/// Writes every file of the table.
pub(crate) fn write() -> Result<()> {
    build()?;
    for (path, args) in GENERATED {
        let content = print(args)?;
        let target = root().join(path);
        if std::fs::read(&target).is_ok_and(|old| old == content) {
            println!("same    {path}");
            continue;
        }
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {path}"))?;
        }
        std::fs::write(&target, content).with_context(|| format!("cannot write {path}"))?;
        println!("written {path}");
    }
    no_strangers()
}

/// Fails when a file of the table is not what the code prints today.
pub(crate) fn check() -> Result<()> {
    build()?;
    let mut differing = Vec::new();
    for (path, args) in GENERATED {
        let content = print(args)?;
        if !std::fs::read(root().join(path)).is_ok_and(|old| old == content) {
            differing.push(*path);
        }
    }
    if !differing.is_empty() {
        let list = differing.join("\n  ");
        bail!("out of date:\n  {list}\nRun `cargo xtask generate` and commit the result.");
    }
    no_strangers()?;
    println!("{} generated files are up to date", GENERATED.len());
    Ok(())
}

/// Builds first and with its progress shown, so that `print` only runs.
fn build() -> Result<()> {
    let status = cargo()
        .args(["build", "--quiet", "--package", "backout"])
        .status()
        .context("cannot start `cargo build`")?;
    ensure!(status.success(), "`cargo build --package backout`: {status}");
    Ok(())
}

fn print(args: &[&str]) -> Result<Vec<u8>> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--package", "backout", "--"]).args(args);
    let content = output_of(&mut command)?;
    ensure!(!content.is_empty(), "`backout {}` printed nothing", args.join(" "));
    Ok(content)
}

/// A file in a generated folder that nothing generates was renamed or dropped in the code.
fn no_strangers() -> Result<()> {
    let mut found = BTreeSet::new();
    for folder in GENERATED_ONLY {
        let entries = std::fs::read_dir(root().join(folder));
        for entry in entries.with_context(|| format!("cannot list {folder}"))? {
            found.insert(Path::new(folder).join(entry?.file_name()));
        }
    }
    let strangers = strangers(&found);
    ensure!(strangers.is_empty(), "nothing generates {strangers:?}: remove it");
    Ok(())
}

fn strangers(found: &BTreeSet<PathBuf>) -> Vec<&Path> {
    let known = |path: &Path| GENERATED.iter().any(|(generated, _)| Path::new(generated) == path);
    found.iter().map(PathBuf::as_path).filter(|path| !known(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_no_file_twice() {
        assert!(GENERATED.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_file_that_nothing_generates_is_found() {
        let found = ["schemas/world.schema.json", "schemas/worls.schema.json"].map(PathBuf::from);
        let found = BTreeSet::from(found);
        assert_eq!(strangers(&found), [Path::new("schemas/worls.schema.json")]);
    }
}
