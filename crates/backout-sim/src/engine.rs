//! The engine under rehearsal. The real machine is one; the oracles' tests put in machines with a
//! planted bug, which the oracles must catch.

use std::sync::Arc;

use backout_core::machine::{Effects, Input, Machine, State};
use backout_core::units::Time;

/// Something that runs a plan.
pub trait Engine: Clone {
    /// Takes one input; see [`Machine::step`].
    fn step(&mut self, now: Time, input: Input) -> Effects;
    /// What it remembers.
    fn state(&self) -> &State;
    /// The same engine after a crash, with the state that was stored.
    fn restored(&self, stored: State) -> Self;
}

impl Engine for Machine {
    fn step(&mut self, now: Time, input: Input) -> Effects {
        Self::step(self, now, input)
    }

    fn state(&self) -> &State {
        Self::state(self)
    }

    fn restored(&self, stored: State) -> Self {
        // The brief was good when the run began, so that restoring it cannot fail; if it did, the
        // machine goes on as it was, which the oracles would see.
        Self::restore(Arc::clone(self.brief()), stored, Arc::clone(self.judge()))
            .unwrap_or_else(|_| self.clone())
    }
}
