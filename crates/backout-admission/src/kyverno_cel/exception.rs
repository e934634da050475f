//! Exceptions from policies.

use backout_core::document::FieldPath;
use backout_core::manifest::Manifest;
use serde_json::{Value, json};

use super::declarations;
use crate::cel::Environment;
use crate::cel::policy::{Condition, Fields, Undecided, all_hold};
use crate::validating_admission_policy::matching::Subject;
use crate::validating_admission_policy::{World, scope};

/// An exception of `policies.kyverno.io`.
#[derive(Clone, Debug)]
pub(super) struct Exception {
    /// Namespace and name, for people.
    pub(super) name: String,
    /// Names and kinds of the policies that it is about.
    policies: Vec<(String, String)>,
    conditions: Result<Vec<Condition>, String>,
    /// Images and values that expressions may look at; with them, the policy still applies.
    allowed_images: Vec<Value>,
    allowed_values: Vec<Value>,
}

/// What exceptions mean for an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Excepted {
    /// The exceptions that let it pass whatever the policy says.
    pub(super) by: Vec<String>,
    /// Why it is not known whether one does.
    pub(super) unknown: Option<String>,
    images: Vec<Value>,
    values: Vec<Value>,
}

impl Excepted {
    /// What `exceptions` is for expressions.
    pub(super) fn value(&self) -> Value {
        json!({"allowedImages": self.images, "allowedValues": self.values})
    }
}

impl Exception {
    /// Reads an exception.
    pub(super) fn read(manifest: &Manifest, environment: &Environment) -> Self {
        let spec = &manifest.value["spec"];
        let path = FieldPath::root().key("spec");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |field: &str| spec[field].as_array().cloned().unwrap_or_default();
        let policies =
            list("policyRefs").iter().map(|of| (text(&of["name"]), text(&of["kind"]))).collect();
        let fields = Fields::new(manifest, &path, spec);
        Self {
            name: manifest.to_string(),
            policies,
            conditions: Condition::read(
                fields,
                "matchConditions",
                environment,
                &declarations(),
                &str::to_owned,
            ),
            allowed_images: list("images"),
            allowed_values: list("allowedValues"),
        }
    }

    /// Whether the exception is about a policy.
    pub(super) fn is_about(&self, policy: &Manifest) -> bool {
        self.policies
            .iter()
            .any(|(name, kind)| name == policy.name() && (kind.is_empty() || kind == policy.kind()))
    }
}

/// Finds out what exceptions mean for an object.
pub(super) fn consider(
    exceptions: &[Exception],
    policy: &Manifest,
    environment: &Environment,
    subject: &Subject<'_>,
    world: &World<'_>,
) -> Excepted {
    let mut excepted = Excepted::default();
    for exception in exceptions.iter().filter(|exception| exception.is_about(policy)) {
        let mut scope = scope(environment, &[], subject, world);
        scope.set("exceptions", &Excepted::default().value());
        let applies = match &exception.conditions {
            Ok(conditions) => all_hold(conditions, &mut scope),
            Err(reason) => Err(Undecided::Unsupported(reason.clone())),
        };
        match applies {
            Ok(false) => {}
            Ok(true) => {
                if exception.allowed_images.is_empty() && exception.allowed_values.is_empty() {
                    excepted.by.push(exception.name.clone());
                }
                excepted.images.extend(exception.allowed_images.iter().cloned());
                excepted.values.extend(exception.allowed_values.iter().cloned());
            }
            Err(Undecided::Error(reason) | Undecided::Unsupported(reason)) => {
                excepted.unknown = Some(format!("{}: {reason}", exception.name));
            }
        }
    }
    if !excepted.images.is_empty() || !excepted.values.is_empty() {
        // Kyverno evaluates the policy as soon as one exception allows only certain values.
        excepted.by.clear();
    }
    excepted
}
