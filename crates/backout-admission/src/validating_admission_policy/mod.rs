//! Kubernetes' ValidatingAdmissionPolicy, evaluated without a cluster.
//!
//! Objects are judged as if they were created, with the defaults that the API server fills in for
//! workloads and services. Defaults of other kinds, and of custom resources, are not there.

mod defaults;
pub mod matching;
mod policy;
pub mod resource;
pub mod selector;
mod world;

pub(crate) use policy::problems_of;
pub use policy::{Policies, Problem};
pub use world::{World, declarations, object, request, scope};

#[cfg(test)]
mod tests;
