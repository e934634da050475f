//! Runs the machine live: observe, step, store, perform.
//!
//! The driver keeps the machine's contract and decides nothing. Each input is written down, the
//! machine takes one step, the state and the records are stored, and only then are timers armed and
//! effects performed. Whoever drives a run holds its stored state at a version: a store that finds
//! another version means that someone else drives the run, and this driver stops at once, before
//! it performs anything.

mod clock;
mod run;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod turns;

use std::fmt;

use backout_core::judgement::Window;
use backout_core::machine::{Effect, EffectResult};
use backout_core::snapshot::Snapshot;
use backout_core::units::Time;
use futures::future::BoxFuture;

pub use clock::Clock;
pub use run::{Ended, Handle, Limits, Start, drive, drive_commanded};
pub use store::{Journal, Kept, Store, StoreFailure, Stored, Version};
pub use turns::{Turn, Turns};

use crate::failure::Failure;

/// The world as the driver needs it: something to look at, and something that carries out what it
/// is asked. An implementation bounds the time of everything that it does, and keeps count of
/// nothing: the effect says all that is needed.
pub trait World: fmt::Debug + Send + Sync + 'static {
    /// Reads everything afresh. What cannot be read is an unknown fact with its reason; the whole
    /// fails only when nothing can be read at all. The time of the facts is set by the driver.
    fn observe(&self) -> BoxFuture<'_, Result<Snapshot, Failure>>;

    /// Carries out one effect. The window of a query comes with its ends in Unix milliseconds,
    /// because the world has a clock of its own.
    fn perform<'a>(
        &'a self,
        effect: &'a Effect,
        window: Option<UnixWindow>,
    ) -> BoxFuture<'a, EffectResult>;

    /// Waits until something that the run rests on may have changed, so that it is looked at
    /// without being asked. May return too often.
    fn changed(&self) -> BoxFuture<'_, ()>;
}

/// A window in the world's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixWindow {
    /// First instant, in milliseconds since 1970.
    pub start_ms: i64,
    /// First instant that does not belong to it.
    pub end_ms: i64,
}

impl UnixWindow {
    fn of(window: Window, clock: &Clock) -> Self {
        let unix = |time: Time| clock.unix_ms(time);
        Self { start_ms: unix(window.start), end_ms: unix(window.end) }
    }
}
