//! `cargo xtask conftest`: the conftest that our answers on Rego policies are compared with.
//!
//! It is built and kept as Helm is, see [`crate::helm`]. `cargo xtask test` gives it to the tests.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::helm::{cache, go};
use crate::workspace::output_of;

/// The version that is built. What it answers is in `crates/backout-admission/tests/rego`.
const VERSION: &str = "0.71.1";

/// The variable that names the program for the tests.
pub(crate) const VARIABLE: &str = "BACKOUT_CONFTEST";

/// Prints the path of conftest, and builds it first if it is not there.
pub(crate) fn run() -> Result<()> {
    println!("{}", prepare()?.display());
    Ok(())
}

/// The path of conftest. A second run waits until the first is done.
pub(crate) fn prepare() -> Result<PathBuf> {
    let cache = cache()?;
    let file = cache.join(format!("conftest-{VERSION}"));
    if file.is_file() {
        return Ok(file);
    }
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("cannot make the folder {}", cache.display()))?;
    let lock = File::create(cache.join("conftest.lock")).context("cannot make a lock file")?;
    lock.lock().context("cannot lock the cache folder")?;
    if file.is_file() {
        return Ok(file);
    }
    let unfinished = cache.join("conftest.unfinished");
    let mut go = Command::new(go(&cache)?);
    go.env("GOBIN", &unfinished).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "auto");
    go.current_dir(&cache).args(["install", "-trimpath", "-ldflags", "-s -w"]);
    go.arg(format!("github.com/open-policy-agent/conftest@v{VERSION}"));
    output_of(&mut go)
        .context("conftest is built by Go, 1.21 or newer: `apt-get install golang-go`")?;
    std::fs::rename(unfinished.join("conftest"), &file).context("cannot put it in its place")?;
    Ok(file)
}
