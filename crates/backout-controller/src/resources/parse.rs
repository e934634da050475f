//! From an object of the API server to the type of the engine, through the strict reader of
//! files. What is wrong comes back in words, so that one invalid object never ends a watch.

use std::fmt;

use backout_core::document::{Limits, Problem, read};
use backout_core::policy::validate::Breach;
use backout_core::policy::{self, ReleasePolicy};
use backout_core::release::{self, Release};
use kube::core::DynamicObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::quarantine::QuarantineSpec;
use super::{GROUP, Resource, VERSION};

/// Why an object cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The object, such as `Release shop/checkout-1.42.0`.
    pub object: String,
    /// Everything that was found, each as field, what is wrong, and what to do. Never empty.
    pub problems: Vec<String>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.problems.join("\n"))
    }
}

impl std::error::Error for Invalid {}

/// Reads a policy.
///
/// # Errors
/// With everything that is wrong with it.
pub fn parse_policy(object: &DynamicObject) -> Result<ReleasePolicy, Invalid> {
    let policy = parse(Resource::ReleasePolicy, object)?;
    sound(Resource::ReleasePolicy, object, &policy::validate::validate(&policy))?;
    Ok(policy)
}

/// Reads a release.
///
/// # Errors
/// With everything that is wrong with it.
pub fn parse_release(object: &DynamicObject) -> Result<Release, Invalid> {
    let release = parse(Resource::Release, object)?;
    sound(Resource::Release, object, &release::validate::validate(&release))?;
    Ok(release)
}

/// Reads the body of a quarantine.
///
/// # Errors
/// With everything that is wrong with it.
pub fn parse_quarantine(object: &DynamicObject) -> Result<QuarantineSpec, Invalid> {
    /// The body is all that counts; the rest is checked by nobody else.
    #[derive(Deserialize)]
    struct Body {
        spec: QuarantineSpec,
    }
    parse::<Body>(Resource::Quarantine, object).map(|body| body.spec)
}

fn parse<T: DeserializeOwned>(resource: Resource, object: &DynamicObject) -> Result<T, Invalid> {
    let name = named(resource, object);
    let metadata = match &object.metadata.namespace {
        Some(namespace) => json!({ "name": object.metadata.name, "namespace": namespace }),
        None => json!({ "name": object.metadata.name }),
    };
    let document = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": resource.kind(),
        "metadata": metadata,
        "spec": object.data.get("spec").unwrap_or(&Value::Null),
    });
    let text = document.to_string();
    read::<T>(&name, text.as_bytes(), &Limits::default()).map(|document| document.value).map_err(
        |unreadable| Invalid {
            object: name,
            problems: unreadable.problems.iter().map(in_words).collect(),
        },
    )
}

fn sound(resource: Resource, object: &DynamicObject, breaches: &[Breach]) -> Result<(), Invalid> {
    if breaches.is_empty() {
        return Ok(());
    }
    let told = |breach: &Breach| format!("{}: {}; {}", breach.path, breach.message, breach.help);
    Err(Invalid { object: named(resource, object), problems: breaches.iter().map(told).collect() })
}

fn named(resource: Resource, object: &DynamicObject) -> String {
    let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
    let name = object.metadata.name.as_deref().unwrap_or_default();
    format!("{} {namespace}/{name}", resource.kind())
}

/// The line and column are those of a text that nobody has seen, so the field says where.
fn in_words(problem: &Problem) -> String {
    let mut told = problem.path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
    told.push_str(&problem.message);
    if let Some(expected) = &problem.expected {
        told.push_str("; expected ");
        told.push_str(expected);
    }
    if let Some(help) = &problem.help {
        told.push_str("; ");
        told.push_str(help);
    }
    told
}
