//! A copy of the example that a test may break, and the program run in it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must fail")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A project on disk; it is removed with its value.
pub(crate) struct Project {
    directory: tempfile::TempDir,
}

/// What the program did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Project {
    /// The example, whole.
    pub(crate) fn checkout() -> Self {
        let project = Self::empty();
        copy(&workspace().join("examples/checkout"), project.directory.path());
        project
    }

    /// Nothing at all.
    pub(crate) fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// Writes a file.
    pub(crate) fn write(self, file: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Replaces a text that must be there.
    pub(crate) fn replace(self, file: &str, from: &str, to: &str) -> Self {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}");
        let text = text.replacen(from, to, 1);
        self.write(file, text)
    }

    /// Replaces a text of the policy.
    pub(crate) fn policy(self, from: &str, to: &str) -> Self {
        self.replace("backout.yaml", from, to)
    }

    /// Runs the program in the project's directory.
    pub(crate) fn run(&self, arguments: &[&str]) -> Done {
        run_in(self.directory.path(), arguments, "")
    }

    /// Runs the program with something on standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &str) -> Done {
        run_in(self.directory.path(), arguments, stdin)
    }

    /// Runs the program, which must refuse: exit code 2, nothing on standard output, and an error
    /// that is no crash.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.code, 2, "{done:?}");
        assert_eq!(done.stdout, "", "{done:?}");
        assert!(done.stderr.starts_with("error: "), "{done:?}");
        assert!(!done.stderr.contains("panicked"), "{done:?}");
        done.stderr
    }

    /// Runs the program, which must refuse and point to a place in a file.
    pub(crate) fn refused_at(&self, arguments: &[&str], place: &str) -> String {
        let stderr = self.refused(arguments);
        assert!(stderr.contains(&format!("--> {place}")), "{stderr}");
        stderr
    }
}

/// Runs the program in a directory, without colour and without anyone's settings.
pub(crate) fn run_in(directory: &Path, arguments: &[&str], stdin: &str) -> Done {
    use std::io::Write as _;
    let mut child = Command::new(env!("CARGO_BIN_EXE_backout"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its arguments does not wait for its input.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Done {
        code: output.status.code().expect("the program ends by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
