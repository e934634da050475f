//! Quantities of a policy and of a release, each with one exact text form and no floating point.

mod decimal;
mod digest;
mod latency;
mod limit;
mod name;
mod quantile;
mod share;
mod span;
mod text;
mod time;
mod weight;

pub use digest::{Digest, DigestError};
pub use latency::{Latency, LatencyError};
pub use limit::{Limit, LimitError};
pub use name::{Name, NameError};
pub use quantile::{Quantile, QuantileError};
pub use share::{Share, ShareError};
pub use span::{Span, SpanError, SpanFault};
pub use time::Time;
pub use weight::{Weight, WeightError};
