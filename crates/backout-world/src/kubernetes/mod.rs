//! What all parts of the Kubernetes adapter share.

pub mod answer;
pub mod names;
