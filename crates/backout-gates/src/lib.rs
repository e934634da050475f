//! Gates: what was read of a release goes in, findings and a verdict come out.
//!
//! Nothing here reads a registry, a file or a clock. An adapter reads, and says so when it could
//! not; the gate decides what that means. The same code therefore judges a release on a laptop, in
//! a pipeline, in a cluster and in a rehearsal.

pub mod admission_message;
pub mod chart;
pub mod check;
pub mod gates;
pub mod names;
pub mod oci;
mod outcome;
mod recorded;
pub mod scan;
pub mod stamp;
pub mod waivers;

pub use outcome::Outcome;
pub use recorded::Recorded;
