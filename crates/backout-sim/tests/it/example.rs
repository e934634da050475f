//! The example project, read from its files at build time.

use std::sync::Arc;

use backout_core::document::{Limits, read};
use backout_core::plan::Brief;
use backout_core::policy::ReleasePolicy;
use backout_core::release::Release;
use backout_core::units::Name;
use backout_sim::rehearse::Project;
use backout_sim::world::WorldDocument;

macro_rules! file {
    ($path:literal) => {
        include_str!(concat!("../../../../examples/checkout/", $path))
    };
}

fn document<T: serde::de::DeserializeOwned>(name: &str, text: &str) -> T {
    match read(name, text.as_bytes(), &Limits::default()) {
        Ok(document) => document.value,
        Err(unreadable) => panic!("{unreadable:?}"),
    }
}

fn project(policy: &str) -> Project {
    let policy: ReleasePolicy = document("policy", policy);
    let stable: Release = document("1.41.0", file!("releases/1.41.0.yaml"));
    let candidate: Release = document("1.42.0", file!("releases/1.42.0.yaml"));
    let world: WorldDocument = document("world", file!("world.yaml"));
    let brief = Brief {
        policy: Arc::new(policy),
        environment: Name::from_static("production"),
        stable: Arc::new(stable),
        candidate: Arc::new(candidate),
    };
    Project::new(brief, world.spec, Vec::new())
}

/// `examples/checkout/backout.yaml`.
pub(crate) fn checkout() -> Project {
    project(file!("backout.yaml"))
}

/// `examples/checkout/fragile.yaml`.
pub(crate) fn fragile() -> Project {
    project(file!("fragile.yaml"))
}
