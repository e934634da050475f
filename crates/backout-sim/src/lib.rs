//! Rehearses the real planner and the real machine against a virtual world, in virtual time.
//!
//! Everything is deterministic: the same inputs and the same seed give the same journal, byte for
//! byte. Faults are data; oracles check properties after every event.

pub mod diagnose;
pub mod engine;
pub mod faults;
pub mod metrics;
pub mod oracles;
pub mod rehearse;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod sweep;
pub mod world;
