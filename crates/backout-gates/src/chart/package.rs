//! A chart as a folder holds it.

use std::collections::BTreeMap;
use std::sync::Arc;

use backout_core::document::{self, FieldPath, Limits, SourceMap, Unreadable};
use backout_core::finding::Place;
use backout_core::units::Digest;
use serde_json::Value;

use super::{Reads, Templates, Values, values};

/// How deep charts may stand in charts.
const DEEPEST: usize = 8;

/// A file of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path within the chart, with `/` between folders.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A chart that another one is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The chart's name.
    pub name: String,
    /// The key of its values: its alias, or its name.
    pub key: String,
    /// The version that is asked for; may be a range.
    pub version: String,
    /// The keys that switch it on or off, comma-separated; the first that is there decides.
    pub condition: Option<String>,
    /// Whether tags can switch it on or off too.
    pub has_tags: bool,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Its folder, as its user would write it.
    pub folder: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of what it installs.
    pub app_version: Option<String>,
    /// Whether it only has definitions for others, and installs nothing itself.
    pub is_library: bool,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
    /// Name and version of each dependency that `Chart.lock` pins.
    pub lock: Vec<(String, String)>,
    /// Its own values.
    pub values: Values,
    /// Its schema of values.
    pub schema: Option<Value>,
    /// Charts of its folder `charts` that are not packed.
    pub charts: Vec<Self>,
    /// Files of its folder `charts` that are packed, and are not looked into.
    pub packed: Vec<String>,
    /// SHA-256 over its files, as records hold it.
    pub digest: Digest,
    templates: Vec<(String, String)>,
    map: Arc<SourceMap>,
}

impl Dependency {
    /// Whether it is installed for certain. Conditions win over tags.
    fn is_on(&self, all: &Value) -> bool {
        let conditions = self.condition.iter().flat_map(|keys| keys.split(','));
        let mut decided = conditions.filter_map(|key| {
            let path: Vec<&str> = key.trim().split('.').collect();
            values::lookup(all, &path)?.as_bool()
        });
        decided.next().unwrap_or(!self.has_tags)
    }
}

/// SHA-256 over the files of a chart: of each, by path, the path, a zero byte, the length in
/// decimal digits, a zero byte, and the content.
#[must_use]
pub fn digest_of_files(files: &[File]) -> Digest {
    let by_path: BTreeMap<&str, &[u8]> =
        files.iter().map(|file| (file.path.as_str(), file.bytes.as_slice())).collect();
    let mut all = Vec::new();
    for (path, bytes) in by_path {
        all.extend_from_slice(path.as_bytes());
        all.push(0);
        all.extend_from_slice(bytes.len().to_string().as_bytes());
        all.push(0);
        all.extend_from_slice(bytes);
    }
    Digest::of_bytes(&all)
}

/// SHA-256 over values files, one after the other: `cat a.yaml b.yaml | sha256sum`.
#[must_use]
pub fn digest_of_values<'a>(files: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    Digest::of_bytes(&files.into_iter().collect::<Vec<_>>().concat())
}

impl Chart {
    /// Reads a chart from the files of its folder.
    ///
    /// # Errors
    /// When there is no `Chart.yaml`, or when it, the values or the schema cannot be read.
    pub fn read(folder: &str, files: &[File]) -> Result<Self, Unreadable> {
        Self::read_at(folder, files, DEEPEST)
    }

    fn read_at(folder: &str, files: &[File], deeper: usize) -> Result<Self, Unreadable> {
        let named = |path: &str| files.iter().find(|file| file.path == path);
        let shown = |path: &str| format!("{folder}/{path}");
        let limits = Limits::default();
        let bytes = named("Chart.yaml").map(|file| file.bytes.as_slice()).unwrap_or_default();
        let about = document::read::<Value>(&shown("Chart.yaml"), bytes, &limits)?;
        let lock = match named("Chart.lock") {
            Some(file) => {
                document::read::<Value>(&shown("Chart.lock"), &file.bytes, &limits)?.value
            }
            None => Value::Null,
        };
        let own = named("values.yaml").map(|file| file.bytes.as_slice()).unwrap_or_default();
        let values = values::read(&shown("values.yaml"), own)?;
        let schema = match named("values.schema.json") {
            Some(file) => {
                let name = shown("values.schema.json");
                Some(document::read::<Value>(&name, &file.bytes, &limits)?.value)
            }
            None => None,
        };
        let (charts, packed) = inner(folder, files, deeper)?;
        let texts = files.iter().filter(|file| !file.path.starts_with("charts/"));
        let templates = texts
            .filter_map(|file| {
                Some((file.path.clone(), String::from_utf8(file.bytes.clone()).ok()?))
            })
            .filter(|(_, text)| text.contains("{{"))
            .collect();
        Ok(Self {
            folder: folder.to_owned(),
            name: text(&about.value["name"]).unwrap_or_default(),
            version: text(&about.value["version"]).unwrap_or_default(),
            app_version: text(&about.value["appVersion"]),
            is_library: about.value["type"].as_str() == Some("library"),
            dependencies: dependencies(&about.value),
            lock: dependencies(&lock).into_iter().map(|one| (one.name, one.version)).collect(),
            values,
            schema,
            charts,
            packed,
            digest: digest_of_files(files),
            templates,
            map: about.map,
        })
    }

    /// Where a field of `Chart.yaml` is.
    #[must_use]
    pub fn place(&self, field: &str) -> Place {
        let path = FieldPath::root().key(field);
        Place {
            file: format!("{}/Chart.yaml", self.folder),
            location: Some(self.map.nearest(&path)),
        }
    }

    /// Its own values with those of files laid over them, later ones winning.
    #[must_use]
    pub fn merged<'v>(&self, files: impl IntoIterator<Item = &'v Values>) -> Value {
        let mut all = self.values.value.clone();
        for file in files {
            values::merge(&mut all, file.value.clone());
        }
        all
    }

    /// What its templates need with these values.
    #[must_use]
    pub fn needs(&self, all: &Value) -> Templates {
        let mut templates = Templates::default();
        for (path, text) in &self.templates {
            let Some(name) = path.strip_prefix("templates/") else { continue };
            let is_rendered = [".yaml", ".yml", ".tpl"].iter().any(|end| name.ends_with(end));
            if is_rendered {
                let file = name.rsplit('/').next().unwrap_or(name);
                let shown = format!("{}/{path}", self.folder);
                templates.add(&shown, text, file.starts_with('_'), all);
            }
        }
        templates
    }

    /// The charts of its folder `charts` that are installed for certain with these values, each with
    /// the key of its values, and with the values that it gets.
    #[must_use]
    pub fn parts(&self, all: &Value) -> Vec<(&Self, String, Value)> {
        let mut parts = Vec::new();
        for chart in self.charts.iter().filter(|chart| !chart.is_library) {
            let named: Vec<&Dependency> =
                self.dependencies.iter().filter(|one| one.name == chart.name).collect();
            let keys: Vec<String> = if named.is_empty() {
                vec![chart.name.clone()]
            } else {
                let on = named.into_iter().filter(|one| one.is_on(all));
                on.map(|one| one.key.clone()).collect()
            };
            for key in keys {
                let mut values = chart.values.value.clone();
                for (name, given) in [(None, &all[&key]), (Some("global"), &all["global"])] {
                    let given = match name {
                        Some(name) => serde_json::json!({name: given}),
                        None => given.clone(),
                    };
                    values::merge(&mut values, given);
                }
                parts.push((chart, key, values));
            }
        }
        parts
    }

    /// Which values it reads, its dependencies included.
    #[must_use]
    pub fn reads(&self, all: &Value) -> Reads {
        let mut reads = Reads::default();
        // Files outside of `templates` are read by `.Files`, and may be templates too.
        for (_, text) in &self.templates {
            reads.add_template(text);
        }
        // So can values be.
        for text in values::texts(all).iter().filter(|text| text.contains("{{")) {
            reads.add_template(text);
        }
        for name in ["global", "tags"] {
            reads.add(&[name]);
        }
        for dependency in &self.dependencies {
            reads.add(&[&dependency.key]);
            if !self.charts.iter().any(|chart| chart.name == dependency.name) {
                reads.expect_unseen_definitions();
            }
            let conditions = dependency.condition.iter().flat_map(|all| all.split(','));
            for condition in conditions {
                reads.add(&condition.trim().split('.').collect::<Vec<_>>());
            }
        }
        for chart in &self.charts {
            reads.add(&[&chart.name]);
            for (_, text) in &chart.templates {
                reads.add_definitions(text);
            }
        }
        if !self.packed.is_empty() {
            for packed in &self.packed {
                // `postgresql-12.1.0.tgz` gives the values below `postgresql`.
                let stem = packed.strip_suffix(".tgz").unwrap_or(packed);
                reads.add(&[stem.rsplit_once('-').map_or(stem, |(name, _)| name)]);
            }
            reads.expect_unseen_definitions();
        }
        reads.finish();
        reads
    }
}

/// The charts of the folder `charts`, and the packed ones.
fn inner(
    folder: &str,
    files: &[File],
    deeper: usize,
) -> Result<(Vec<Chart>, Vec<String>), Unreadable> {
    let mut folders: BTreeMap<&str, Vec<File>> = BTreeMap::new();
    let mut packed = Vec::new();
    for file in files {
        let Some(rest) = file.path.strip_prefix("charts/") else { continue };
        match rest.split_once('/') {
            Some((name, path)) => folders
                .entry(name)
                .or_default()
                .push(File { path: path.to_owned(), bytes: file.bytes.clone() }),
            None if rest.ends_with(".tgz") => packed.push(rest.to_owned()),
            None => {}
        }
    }
    let mut charts = Vec::new();
    for (name, files) in folders {
        if deeper == 0 {
            packed.push(name.to_owned());
        } else if files.iter().any(|file| file.path == "Chart.yaml") {
            charts.push(Chart::read_at(&format!("{folder}/charts/{name}"), &files, deeper - 1)?);
        }
    }
    Ok((charts, packed))
}

fn dependencies(document: &Value) -> Vec<Dependency> {
    let list = document["dependencies"].as_array().into_iter().flatten();
    list.filter_map(|one| {
        let name = text(&one["name"])?;
        Some(Dependency {
            key: text(&one["alias"]).unwrap_or_else(|| name.clone()),
            name,
            version: text(&one["version"]).unwrap_or_default(),
            condition: text(&one["condition"]),
            has_tags: one["tags"].as_array().is_some_and(|tags| !tags.is_empty()),
        })
    })
    .collect()
}

/// A version is text, even where YAML takes it for a number.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
