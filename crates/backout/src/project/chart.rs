//! The configuration of an environment: a Helm chart with values files, and which values the
//! chart needs that none of them gives.
//!
//! Charts are not rendered here. Their templates are scanned as [`backout_gates::chart`] says.

use std::path::{Component, Path, PathBuf};

use backout_core::document::FieldPath;
use backout_core::policy::validate::Breach;
use backout_core::policy::{ConfigSource, ReleasePolicy};
use backout_gates::chart::{Templates, values};
use serde_json::Value;

use super::{Troubles, files};
use crate::error::Failure;

/// The file that makes a folder a chart.
const CHART: &str = "Chart.yaml";
/// The chart's own values.
const DEFAULTS: &str = "values.yaml";
/// The folder of a chart's templates.
const TEMPLATES: &str = "templates";
/// Bounds, so that a chart that is no chart costs neither time nor memory.
const MOST_TEMPLATES: usize = 1_000;
const MOST_VALUES_FILES: usize = 50;
const MOST_BYTES: usize = values::MOST_BYTES;
const MOST_BYTES_IN_ALL: usize = 16 * MOST_BYTES;
const DEEPEST: usize = 8;

/// Configuration of an environment.
#[derive(Debug, Default)]
pub(super) struct Configuration {
    /// The chart's folder, as its user would write it.
    pub(super) chart: String,
    /// The values files, likewise.
    pub(super) values: Vec<String>,
    /// Keys that the chart needs and no values file gives, sorted.
    pub(super) missing_keys: Vec<String>,
}

/// Reads the configuration of one environment. What is wrong with a path of the policy is a
/// breach; what is wrong with a values file is a trouble of that file.
pub(super) fn read(
    directory: &Path,
    policy: &ReleasePolicy,
    environment: usize,
    breaches: &mut Vec<Breach>,
    troubles: &mut Troubles,
) -> Result<Configuration, Failure> {
    let source = &policy.spec.environments[environment].config;
    let before = (breaches.len(), troubles.0.len());
    let field = FieldPath::root().key("spec").key("environments").index(environment).key("config");
    let chart = chart_folder(directory, source, &field.clone().key("chart"), breaches);
    let paths = values_files(directory, source, &field.clone().key("values"), breaches);
    let mut all = Value::Object(serde_json::Map::new());
    if let Some(chart) = &chart {
        let own = chart.join(DEFAULTS);
        if own.exists() {
            all = troubles.keep(read_values(&own))?.unwrap_or_default();
        }
    }
    for path in &paths {
        if let Some(over) = troubles.keep(read_values(path))? {
            values::merge(&mut all, over);
        }
    }
    let mut templates = Scanned::default();
    if let Some(chart) = &chart
        && let Err(stop) = add_folder(&chart.join(TEMPLATES), DEEPEST, &mut templates, &all)
    {
        match stop {
            Stop::Failed(failure) => return Err(failure),
            Stop::TooMuch(message) => breaches.push(Breach::new(
                field.key("chart"),
                message,
                "name the folder of one chart, without what it is packaged with",
            )),
        }
    }
    let sound = before == (breaches.len(), troubles.0.len());
    Ok(Configuration {
        chart: chart.as_deref().map(files::shown).unwrap_or_default(),
        values: paths.iter().map(|path| files::shown(path)).collect(),
        missing_keys: if sound { templates.templates.missing(&all) } else { Vec::new() },
    })
}

fn read_values(path: &Path) -> Result<Value, Failure> {
    let name = files::shown(path);
    let bytes = files::bytes(path, MOST_BYTES)
        .map_err(|source| Failure::File { path: name.clone(), source })?;
    let values = values::read(&name, &bytes)
        .map_err(|unreadable| Failure::Document(Box::new(unreadable)))?;
    Ok(values.value)
}

fn chart_folder(
    directory: &Path,
    source: &ConfigSource,
    field: &FieldPath,
    breaches: &mut Vec<Breach>,
) -> Option<PathBuf> {
    let found = resolve(directory, &source.chart).and_then(|path| {
        if path.join(CHART).is_file() {
            Ok(path)
        } else {
            let message = format!("`{}` is no chart: it has no {CHART}", source.chart);
            Err((message, "name the folder of a Helm chart".to_owned()))
        }
    });
    found.map_err(|(message, help)| breaches.push(Breach::new(field.clone(), message, help))).ok()
}

fn values_files(
    directory: &Path,
    source: &ConfigSource,
    field: &FieldPath,
    breaches: &mut Vec<Breach>,
) -> Vec<PathBuf> {
    if source.values.len() > MOST_VALUES_FILES {
        breaches.push(Breach::new(
            field.clone(),
            format!("there are more than {MOST_VALUES_FILES} values files"),
            "merge some of them",
        ));
        return Vec::new();
    }
    let mut paths = Vec::new();
    for (index, given) in source.values.iter().enumerate() {
        let found = resolve(directory, given).and_then(|path| {
            if path.is_file() {
                Ok(path)
            } else {
                Err((format!("`{given}` is not a file"), "name a values file".to_owned()))
            }
        });
        match found {
            Ok(path) => paths.push(path),
            Err((message, help)) => {
                breaches.push(Breach::new(field.clone().index(index), message, help));
            }
        }
    }
    paths
}

/// Finds what a policy names. It must lie in the project's directory, because only then does the
/// commit that holds the policy also hold what it was checked against.
fn resolve(directory: &Path, given: &str) -> Result<PathBuf, (String, String)> {
    let outside = |how: &str| {
        let message = format!("`{given}` leaves the project's directory{how}");
        (message, "keep charts and values beside the policy, or the policy above them".to_owned())
    };
    let mut depth = 0_usize;
    for component in Path::new(given).components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => {
                depth = depth.checked_sub(1).ok_or_else(|| outside(""))?;
            }
            Component::Prefix(_) | Component::RootDir => return Err(outside("")),
        }
    }
    let path = directory.join(given);
    let absent = |error: std::io::Error| {
        let message = if error.kind() == std::io::ErrorKind::NotFound {
            format!("there is no `{given}`")
        } else {
            format!("`{given}` cannot be read: {error}")
        };
        (message, "paths are relative to the policy; check the path".to_owned())
    };
    let real = path.canonicalize().map_err(absent)?;
    let root = directory.canonicalize().map_err(absent)?;
    if real.starts_with(root) { Ok(path) } else { Err(outside(" through a symbolic link")) }
}

/// Templates that were scanned, and how much of them there was.
#[derive(Default)]
struct Scanned {
    templates: Templates,
    files: usize,
    bytes: usize,
}

/// Why reading templates ended early.
enum Stop {
    /// A folder or a file cannot be read.
    Failed(Failure),
    /// There is too much to read.
    TooMuch(String),
}

/// Reads the templates of a folder and of those below it, by name. Folders behind symbolic links
/// are left out, because they can lead round in a circle.
fn add_folder(
    folder: &Path,
    deeper: usize,
    templates: &mut Scanned,
    values: &Value,
) -> Result<(), Stop> {
    if !folder.is_dir() {
        return Ok(());
    }
    let failed = |path: &Path| {
        let path = files::shown(path);
        |source| Stop::Failed(Failure::File { path, source })
    };
    if deeper == 0 {
        return Err(Stop::TooMuch(format!("the chart's folders are nested over {DEEPEST} deep")));
    }
    let entries = std::fs::read_dir(folder).map_err(failed(folder))?;
    let mut entries: Vec<_> = entries.collect::<Result<_, _>>().map_err(failed(folder))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().map_err(failed(&path))?.is_dir() {
            add_folder(&path, deeper - 1, templates, values)?;
        } else if is_template(&path) && path.is_file() {
            let bytes = files::bytes(&path, MOST_BYTES).map_err(failed(&path))?;
            templates.bytes += bytes.len();
            templates.files += 1;
            if bytes.len() > MOST_BYTES || templates.bytes > MOST_BYTES_IN_ALL {
                let most = MOST_BYTES_IN_ALL;
                return Err(Stop::TooMuch(format!("the chart has over {most} bytes of templates")));
            }
            if templates.files > MOST_TEMPLATES {
                return Err(Stop::TooMuch(format!(
                    "the chart has over {MOST_TEMPLATES} templates"
                )));
            }
            let partial = entry.file_name().to_string_lossy().starts_with('_');
            let text = String::from_utf8_lossy(&bytes);
            templates.templates.add(&files::shown(&path), &text, partial, values);
        }
    }
    Ok(())
}

fn is_template(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "yaml" || kind == "yml" || kind == "tpl")
}
