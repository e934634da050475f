//! What a cluster would know besides the objects of a release.

use backout_core::manifest::Manifest;
use serde_json::{Value, json};

use super::defaults;
use super::matching::{OPERATION, Subject};
use super::resource::Resources;
use crate::cel::{Declarations, Environment, Scope, Variable};

/// The label that every namespace has: its own name.
pub(super) const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// What is given of a cluster.
#[derive(Clone, Debug)]
pub struct World<'a> {
    /// Namespaces, parameters of policies and whatever else is given.
    pub manifests: &'a [Manifest],
    /// The resources of kinds, with the custom ones that the manifests define.
    pub resources: Resources,
    /// The namespace of objects that name none.
    pub default_namespace: Option<String>,
    /// Whether a parameter that is not among the manifests does not exist. Otherwise a policy whose
    /// parameter is missing is not evaluated, because a cluster may have it.
    pub has_all_parameters: bool,
}

impl<'a> World<'a> {
    /// Makes a world of manifests; objects belong to the namespace that they name.
    #[must_use]
    pub fn of(manifests: &'a [Manifest]) -> Self {
        Self {
            manifests,
            resources: Resources::read(manifests),
            default_namespace: None,
            has_all_parameters: false,
        }
    }

    /// The Namespace of a name, if it is given.
    #[must_use]
    pub fn namespace(&self, name: &str) -> Option<&'a Value> {
        let found = self.manifests.iter().find(|manifest| {
            manifest.kind() == "Namespace" && manifest.group().is_empty() && manifest.name() == name
        });
        found.map(|manifest| &manifest.value)
    }

    /// What `namespaceObject` is for an object: null for those of the whole cluster.
    ///
    /// # Errors
    /// Says why it is not known.
    pub fn namespace_object(&self, subject: &Subject<'_>) -> Result<Value, String> {
        if subject.resource.as_ref().is_some_and(|resource| !resource.is_namespaced) {
            return Ok(Value::Null);
        }
        let Some(name) = &subject.namespace else {
            return Err("namespaceObject is not known: the object names no namespace".to_owned());
        };
        let Some(given) = self.namespace(name) else {
            return Err(format!(
                "namespaceObject is not known: the Namespace {name} is not among the manifests"
            ));
        };
        let mut namespace = given.clone();
        if let Some(metadata) = namespace.get_mut("metadata").and_then(Value::as_object_mut) {
            let labels = metadata.entry("labels").or_insert_with(|| json!({}));
            if let Some(labels) = labels.as_object_mut() {
                labels.insert(NAME_LABEL.to_owned(), json!(name));
            }
        }
        Ok(namespace)
    }
}

/// The names that every expression about an object may use.
#[must_use]
pub fn declarations() -> Declarations {
    Declarations::of(&["object", "oldObject", "request", "namespaceObject"])
        .unsupported("authorizer", "authorizer asks the cluster who may do what")
}

/// Makes a scope in which these names have the values of an object that is created.
#[must_use]
pub fn scope<'p>(
    environment: &Environment,
    variables: &'p [Variable],
    subject: &Subject<'_>,
    world: &World<'_>,
) -> Scope<'p> {
    let mut scope = Scope::new(environment, variables);
    scope.set("object", &object(subject));
    scope.set("oldObject", &Value::Null);
    scope.set("request", &request(subject));
    match world.namespace_object(subject) {
        Ok(namespace) => scope.set("namespaceObject", &namespace),
        Err(reason) => scope.set_missing("namespaceObject", &reason),
    }
    scope
}

/// What `request` is for an object.
#[must_use]
pub fn request(subject: &Subject<'_>) -> Value {
    let manifest = subject.manifest;
    let (group, version) = (manifest.group(), manifest.version());
    let kind = json!({"group": group, "version": version, "kind": manifest.kind()});
    let mut request = json!({
        "kind": kind,
        "requestKind": kind,
        "name": manifest.name(),
        "operation": OPERATION,
        "dryRun": false,
    });
    // What is empty is left out, and an expression that reads it ends in an error.
    if let Some(namespace) = &subject.namespace {
        request["namespace"] = json!(namespace);
    }
    if let Some(resource) = &subject.resource {
        let resource = json!({"group": group, "version": version, "resource": resource.plural});
        request["requestResource"] = resource.clone();
        request["resource"] = resource;
    }
    request
}

/// What `object` is: the manifest as the API server hands it to admission. It has its namespace,
/// quantities are strings, and the defaults of workloads and services are filled in. What the server
/// makes up, and what other admission controllers change, is not there.
#[must_use]
pub fn object(subject: &Subject<'_>) -> Value {
    let mut object = subject.manifest.value.clone();
    if let (Some(namespace), true) = (&subject.namespace, object["metadata"].is_object()) {
        object["metadata"]["namespace"] = json!(namespace);
    }
    if let Some(path) = subject.manifest.pod_template_path() {
        let mut template = &mut object;
        for segment in path.segments() {
            let backout_core::document::Segment::Key(key) = segment else { return object };
            let Some(next) = template.get_mut(key) else { return object };
            template = next;
        }
        if let Some(spec) = template.get_mut("spec") {
            write_quantities(spec);
        }
    }
    defaults::fill(&mut object, subject.manifest);
    object
}

/// Writes the numbers under `limits` and `requests` as the API server does.
fn write_quantities(spec: &mut Value) {
    for list in ["containers", "initContainers"] {
        let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            for field in ["limits", "requests"] {
                let quantities = container.get_mut("resources").and_then(|all| all.get_mut(field));
                let Some(quantities) = quantities.and_then(Value::as_object_mut) else { continue };
                for quantity in quantities.values_mut().filter(|quantity| quantity.is_number()) {
                    *quantity = Value::String(quantity.to_string());
                }
            }
        }
    }
}
