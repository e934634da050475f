//! For tests: container images made without Docker, and registries to keep them in.
//!
//! - [`image`]: images, indexes, attestations and referrers, the same bytes in every run.
//! - [`layout`]: images as a folder in OCI image layout.
//! - [`push`]: images into a registry, by plain HTTP.
//! - [`docker_registry`]: Debian's `docker-registry`, which has no referrers API.
//! - [`memory_registry`]: a registry in this process that has one.
//!
//! Nothing here is part of a program. It panics where a test should fail.
#![expect(clippy::missing_panics_doc, reason = "everything panics where a test should fail")]

pub mod docker_registry;
pub mod image;
pub mod layout;
pub mod memory_registry;
pub mod push;
