//! The adapters behind the engine: they observe and perform, and never decide.
//!
//! - [`configuration`]: charts, values and manifests of a project's folder.
//! - [`driver`]: runs the machine live.
//! - [`git`], [`helm`]: the programs of these names.
//! - [`live`]: the world of one run, joined from the adapters.
//! - [`kubernetes`]: names and labels of our objects, release sets, what a cluster refuses.
//! - [`probe`]: requests through the route, counted by who answers.
//! - [`process`]: other programs, with limits.
//! - [`prometheus`]: what a policy's signals measured.
//! - [`registry`]: images, from registries and image layouts.
//! - [`signatures`]: what a registry holds of signatures of an image.
//! - [`store`]: runs as they are kept in the cluster.
//! - [`traffic`]: the objects that move traffic; one provider, one file.

pub mod configuration;
pub mod driver;
pub mod failure;
pub mod git;
pub mod helm;
pub mod kubernetes;
pub mod live;
pub mod probe;
pub mod process;
pub mod prometheus;
pub mod registry;
mod secret;
pub mod signatures;
pub mod store;
mod tls;
pub mod traffic;
