//! Properties that must hold after every event of every run: one oracle, one file. Each is itself
//! tested by an engine with a planted bug that it must catch.
//!
//! `cargo xtask new-oracle NAME` writes a new file and enters it here.

use std::fmt;

use backout_core::machine::{Effects, State};
use backout_core::plan::Plan;
use backout_core::units::{Span, Time};
use serde::Serialize;

use crate::run::Record;
use crate::scenario::FaultPlan;
use crate::world::{Event, Happening, World};

/// Enters the oracles: a module per file.
macro_rules! oracles {
    ($($module:ident::$name:ident,)*) => {
        $(mod $module;)*

        /// Every oracle, ready for one run.
        #[must_use]
        pub fn all() -> Vec<Box<dyn Oracle>> {
            vec![$(Box::new($module::$name::default()),)*]
        }
    };
}

#[cfg(test)]
mod testing;

oracles! {
    // xtask:oracles {snake}::{camel},
    s1_ready_endpoints::ReadyEndpoints,
    s2_evidence::Evidence,
    s3_restorable::Restorable,
    s4_digest::RunningDigest,
    s5_order::Order,
    s6_once::Once,
    s7_fenced::Fenced,
    s8_no_return::NoReturn,
    s9_commands::Commands,
    s10_restored::Restored,
    s11_harm::HarmBudget,
    l1_promotes::Promotes,
    l2_in_time::InTime,
    l4_bounded::Bounded,
}

/// What an oracle found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Which oracle, such as `S1`.
    pub oracle: &'static str,
    /// When.
    pub at: Time,
    /// What was found.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.oracle, self.at, self.what)
    }
}

/// What an oracle sees after an event.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Virtual time.
    pub now: Time,
    /// The world as it is, faults included.
    pub world: &'a World,
    /// What the engine remembers and believes.
    pub state: &'a State,
    /// The forward plan.
    pub plan: &'a Plan,
    /// What was injected.
    pub faults: &'a FaultPlan,
    /// What happened.
    pub event: &'a Event,
    /// What the engine asked for because of it.
    pub effects: &'a Effects,
    /// What was done to the world since the last look.
    pub news: &'a [Happening],
    /// What is known about the run so far.
    pub record: &'a Record,
}

/// What an oracle sees at the end of a run.
#[derive(Clone, Copy, Debug)]
pub struct Finale<'a> {
    /// The world as it is.
    pub world: &'a World,
    /// What the engine remembers.
    pub state: &'a State,
    /// The forward plan.
    pub plan: &'a Plan,
    /// What was injected.
    pub faults: &'a FaultPlan,
    /// What is known about the run.
    pub record: &'a Record,
}

/// A property of runs. An oracle reports a breach once.
pub trait Oracle {
    /// What it is called and says.
    fn about(&self) -> About;
    /// Looks at the world after an event.
    fn check(&mut self, view: &View<'_>) -> Option<Violation>;
    /// Looks at the end of the run.
    fn finish(&mut self, finale: &Finale<'_>) -> Option<Violation> {
        let _ = finale;
        None
    }
}

/// What an oracle is called and says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Its number, such as `S1`.
    pub number: &'static str,
    /// The property, in one sentence.
    pub property: &'static str,
}

/// How old a read may be when the engine acts on it. What somebody else does meanwhile can be seen
/// by nobody, and is not held against the engine.
const UNSEEN: Span = Span::from_secs(1);

impl About {
    /// What is reported when the property does not hold.
    fn breach(self, at: Time, what: String) -> Violation {
        Violation { oracle: self.number, at, what }
    }
}
