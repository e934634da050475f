//! Helm charts, read without Helm: what they are, which values they need and which they read.

pub mod needs;
mod package;
pub mod reads;
pub mod schema;
pub mod values;

pub use needs::{Failing, Need, Templates};
pub use package::{Chart, Dependency, File, digest_of_files, digest_of_values};
pub use reads::Reads;
pub use values::Values;
