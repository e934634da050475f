//! Kyverno's policies in the Common Expression Language, and other places where an engine takes
//! expressions of the same form: templates of Gatekeeper and rules of Kyverno's ClusterPolicy.

mod autogen;
mod exception;
mod native;
mod policy;
mod rule;

pub use native::Native;
pub use policy::Policies;
pub use rule::CelRule;

use crate::cel::Declarations;
use crate::validating_admission_policy;

/// Names that Kyverno adds and that need a registry, the network or a cluster.
const OUTSIDE: &[(&str, &str)] = &[
    ("globalContext", "globalContext reads what Kyverno keeps of the cluster"),
    ("gzip", "the library gzip is not supported"),
    ("hash", "the library hash is not supported"),
    ("http", "http asks another server"),
    ("image", "the library image is not supported"),
    ("imageData", "imageData asks a registry"),
    ("images", "images are taken apart by Kyverno; this is not supported"),
    ("json", "the library json is not supported"),
    ("random", "the library random is not supported"),
    ("resource", "resource reads and writes objects of the cluster"),
    ("time", "the library time is not supported"),
    ("user", "user is not known before the request"),
    ("x509", "the library x509 is not supported"),
    ("yaml", "the library yaml is not supported"),
];

/// The names that Kyverno's expressions may use.
fn declarations() -> Declarations {
    let mut declarations = validating_admission_policy::declarations();
    declarations.names.insert("exceptions".to_owned());
    OUTSIDE
        .iter()
        .fold(declarations, |declarations, (name, reason)| declarations.unsupported(name, reason))
}

#[cfg(test)]
mod tests;
