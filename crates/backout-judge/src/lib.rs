//! Judges: methods that turn samples of a signal into a verdict. One method is one file.
//!
//! A judge is a pure function of the samples it is given. This crate reads no clock, does no I/O
//! and uses no floating point: shares are compared by cross multiplication in `u128`, so that the
//! same samples give the same verdict on every machine and in every replay.

mod cumulative;
mod merge;
mod reading;
mod windows;

pub use merge::merge;
pub use windows::Windows;
