//! Namespaces of our own: nothing of a cluster is visible outside, and nothing is left over.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command as Blocking;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

/// Addresses of pods, local inside.
pub const POD_RANGE: &str = "10.244.0.0/16";
/// Addresses of Services, local inside.
pub const SERVICE_RANGE: &str = "10.96.0.0/16";

/// A command that runs this same program, with these arguments, in namespaces of its own.
///
/// Everything inside is killed when the program inside ends, when `unshare` is killed, and when
/// we die: the process namespace ends with its first process.
///
/// # Errors
/// This program's own path is unknown.
pub fn command(arguments: &[OsString]) -> Result<Command> {
    let program = std::env::current_exe().context("cannot tell which program this is")?;
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork"]);
    command.arg("--kill-child");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command.arg(program).args(arguments);
    Ok(command)
}

/// Whether we may make namespaces without one for users.
fn is_root() -> bool {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = text.lines().find_map(|line| line.strip_prefix("Uid:"));
    effective.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

/// Prepares the inside: loopback, local address ranges, and a `/proc` of its own. Returns our
/// process id as the outside sees it, which `nsenter` needs.
///
/// # Errors
/// We are not inside, or a tool is missing or refuses.
pub fn enter() -> Result<u32> {
    ensure!(
        std::process::id() == 1,
        "this runs only as the first process of namespaces of its own; start it without `inside`"
    );
    // The mounted /proc is still the outside's, so that it knows us by the outside's number.
    let outside = std::fs::read_link("/proc/self")
        .ok()
        .and_then(|link| link.to_str().and_then(|id| id.parse().ok()))
        .context("cannot read /proc/self")?;
    run("mount", &["-t", "proc", "proc", "/proc"])?;
    run("ip", &["link", "set", "lo", "up"])?;
    run("ip", &["route", "add", "local", POD_RANGE, "dev", "lo"])?;
    run("ip", &["route", "add", "local", SERVICE_RANGE, "dev", "lo"])?;
    Ok(outside)
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Blocking::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot run {program}; packages util-linux and iproute2"))?;
    ensure!(
        output.status.success(),
        "`{program} {}` failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim_end()
    );
    Ok(())
}

/// The first executable file of this name in `PATH` and the folders where Debian and Go put
/// programs.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/go/bin"];
    std::env::split_paths(&path)
        .chain(usual.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
