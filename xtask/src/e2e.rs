//! Real clusters: the end-to-end scenarios, and a cluster to play with.

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Builds the end-to-end program and runs the named scenarios, or all.
pub(crate) fn scenarios(names: &[&str]) -> Result<()> {
    run(&[], "run", names)
}

/// Builds the end-to-end program and starts a cluster with the demo, until Ctrl-C.
pub(crate) fn cluster() -> Result<()> {
    run(&[], "cluster", &[])
}

/// Builds what is measured and what measures as they are shipped, and measures.
pub(crate) fn scale(arguments: &[&str]) -> Result<()> {
    run(&["--release"], "scale", arguments)
}

fn run(profile: &[&str], task: &str, arguments: &[&str]) -> Result<()> {
    let mut cargo = workspace::cargo();
    cargo.args(["run", "--quiet", "--locked", "--package", "backout-e2e"]).args(profile);
    cargo.args(["--", task]).args(arguments);
    let status = cargo.status().context("cannot start cargo")?;
    if status.success() { Ok(()) } else { bail!("`backout-e2e {task}` failed") }
}
