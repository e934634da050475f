//! Manifests: Kubernetes objects as files hold them, each with the place of every field.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::document::{self, Document, FieldPath, Limits, Location, Source, SourceMap, Unreadable};

/// Kinds that are made of a pod template, and where it stands in them.
const TEMPLATES: &[(&str, &[&str])] = &[
    ("Pod", &[]),
    ("Deployment", &["spec", "template"]),
    ("ReplicaSet", &["spec", "template"]),
    ("ReplicationController", &["spec", "template"]),
    ("StatefulSet", &["spec", "template"]),
    ("DaemonSet", &["spec", "template"]),
    ("Job", &["spec", "template"]),
    ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
];

/// One Kubernetes object of a file.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The object.
    pub value: Value,
    /// The whole file.
    pub source: Source,
    map: Arc<SourceMap>,
    /// Where in its document the object stands: not at the root in a `List`.
    root: FieldPath,
}

/// Limits of files that hold manifests: what Helm renders of a large chart is far below them.
#[must_use]
pub fn limits() -> Limits {
    Limits { max_bytes: 16 * 1024 * 1024, max_depth: 64, max_nodes: 1_000_000 }
}

/// Reads every object of a file: YAML with any number of documents, or JSON. The items of a `List`
/// are objects of their own.
///
/// # Errors
/// When a document of the file cannot be read.
pub fn read(name: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Manifest>, Unreadable> {
    let documents = document::read_stream(name, bytes, limits)?;
    Ok(documents.into_iter().flat_map(objects).collect())
}

fn objects(document: Document<Value>) -> Vec<Manifest> {
    let Document { source, map, value } = document;
    let is_list = value["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    let root = FieldPath::root();
    match value {
        Value::Object(mut fields)
            if is_list && fields.get("items").is_some_and(Value::is_array) =>
        {
            let Some(Value::Array(items)) = fields.remove("items") else { return Vec::new() };
            (0..)
                .zip(items)
                .map(|(index, value)| Manifest {
                    value,
                    source: source.clone(),
                    map: Arc::clone(&map),
                    root: root.clone().key("items").index(index),
                })
                .collect()
        }
        value => vec![Manifest { value, source, map, root }],
    }
}

impl Manifest {
    /// Makes a manifest of an object that no file holds, such as one that a cluster returned.
    #[must_use]
    pub fn of_value(name: &str, value: Value) -> Self {
        Self {
            value,
            source: Source::new(name, ""),
            map: Arc::new(SourceMap::default()),
            root: FieldPath::root(),
        }
    }

    fn text(&self, path: &[&str]) -> &str {
        path.iter().fold(&self.value, |value, key| &value[*key]).as_str().unwrap_or_default()
    }

    /// Group and version, such as `apps/v1`; empty when it names none.
    #[must_use]
    pub fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version().split_once('/').map_or("", |(group, _)| group)
    }

    /// The API version without its group.
    #[must_use]
    pub fn version(&self) -> &str {
        self.api_version().rsplit('/').next().unwrap_or_default()
    }

    /// The kind; empty when it names none.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    /// The object's name; empty when it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// The namespace that the object names, if it does.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        self.value["metadata"]["namespace"].as_str()
    }

    /// Where a field of the object is, or its closest ancestor that is there.
    #[must_use]
    pub fn location(&self, path: &FieldPath) -> Location {
        let whole = self.root.segments().iter().chain(path.segments()).cloned().collect();
        if self.root.is_root() && path.is_root() {
            // The whole object is best shown by what it is.
            return self.map.nearest(&FieldPath::root().key("kind"));
        }
        self.map.nearest(&whole)
    }

    /// The path of the object's pod template, if it is of a kind that has one. A Pod is its own.
    #[must_use]
    pub fn pod_template_path(&self) -> Option<FieldPath> {
        let (_, path) = TEMPLATES.iter().find(|(kind, _)| *kind == self.kind())?;
        Some(path.iter().fold(FieldPath::root(), |path, key| path.key(*key)))
    }

    /// The object's pod template with metadata and spec, if it is of a kind that has one and says it.
    #[must_use]
    pub fn pod_template(&self) -> Option<&Value> {
        let (_, path) = TEMPLATES.iter().find(|(kind, _)| *kind == self.kind())?;
        let template = path.iter().try_fold(&self.value, |value, key| value.get(*key))?;
        template.is_object().then_some(template)
    }
}

impl fmt::Display for Manifest {
    /// Writes `Deployment shop/checkout`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind().is_empty() { "object" } else { self.kind() };
        let name = if self.name().is_empty() { "without a name" } else { self.name() };
        match self.namespace() {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Vec<Manifest> {
        read("m.yaml", text.as_bytes(), &limits()).unwrap()
    }

    #[test]
    fn objects_are_read_and_named() {
        let found = load(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: shop}\nspec:\n  \
             template: {spec: {containers: []}}\n---\nkind: Service\napiVersion: v1\n",
        );
        assert_eq!(found[0].to_string(), "Deployment shop/a");
        assert_eq!((found[0].group(), found[0].version()), ("apps", "v1"));
        assert_eq!(found[0].location(&"spec.template.spec".parse().unwrap()).line, 5);
        assert_eq!(found[0].location(&FieldPath::root()).line, 2);
        assert!(found[0].pod_template().is_some());
        assert_eq!(found[1].to_string(), "Service without a name");
        assert_eq!((found[1].group(), found[1].version()), ("", "v1"));
        assert!(found[1].pod_template().is_none());
        assert_eq!(found[1].location(&FieldPath::root()).line, 7);
    }

    #[test]
    fn items_of_a_list_are_objects() {
        let text =
            "kind: List\napiVersion: v1\nitems:\n- kind: Pod\n  metadata:\n    name: p\n- {}\n";
        let found = load(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].to_string(), "Pod p");
        assert_eq!(found[0].location(&"metadata.name".parse().unwrap()).line, 6);
        assert_eq!(found[0].pod_template_path(), Some(FieldPath::root()));
    }

    #[test]
    fn an_object_of_no_file_begins_at_the_start() {
        let manifest = Manifest::of_value("the cluster", serde_json::json!({"kind": "Pod"}));
        assert_eq!(manifest.location(&"spec.x".parse().unwrap()), Location::START);
    }
}
