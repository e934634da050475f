//! The `helm` program: renders a chart without a cluster and without network.
//!
//! Dependencies of the chart must be in its `charts` folder; nothing is downloaded. Helm gets
//! neither our environment nor a kubeconfig, so that no cluster and no plugin is reached.

#[cfg(test)]
mod example;
mod folder;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Ended, Program};

pub use folder::read_chart;

/// The variable that names the program.
const VARIABLE: &str = "BACKOUT_HELM";
/// How long it may take to say its version.
const VERSION_WITHIN: Duration = Duration::from_secs(10);
/// How long rendering may take.
const RENDER_WITHIN: Duration = Duration::from_secs(60);
/// How much it may render.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How much of an error is shown.
const MOST_LINES: usize = 8;
/// What stands for a value in an error.
const HIDDEN: &str = "<hidden>";
/// Values that are shorter stand in errors by chance.
const SHORTEST_HIDDEN: usize = 4;

/// A program that renders charts.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    /// Its version, such as `v3.22.0`.
    pub version: String,
    within: Duration,
}

/// What is rendered.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Folder of the chart.
    pub chart: &'a Path,
    /// Values files, later ones win.
    pub values: &'a [PathBuf],
    /// What Helm calls the release.
    pub release: &'a str,
    /// The namespace.
    pub namespace: &'a str,
    /// The version of Kubernetes that the chart is told, such as `1.31.0`. Default: Helm's own.
    pub kube_version: Option<&'a str>,
    /// Texts of the values, which are taken out of errors.
    pub hidden: &'a [String],
}

/// Why there is nothing rendered.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// There is no Helm.
    #[error("helm is not installed: {0}; install it, or name it in {VARIABLE}")]
    Absent(String),
    /// It is no Helm that is known.
    #[error("`{program}` is no Helm 3 or 4: {told}")]
    Unknown {
        /// The program.
        program: String,
        /// What it said of itself.
        told: String,
    },
    /// It did not render the chart.
    #[error("helm {how}: {told}")]
    Failed {
        /// How it ended.
        how: String,
        /// The last lines that it wrote, without values.
        told: String,
    },
}

impl Helm {
    /// Finds the program that `BACKOUT_HELM` names, or `helm` in `PATH`.
    ///
    /// # Errors
    /// When there is none, or when it is not Helm 3 or 4.
    pub async fn find() -> Result<Self, Trouble> {
        let named = std::env::var_os(VARIABLE).filter(|named| !named.is_empty());
        Self::at(PathBuf::from(named.unwrap_or_else(|| OsString::from("helm")))).await
    }

    /// Asks a program for its version.
    ///
    /// # Errors
    /// When it cannot be started, or when it is not Helm 3 or 4.
    pub async fn at(program: PathBuf) -> Result<Self, Trouble> {
        let asked = sealed(&program).arg("version").arg("--template").arg("{{.Version}}");
        let ended = asked.within(VERSION_WITHIN).run().await;
        let ended = ended.map_err(|error| Trouble::Absent(error.to_string()))?;
        let version = ended.stdout_tail.last_lines(1).pop().unwrap_or_default();
        let is_known = ["v3.", "v4."].iter().any(|major| version.starts_with(major));
        if !ended.is_success() || !is_known {
            let told =
                if ended.is_success() { format!("it says `{version}`") } else { ended.how() };
            return Err(Trouble::Unknown { program: program.display().to_string(), told });
        }
        Ok(Self { program, version, within: RENDER_WITHIN })
    }

    /// How long rendering may take. Default: a minute.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Renders a chart: all its manifests, as one file.
    ///
    /// # Errors
    /// When Helm does not end well, takes longer than a minute, or renders more than 16 MiB.
    pub async fn template(&self, request: &Request<'_>) -> Result<Vec<u8>, Trouble> {
        let mut program = sealed(&self.program)
            .arg("template")
            .arg(request.release)
            .arg(absolute(request.chart))
            .arg("--namespace")
            .arg(request.namespace);
        for file in request.values {
            program = program.arg("--values").arg(absolute(file));
        }
        if let Some(version) = request.kube_version {
            program = program.arg("--kube-version").arg(version);
        }
        let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
        let program = program.within(self.within).keeping(MOST_BYTES).writing_at_most(most);
        let ended = program.run().await.map_err(|error| Trouble::Absent(error.to_string()))?;
        if ended.is_success() {
            return Ok(ended.stdout_tail.into_bytes());
        }
        Err(Trouble::Failed { how: ended.how(), told: told(&ended, request.hidden) })
    }
}

/// Helm with nothing of ours around it.
fn sealed(program: &Path) -> Program {
    let nowhere = "/nonexistent";
    Program::new([program.as_os_str()])
        .env_only(&["PATH", "TMPDIR"])
        .env("HOME", nowhere)
        .env("KUBECONFIG", "/dev/null")
        .env("HELM_CONFIG_HOME", nowhere)
        .env("HELM_CACHE_HOME", nowhere)
        .env("HELM_DATA_HOME", nowhere)
        .env("HELM_PLUGINS", nowhere)
        .env("HTTP_PROXY", "http://127.0.0.1:9")
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
}

/// A path that no option begins with, and that Helm takes for no repository's chart.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The last lines of an error. Templates can put values into their errors.
fn told(ended: &Ended, hidden: &[String]) -> String {
    let mut text = ended.stderr_tail.last_lines(MOST_LINES).join("; ");
    let mut hidden: Vec<&String> =
        hidden.iter().filter(|value| value.len() >= SHORTEST_HIDDEN).collect();
    // The longest first: a value can be part of another.
    hidden.sort_by_key(|value| std::cmp::Reverse(value.len()));
    for value in hidden {
        for line in value.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_HIDDEN) {
            text = text.replace(line, HIDDEN);
        }
    }
    if text.is_empty() { "it said nothing".to_owned() } else { text }
}
