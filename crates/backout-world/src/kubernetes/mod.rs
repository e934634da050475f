//! What all parts of the Kubernetes adapter share.

pub mod adoption;
pub mod answer;
pub mod names;
pub mod objects;
pub mod owners;
pub mod quarantine;
pub mod set;
