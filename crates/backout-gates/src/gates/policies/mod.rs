//! The gate on admission policies: what the engines decided goes in.

mod decision;

pub use decision::{Decided, Decision, Engine, Rule};
