//! `cargo xtask docker-registry`: the registry that images are read from in tests.
//!
//! It is the machine's own, or is unpacked from Debian's package into the user's cache folder:
//! nothing is installed, and no service starts.
//! `BACKOUT_DOCKER_REGISTRY="$(cargo xtask docker-registry)" cargo test` uses it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::helm::cache;
use crate::workspace::output_of;

/// The variable that names it to the tests, which fail without it when this is set.
pub(crate) const VARIABLE: &str = "BACKOUT_DOCKER_REGISTRY";

/// The name of the program and of Debian's package.
const NAME: &str = "docker-registry";

/// Prints the path of the registry, and gets it first if it is not there.
pub(crate) fn run() -> Result<()> {
    println!("{}", prepare()?.display());
    Ok(())
}

/// The registry's program. A second run waits until the first is done.
pub(crate) fn prepare() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return Ok(PathBuf::from(named));
    }
    if let Some(found) = in_path() {
        return Ok(found);
    }
    let cache = cache()?;
    let folder = cache.join("debian").join(NAME);
    let file = folder.join("usr/bin").join(NAME);
    if file.is_file() {
        return Ok(file);
    }
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("cannot make the folder {}", cache.display()))?;
    let lock =
        File::create(cache.join("docker-registry.lock")).context("cannot make a lock file")?;
    lock.lock().context("cannot lock the cache folder")?;
    if !file.is_file() {
        unpack(&cache, &folder)?;
    }
    ensure!(file.is_file(), "Debian's package {NAME} has no program {NAME}");
    Ok(file)
}

fn in_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(NAME)).find(|file| file.is_file())
}

fn unpack(cache: &Path, folder: &Path) -> Result<()> {
    let scratch = cache.join("docker-registry.unfinished");
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch).context("cannot empty a folder")?;
    }
    std::fs::create_dir_all(&scratch).context("cannot make a folder")?;
    let download = || {
        let mut apt = Command::new("apt-get");
        apt.current_dir(&scratch).args(["-o", "APT::Sandbox::User=root", "download", NAME]);
        output_of(&mut apt)
    };
    if download().is_err() {
        output_of(Command::new("apt-get").arg("update"))
            .context("the registry is Debian's package docker-registry: install it yourself")?;
        download()?;
    }
    let mut files = std::fs::read_dir(&scratch).context("cannot list a folder")?;
    let package = files.next().context("nothing was downloaded")??.path();
    let unpacked = scratch.join("unpacked");
    output_of(Command::new("dpkg-deb").arg("--extract").arg(package).arg(&unpacked))?;
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above).context("cannot make a folder")?;
    }
    std::fs::rename(&unpacked, folder).context("cannot put the registry in its place")?;
    std::fs::remove_dir_all(&scratch).context("cannot remove a folder")
}
