//! Images as registries keep them: manifests, indexes, configurations, references.
//!
//! Everything here reads bytes that somebody else wrote. A document that is too long, too deep or
//! contradicts itself is refused with the reason and the place; fields that are not known survive.
//!
//! Sources: the OCI image and distribution specifications 1.1, and the Docker image manifest
//! version 2, schema 2.

mod config;
mod descriptor;
mod document;
mod lookup;
mod manifest;
pub mod media_type;
mod platform;
mod provenance;
mod reference;

pub use config::{ContainerConfig, ImageConfig, RootFs};
pub use descriptor::Descriptor;
pub use document::{MOST_CONFIG_BYTES, MOST_MANIFEST_BYTES, Unreadable};
pub use lookup::Lookup;
pub use manifest::{ImageManifest, Index, Manifest};
pub use platform::Platform;
pub use provenance::Provenance;
pub use reference::{Reference, ReferenceError, Repository, Wanted};
