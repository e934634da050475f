//! `spec.match`: which objects a constraint is about.

use std::collections::BTreeMap;

use backout_core::manifest::Manifest;
use serde::Deserialize;
use serde_json::Value;

use super::selector::{LabelSelector, is_like};

/// Kinds of Kubernetes that no namespace has.
#[rustfmt::skip]
const CLUSTER_KINDS: &[&str] = &[
    "APIService", "CSIDriver", "CSINode", "CertificateSigningRequest", "ClusterRole",
    "ClusterRoleBinding", "CustomResourceDefinition", "FlowSchema", "IngressClass",
    "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume", "PriorityClass",
    "PriorityLevelConfiguration", "RuntimeClass", "StorageClass", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "VolumeAttachment",
];

/// What a constraint is about; every field that is given must match.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Match {
    #[serde(default)]
    kinds: Vec<Kinds>,
    #[serde(default)]
    scope: Scope,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default)]
    excluded_namespaces: Vec<String>,
    label_selector: Option<LabelSelector>,
    namespace_selector: Option<LabelSelector>,
    name: Option<String>,
    #[serde(default)]
    source: Origin,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kinds {
    #[serde(default)]
    api_groups: Vec<String>,
    #[serde(default)]
    kinds: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
enum Scope {
    #[default]
    #[serde(rename = "*")]
    Any,
    Cluster,
    Namespaced,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
enum Origin {
    #[default]
    All,
    Generated,
    Original,
}

/// The namespace of an object.
enum Namespace<'a> {
    Of(&'a str),
    /// The object is of the whole cluster.
    Cluster,
    /// The manifest names none, and whoever applies it chooses.
    Unknown,
}

fn namespace_of(object: &Manifest) -> Namespace<'_> {
    match object.namespace() {
        _ if object.group().is_empty() && object.kind() == "Namespace" => {
            Namespace::Of(object.name())
        }
        Some(namespace) => Namespace::Of(namespace),
        None if CLUSTER_KINDS.contains(&object.kind()) => Namespace::Cluster,
        None => Namespace::Unknown,
    }
}

/// The labels of an object; the error says what is no label.
fn labels(object: &Manifest) -> Result<BTreeMap<String, String>, String> {
    match &object.value["metadata"]["labels"] {
        Value::Null => Ok(BTreeMap::new()),
        labels => serde_json::from_value(labels.clone())
            .map_err(|error| format!("the labels of {object} are not texts: {error}")),
    }
}

impl Match {
    /// Whether the constraint is about an object; the error says why nobody knows. `others` are the
    /// objects among which namespaces are looked up.
    pub(super) fn matches(&self, object: &Manifest, others: &[Manifest]) -> Result<bool, String> {
        let is_named = |kinds: &Kinds| {
            let any = |names: &[String], name: &str| {
                names.is_empty() || names.iter().any(|one| one == "*" || one == name)
            };
            any(&kinds.api_groups, object.group()) && any(&kinds.kinds, object.kind())
        };
        if !self.kinds.is_empty() && !self.kinds.iter().any(is_named) {
            return Ok(false);
        }
        // What is given here was written by somebody, and is not generated.
        if self.source == Origin::Generated {
            return Ok(false);
        }
        if self.name.as_ref().is_some_and(|name| !is_like(name, object.name())) {
            return Ok(false);
        }
        if let Some(selector) = &self.label_selector
            && !selector.matches(&labels(object)?)
        {
            return Ok(false);
        }
        Ok(self.is_in_scope(object)? && self.is_in_namespace(object, others)?)
    }

    fn is_in_scope(&self, object: &Manifest) -> Result<bool, String> {
        let is_namespace = object.group().is_empty() && object.kind() == "Namespace";
        match (self.scope, namespace_of(object)) {
            (Scope::Any, _) => Ok(true),
            (scope, Namespace::Cluster) => Ok(scope == Scope::Cluster),
            (scope, Namespace::Of(_)) => Ok((scope == Scope::Cluster) == is_namespace),
            (_, Namespace::Unknown) => Err(format!(
                "whether {object} belongs to a namespace is not known: write `metadata.namespace`"
            )),
        }
    }

    fn is_in_namespace(&self, object: &Manifest, others: &[Manifest]) -> Result<bool, String> {
        let is_asked = !self.namespaces.is_empty()
            || !self.excluded_namespaces.is_empty()
            || self.namespace_selector.is_some();
        if !is_asked {
            return Ok(true);
        }
        let namespace = match namespace_of(object) {
            Namespace::Cluster => return Ok(true),
            Namespace::Of(namespace) => namespace,
            Namespace::Unknown => {
                return Err(format!(
                    "the namespace of {object} is not known: write `metadata.namespace`"
                ));
            }
        };
        let is_among = |patterns: &[String]| patterns.iter().any(|one| is_like(one, namespace));
        if !self.namespaces.is_empty() && !is_among(&self.namespaces)
            || is_among(&self.excluded_namespaces)
        {
            return Ok(false);
        }
        let Some(selector) = &self.namespace_selector else { return Ok(true) };
        let found = others.iter().find(|other| {
            other.group().is_empty() && other.kind() == "Namespace" && other.name() == namespace
        });
        match found {
            Some(found) => Ok(selector.matches(&labels(found)?)),
            None => Err(format!(
                "the labels of the namespace `{namespace}` are not known: add its manifest"
            )),
        }
    }
}
