//! `cargo xtask helm`: the Helm that the chart is tested with.
//!
//! It is built by Go from its module, into the user's cache folder, so that every checkout of a
//! machine shares it. `BACKOUT_HELM="$(cargo xtask helm)" cargo test` uses it.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::output_of;

/// The version that is built.
const VERSION: &str = "3.22.0";

/// Prints the path of Helm, and builds it first if it is not there.
pub(crate) fn run() -> Result<()> {
    println!("{}", prepare()?.display());
    Ok(())
}

/// A second run waits until the first is done.
fn prepare() -> Result<PathBuf> {
    let cache = cache()?;
    let file = cache.join(format!("helm-{VERSION}"));
    if file.is_file() {
        return Ok(file);
    }
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("cannot make the folder {}", cache.display()))?;
    let lock = File::create(cache.join("helm.lock")).context("cannot make a lock file")?;
    lock.lock().context("cannot lock the cache folder")?;
    if file.is_file() {
        return Ok(file);
    }
    let unfinished = cache.join("helm.unfinished");
    let mut go = Command::new("go");
    go.env("GOBIN", &unfinished).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "auto");
    go.current_dir(&cache).args(["install", "-trimpath", "-ldflags", "-s -w"]);
    go.arg(format!("helm.sh/helm/v3/cmd/helm@v{VERSION}"));
    output_of(&mut go)
        .context("Helm is built by Go, 1.21 or newer: `apt-get install golang-go`")?;
    std::fs::rename(unfinished.join("helm"), &file).context("cannot put Helm in its place")?;
    Ok(file)
}

/// The user's cache folder for the tools of tests.
fn cache() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let user = match (variable("XDG_CACHE_HOME"), variable("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache"),
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME is set"),
    };
    Ok(user.join("backout-e2e"))
}
