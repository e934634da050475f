//! What the virtual world's metrics look like from outside: series, labels, and which of them a
//! query selects.

mod explain;
mod family;
mod resolve;
mod series;

pub use family::{Family, Label, Measure, Unit, conventional};
pub use resolve::{Edges, Resolved, Selected, resolve};
pub use series::{Code, Identity};
