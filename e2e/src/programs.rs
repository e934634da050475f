//! Programs of this workspace that scenarios run: built outside, used inside.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The program under test, as the inside reads it.
const BACKOUT: &str = "BACKOUT_E2E_PROGRAM";
/// Test programs that need a real API server, as the inside reads them: a list like `PATH`.
const ADAPTER_TESTS: &str = "BACKOUT_E2E_TESTS";

/// Built programs.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// `backout`.
    pub backout: Option<PathBuf>,
    /// Tests of the adapters, which need a real API server.
    pub adapter_tests: Vec<PathBuf>,
}

impl Programs {
    /// Builds `backout` and, if they are wanted, the tests of the adapters. What the compiler says
    /// goes to standard error.
    ///
    /// # Errors
    /// Cargo is missing, or something does not build.
    pub fn build(adapter_tests: bool) -> Result<Self> {
        let backout = built(&["build", "--package", "backout", "--bin", "backout"])?.pop();
        ensure!(backout.is_some(), "cargo built no program `backout`");
        let mut tests = Vec::new();
        if adapter_tests {
            let words = ["test", "--no-run", "--package"];
            for which in [&["backout-world", "--test", "it"][..], &["backout-controller", "--lib"]]
            {
                tests.extend(built(&[&words[..], which].concat())?);
            }
            ensure!(tests.len() == 2, "cargo built {} test programs, not 2", tests.len());
        }
        Ok(Self { backout, adapter_tests: tests })
    }

    /// Builds `backout` as it is shipped. What the compiler says goes to standard error.
    ///
    /// # Errors
    /// Cargo is missing, or something does not build.
    pub fn build_release() -> Result<Self> {
        let words = ["build", "--release", "--package", "backout", "--bin", "backout"];
        let backout = built(&words)?.pop();
        ensure!(backout.is_some(), "cargo built no program `backout`");
        Ok(Self { backout, adapter_tests: Vec::new() })
    }

    /// Tells the inside where the programs are.
    ///
    /// # Errors
    /// A path has a colon in it.
    pub fn pass_to(&self, inside: &mut tokio::process::Command) -> Result<()> {
        if let Some(backout) = &self.backout {
            inside.env(BACKOUT, backout);
        }
        let tests = std::env::join_paths(&self.adapter_tests)
            .context("the path of a test program has a colon in it")?;
        inside.env(ADAPTER_TESTS, tests);
        Ok(())
    }

    /// What the outside told.
    #[must_use]
    pub fn told() -> Self {
        let tests = std::env::var_os(ADAPTER_TESTS).unwrap_or_default();
        let tests = std::env::split_paths(&tests).filter(|path| !path.as_os_str().is_empty());
        Self {
            backout: std::env::var_os(BACKOUT).map(PathBuf::from),
            adapter_tests: tests.collect(),
        }
    }
}

/// Runs cargo, and tells which programs came of it.
fn built(arguments: &[&str]) -> Result<Vec<PathBuf>> {
    let shown = format!("cargo {}", arguments.join(" "));
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut cargo = Command::new(program);
    cargo.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    cargo.args(arguments).args(["--quiet", "--locked", "--message-format=json-render-diagnostics"]);
    // What cargo told this program about its own package is not meant for others: build scripts
    // that look at it would run again, and everything after them would be built again.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    let output = cargo.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start `{shown}`"))?;
    ensure!(output.status.success(), "`{shown}`: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(executable).collect())
}

/// The program that one of cargo's messages tells of.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    message["executable"].as_str().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_with_a_program_tell_of_one() {
        let with = r#"{"reason":"compiler-artifact","executable":"/target/debug/backout"}"#;
        assert_eq!(executable(with), Some(PathBuf::from("/target/debug/backout")));
        let library = r#"{"reason":"compiler-artifact","executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable("warning: something"), None);
    }
}
