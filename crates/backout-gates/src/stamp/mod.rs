//! Stamping: writes where a release comes from into the text of manifests.
//!
//! Only the lines that are needed change; comments, order, quotes and line ends stay. What was
//! written is then read again, and has to be what was there before plus exactly the stamps.
//! Otherwise nothing is written, and the reason is said with its place.

mod edit;
mod facts;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use backout_core::document::{Location, Segment, Unreadable};
use backout_core::finding::Place;
use backout_core::manifest::{self, Manifest};
use backout_core::release::Release;
use serde_json::{Map, Value};

use edit::{Editor, Fields, Want};
pub use facts::{Fact, Marks, Stamps, facts, is_label_value, stamps};
use tree::{Node, Shape};

/// Which objects of the manifests are stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// The one of this kind and name.
    One {
        /// Its kind.
        kind: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// Everything that pods are made of.
    All,
}

impl Choice<'_> {
    fn takes(&self, manifest: &Manifest) -> bool {
        match self {
            Self::One { kind, name } => manifest.kind() == *kind && manifest.name() == *name,
            Self::All => manifest.pod_template().is_some() && !manifest.name().is_empty(),
        }
    }
}

/// Manifests that carry the stamps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The text; the same as before when everything was there already.
    pub text: String,
    /// The objects that were chosen, such as `Deployment shop/checkout`; may be empty.
    pub objects: Vec<String>,
}

/// Why manifests were left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Where the obstacle is.
    pub place: Place,
    /// What it is.
    pub message: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.message, self.help)
    }
}

impl std::error::Error for Refusal {}

/// Writes the stamps of a release into the text of a manifest file: YAML with any number of
/// documents and lists, or JSON. Doing it twice changes nothing more.
///
/// # Errors
/// When the file cannot be read, or when it cannot be changed without changing more than that:
/// because of anchors, merge keys, tags, or a selector that selects by what would be changed.
pub fn stamp(
    name: &str,
    text: &str,
    choice: Choice<'_>,
    release: &Release,
) -> Result<Stamped, Refusal> {
    let stamps = stamps(release);
    let (mark, body) = match text.strip_prefix('\u{feff}') {
        Some(body) => ("\u{feff}", body),
        None => ("", text),
    };
    let before = read(name, body)?;
    let roots = tree::read(body).unwrap_or_default();
    let nodes: Vec<&Node> = roots.iter().flat_map(objects).collect();
    if nodes.len() != before.len() {
        return Err(unsure(name, "its documents cannot be told apart"));
    }
    let mut editor = Editor::new(body);
    let mut wanted = Vec::new();
    let mut objects = Vec::new();
    for (manifest, node) in before.iter().zip(nodes) {
        let mut value = manifest.value.clone();
        if choice.takes(manifest) {
            let fields = wanted_fields(manifest, &stamps)?;
            editor.merge(node, &manifest.value, &fields).map_err(|obstacle| Refusal {
                place: place(name, obstacle.at),
                message: format!("{manifest} is not stamped: {}", obstacle.message),
                help: obstacle.help.to_owned(),
            })?;
            put(&mut value, &fields);
            objects.push(manifest.to_string());
        }
        wanted.push(value);
    }
    let after = editor.finish();
    let proof = read(name, &after);
    let is_proven = proof.is_ok_and(|after| {
        after.len() == wanted.len()
            && after.iter().zip(&wanted).all(|(is, wanted)| is.value == *wanted)
    });
    if !is_proven {
        return Err(unsure(name, "the stamps would change more than labels and annotations"));
    }
    Ok(Stamped { text: format!("{mark}{after}"), objects })
}

fn unsure(name: &str, message: &str) -> Refusal {
    Refusal {
        place: Place { file: name.to_owned(), location: None },
        message: message.to_owned(),
        help: "write the labels and annotations by hand: they are printed without `--stamp`"
            .to_owned(),
    }
}

fn place(name: &str, at: Location) -> Place {
    Place { file: name.to_owned(), location: Some(at) }
}

fn read(name: &str, text: &str) -> Result<Vec<Manifest>, Refusal> {
    manifest::read(name, text.as_bytes(), &manifest::limits())
        .map_err(|error| refusal(name, &error))
}

fn refusal(name: &str, error: &Unreadable) -> Refusal {
    let problem = error.problems.first();
    Refusal {
        place: Place {
            file: name.to_owned(),
            location: problem.and_then(|problem| problem.location),
        },
        message: problem.map_or_else(String::new, |problem| problem.message.clone()),
        help: problem.and_then(|problem| problem.help.clone()).unwrap_or_else(|| {
            "stamp manifests as they are applied, not the templates of a chart".to_owned()
        }),
    }
}

/// The objects of a document: itself, or the items of a list.
fn objects(root: &Node) -> Vec<&Node> {
    let is_list = root.text("kind").is_some_and(|kind| kind.ends_with("List"));
    match root.entry("items").map(|entry| &entry.value.shape) {
        Some(Shape::Sequence(items)) if is_list => items.iter().collect(),
        _ => vec![root],
    }
}

/// What an object has to say.
fn wanted_fields(manifest: &Manifest, stamps: &Stamps) -> Result<Fields, Refusal> {
    let metadata = |marks: &Marks| {
        let labels = marks.labels.iter().map(|(key, text)| (key, Want::Text(text.clone())));
        let others = marks
            .labels_if_absent
            .iter()
            .map(|(key, text)| (key, Want::TextIfAbsent(text.clone())));
        let annotations =
            marks.annotations.iter().map(|(key, text)| (key, Want::Text(text.clone())));
        let mut fields = Vec::new();
        for (key, wanted) in [
            ("labels", labels.chain(others).collect::<BTreeMap<_, _>>()),
            ("annotations", annotations.collect()),
        ] {
            let wanted: Fields =
                wanted.into_iter().map(|(key, want)| (key.clone(), want)).collect();
            if !wanted.is_empty() {
                fields.push((key.to_owned(), Want::Fields(wanted)));
            }
        }
        vec![("metadata".to_owned(), Want::Fields(fields))]
    };
    let mut fields = metadata(&stamps.object);
    let path = manifest.pod_template_path().unwrap_or_default();
    if path.is_root() || manifest.pod_template().is_none() {
        return Ok(fields);
    }
    check_selector(manifest, &stamps.template)?;
    let mut inner = metadata(&stamps.template);
    for segment in path.segments().iter().rev() {
        if let Segment::Key(key) = segment {
            inner = vec![(key.clone(), Want::Fields(inner))];
        }
    }
    fields.extend(inner);
    Ok(fields)
}

/// A workload keeps only pods that its selector selects, and a selector cannot be changed.
fn check_selector(manifest: &Manifest, template: &Marks) -> Result<(), Refusal> {
    let selector = &manifest.value["spec"]["selector"]["matchLabels"];
    for (key, text) in &template.labels {
        if selector[key].as_str().is_some_and(|selected| selected != text) {
            let path = ["spec", "selector", "matchLabels", key]
                .into_iter()
                .map(|key| Segment::Key(key.to_owned()))
                .collect();
            return Err(Refusal {
                place: place(&manifest.source.name, manifest.location(&path)),
                message: format!("{manifest} is not stamped: its selector selects by `{key}`"),
                help: "select by labels that no release changes, such as `app.kubernetes.io/name`"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

/// Puts wanted fields into a value.
fn put(value: &mut Value, fields: &Fields) {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(object) = value else { return };
    for (key, want) in fields {
        match want {
            Want::Text(text) => drop(object.insert(key.clone(), Value::String(text.clone()))),
            Want::TextIfAbsent(text) => {
                let _ = object.entry(key.clone()).or_insert_with(|| Value::String(text.clone()));
            }
            Want::Fields(inner) => put(object.entry(key.clone()).or_insert(Value::Null), inner),
        }
    }
}
