//! Where the workspace is, what is in it, and how to run programs in it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask is a folder of the workspace")
}

/// The cargo that runs this program, in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(program);
    command.current_dir(root());
    // What cargo told this program about its own package is not meant for others: build scripts
    // that look at it would run again, and everything after them would be built again.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a command and returns what it printed. It is an error if the command fails.
pub(crate) fn output_of(command: &mut Command) -> Result<Vec<u8>> {
    let shown = shown(command);
    let output = command.output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}`: {}\n{}", output.status, stderr.trim_end());
    }
    Ok(output.stdout)
}

/// A command as a person would type it, without the path of the program.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_stem().unwrap_or_default();
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// The text of a file, by its path from the root of the workspace.
pub(crate) fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    std::fs::read_to_string(root().join(path))
        .with_context(|| format!("cannot read {}", path.display()))
}

/// Every file that Git tracks or would track, by its path from the root. Files that are not
/// added yet are among them, so that a check fails before the commit and not after it.
pub(crate) fn tracked_files() -> Result<BTreeSet<PathBuf>> {
    let safe = format!("safe.directory={}", root().display());
    let mut git = Command::new("git");
    git.current_dir(root()).args(["-c", &safe, "ls-files", "-z"]);
    git.args(["--cached", "--others", "--exclude-standard"]);
    let listed = String::from_utf8(output_of(&mut git)?).context("a file name is not UTF-8")?;
    let files: BTreeSet<PathBuf> = listed
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect();
    ensure!(!files.is_empty(), "Git lists no file");
    Ok(files)
}

/// The folder of each member, from the root: `crates/*` and `xtask`.
pub(crate) fn members() -> Result<Vec<PathBuf>> {
    let mut members = vec![PathBuf::from("xtask")];
    for entry in std::fs::read_dir(root().join("crates")).context("cannot list crates")? {
        let folder = Path::new("crates").join(entry?.file_name());
        if root().join(&folder).join("Cargo.toml").is_file() {
            members.push(folder);
        }
    }
    members.sort();
    Ok(members)
}

/// The name of a member's folder, which is also the name of the crate.
pub(crate) fn crate_name(member: &Path) -> String {
    member.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_says_what_was_run_and_what_it_said() {
        let error = output_of(cargo().arg("no-such-command")).unwrap_err().to_string();
        assert!(error.starts_with("`cargo no-such-command`: exit status: 101"), "{error}");
        assert!(error.contains("no such command"), "{error}");
    }

    #[test]
    fn this_crate_is_a_member() {
        assert!(members().unwrap().contains(&PathBuf::from("xtask")));
    }
}
