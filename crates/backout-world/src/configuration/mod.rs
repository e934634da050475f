//! The configuration of an environment, read from a project's folder: chart, values and manifests,
//! with Helm and Git where they are at hand. What cannot be read keeps its reason.

mod files;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use backout_core::manifest::{self, Manifest};
use backout_core::policy::{Environment, ReleasePolicy};
use backout_core::release::{EnvironmentConfig, Release};
use backout_core::units::Time;
use backout_gates::chart::{Chart, Values, digest_of_values, values};
use backout_gates::gates::config_drift::{self, Rendered};

use crate::git::Repository;
use crate::helm::{Helm, Request, read_chart};

/// The most values files of an environment.
const MOST_VALUES_FILES: usize = 50;

/// Where configuration is read from, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The folder of the policy; all paths of policies and releases are relative to it, and none
    /// may leave it.
    pub project: &'a Path,
    /// The policy.
    pub policy: &'a ReleasePolicy,
    /// The release, which can bring a configuration of its own.
    pub release: &'a Release,
    /// Helm, or why there is none.
    pub helm: Result<&'a Helm, &'a str>,
    /// The version of Kubernetes that charts are told; nothing for Helm's own.
    pub kube_version: Option<&'a str>,
    /// Git, or why it is not asked.
    pub git: Result<&'a Repository, &'a str>,
}

/// The paths of an environment: what the policy names, or what the release brings instead.
struct Paths<'a> {
    chart: &'a str,
    values: &'a [String],
    rendered: Option<&'a str>,
}

impl<'a> Paths<'a> {
    fn of(sources: &Sources<'a>, environment: &'a Environment) -> Self {
        let brought: Option<&EnvironmentConfig> = sources
            .release
            .spec
            .config
            .environments
            .iter()
            .find(|one| one.name == environment.name);
        let policy = &environment.config;
        Self {
            chart: brought.and_then(|one| one.chart.as_deref()).unwrap_or(&policy.chart),
            values: brought.and_then(|one| one.values.as_deref()).unwrap_or(&policy.values),
            rendered: brought
                .and_then(|one| one.rendered.as_deref())
                .or(policy.rendered.as_deref()),
        }
    }
}

/// Reads the configuration of one environment. It does not fail: each part says why it is not
/// known.
pub async fn read_environment(
    sources: &Sources<'_>,
    environment: &Environment,
) -> config_drift::Environment {
    let paths = Paths::of(sources, environment);
    let chart = read_chart_at(sources.project, paths.chart);
    let values = read_values(sources.project, paths.values);
    let (values, digest) = match values {
        Ok((values, digest)) => (Ok(values), Some(digest)),
        Err(reason) => (Err(reason), None),
    };
    let by_helm = render(sources, environment, &paths, &chart, &values).await;
    let in_files = paths.rendered.map(|path| files::manifests(sources.project, path));
    config_drift::Environment {
        name: environment.name.to_string(),
        chart,
        values,
        values_digest: digest,
        rendered: Rendered { by_helm, in_files },
        chart_changed: changed(sources, &[paths.chart.to_owned()]).await,
        values_changed: changed(sources, paths.values).await,
    }
}

fn read_chart_at(project: &Path, given: &str) -> Result<Chart, String> {
    let folder = files::resolve(project, given)?;
    let read = read_chart(&folder).map_err(|reason| format!("`{given}`: {reason}"))?;
    if !read.iter().any(|file| file.path == "Chart.yaml") {
        return Err(format!("`{given}` is no chart: it has no Chart.yaml"));
    }
    Chart::read(given.trim_end_matches('/'), &read).map_err(|error| error.to_string())
}

fn read_values(
    project: &Path,
    given: &[String],
) -> Result<(Vec<Values>, backout_core::units::Digest), String> {
    if given.len() > MOST_VALUES_FILES {
        return Err(format!("there are more than {MOST_VALUES_FILES} values files"));
    }
    let mut read = Vec::new();
    let mut all = Vec::new();
    for path in given {
        let bytes = files::bytes(project, path, values::MOST_BYTES)?;
        read.push(values::read(path, &bytes).map_err(|error| error.to_string())?);
        all.push(bytes);
    }
    let digest = digest_of_values(all.iter().map(Vec::as_slice));
    Ok((read, digest))
}

async fn render(
    sources: &Sources<'_>,
    environment: &Environment,
    paths: &Paths<'_>,
    chart: &Result<Chart, String>,
    values: &Result<Vec<Values>, String>,
) -> Result<Vec<Manifest>, String> {
    let helm = sources.helm.map_err(str::to_owned)?;
    let (chart, values) =
        (chart.as_ref().map_err(Clone::clone)?, values.as_ref().map_err(Clone::clone)?);
    let files: Vec<PathBuf> = paths.values.iter().map(|path| sources.project.join(path)).collect();
    let request = Request {
        chart: &sources.project.join(paths.chart),
        values: &files,
        release: sources.policy.spec.workload.name.as_str(),
        namespace: sources.policy.metadata.namespace.as_str(),
        kube_version: sources.kube_version,
        hidden: &values::texts(&chart.merged(values)),
    };
    let bytes = helm.template(&request).await.map_err(|trouble| trouble.to_string())?;
    let name = format!("{} rendered for {}", paths.chart, environment.name);
    manifest::read(&name, &bytes, &manifest::limits()).map_err(|error| error.to_string())
}

/// When the newest of some paths was changed.
async fn changed(sources: &Sources<'_>, paths: &[String]) -> Result<Option<Time>, String> {
    let git = sources.git.map_err(str::to_owned)?;
    let mut newest = None;
    for path in paths {
        let path = sources.project.join(path);
        newest = newest.max(git.last_change(&path).await.map_err(|unknown| unknown.to_string())?);
    }
    Ok(newest)
}
