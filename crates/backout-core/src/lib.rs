//! Every decision of Backout, as pure code.
//!
//! Facts go in, plans and effects come out. Nothing in this crate reads a clock, a disk, a
//! network, the environment or a random source: time is an argument, and the world is a
//! [`snapshot::Snapshot`]. The same planner and machine therefore run in the simulator and live.

pub mod document;
pub mod finding;
pub mod journal;
pub mod judgement;
pub mod machine;
pub mod manifest;
pub mod plan;
pub mod policy;
pub mod release;
pub mod replay;
pub mod snapshot;
pub mod units;
