//! What the virtual world's metrics look like from outside: series, labels, and which of them a
//! query selects.

mod family;
mod resolve;

pub use family::{Family, Label, Measure, Unit, conventional};
pub use resolve::{Code, Identity, Resolved, resolve};
