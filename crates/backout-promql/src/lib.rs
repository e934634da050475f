//! Reads PromQL, without evaluating it: which series a query selects, whether it can answer
//! anything, and whether its answer can be computed from raw counters instead.
//!
//! A query may be any text. What the parser would not survive is refused before it sees it.

mod query;
mod shape;
mod unit;

pub use promql_parser::label::{METRIC_NAME, MatchOp, Matcher};
pub use promql_parser::parser::{Expr, VectorSelector};
pub use query::{Selector, answers, parse, selectors};
pub use shape::{Counter, Grouping, Shape, printed, shape};
pub use unit::{Counting, Unit, counting};
