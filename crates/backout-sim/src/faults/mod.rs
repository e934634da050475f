//! What goes wrong: one fault, one file. A fault is data: parameters, and what they do to the
//! world. Its [`About`] is the answer key: what it stands for, what shows it, and the way back that
//! is right.
//!
//! `cargo xtask new-fault NAME` writes a new file and enters it here.

use std::fmt;

use backout_core::plan::{Brief, Cause, Pattern};
use backout_core::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::Trigger;
use crate::world::World;

/// Enters the faults: a module per file, a variant of [`Fault`] per module.
macro_rules! faults {
    ($($module:ident::$name:ident,)+) => {
        $(mod $module;)+
        $(pub use $module::$name;)+

        /// Something that goes wrong, with its parameters.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub enum Fault {
            $(
                #[doc = concat!("See `faults/", stringify!($module), ".rs`.")]
                $name($name),
            )+
        }

        impl Fault {
            fn kind(&self) -> &dyn Kind {
                match self {
                    $(Self::$name(fault) => fault,)+
                }
            }
        }

        /// Every named fault, in the order of the files.
        #[must_use]
        pub fn catalogue() -> Vec<Named> {
            let mut named = Vec::new();
            $($name::catalogue(&mut named);)+
            named
        }
    };
}

faults! {
    // xtask:faults {snake}::{camel},
    tag_moved::TagMoved,
    unsigned_image::UnsignedImage,
    old_values::OldValues,
    readiness_never::ReadinessNever,
    smoke_test_fails::SmokeTestFails,
    selector_not_flipped::SelectorNotFlipped,
    selector_half_flipped::SelectorHalfFlipped,
    metrics_absent::MetricsAbsent,
    too_few_requests::TooFewRequests,
    error_rate::ErrorRate,
    latency::SlowRequests,
    saturation::Saturation,
    both_degrade::BothDegrade,
    bad_values_commit::BadValuesCommit,
    module_breaks_app::ModuleBreaksApp,
    gitops_undoes_rollback::GitopsUndoesRollback,
    migration_breaks_stable::MigrationBreaksStable,
    controller_crash::ControllerCrash,
}

pub use controller_crash::{CrashAt, CrashPoint};

/// What a fault does. Parameters are the fields of the type that implements it.
pub trait Kind {
    /// Changes what is released, before the plan is made.
    fn prepare(&self, brief: &mut Brief) {
        let _ = brief;
    }

    /// Strikes; says in words what happened in the world.
    fn strike(&self, world: &mut World) -> String;
}

impl Fault {
    /// Changes what is released, before the plan is made.
    pub fn prepare(&self, brief: &mut Brief) {
        self.kind().prepare(brief);
    }

    /// Strikes; says in words what happened in the world.
    pub fn strike(&self, world: &mut World) -> String {
        self.kind().strike(world)
    }
}

/// A fault under the name by which people call it, with the answer key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: &'static str,
    /// When it strikes.
    pub when: Trigger,
    /// What it does.
    pub fault: Fault,
    /// The answer key.
    pub about: About,
}

/// The answer key of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// The failure mode of the mission that it belongs to, such as `F1`; empty when to none.
    pub mode: &'static str,
    /// What happens, in one sentence.
    pub what: &'static str,
    /// The incident or class of bugs that it stands for.
    pub stands_for: &'static str,
    /// What shows it.
    pub shown_by: &'static str,
    /// What must come of it.
    pub expected: Expected,
}

/// What must come of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What notices it, any of these.
    pub seen_by: &'static [SeenBy],
    /// How it ends.
    pub ending: Ending,
    /// How long noticing may take, from the moment that it can be noticed; the policy's own
    /// deadlines come on top.
    pub within: Span,
}

/// What notices that something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeenBy {
    /// A gate before traffic.
    Gate,
    /// The cluster refuses, or runs something else.
    Cluster,
    /// A wait is over.
    Deadline,
    /// Probes of the route.
    Probes,
    /// A signal over its limit.
    Signal,
    /// A signal over its limit on both releases.
    SharedCause,
    /// A signal without data.
    NoData,
    /// A signal without enough data.
    Inconclusive,
    /// A person.
    Person,
}

impl SeenBy {
    /// What kind of notice a cause is.
    #[must_use]
    pub const fn of(cause: &Cause) -> Self {
        match cause {
            Cause::Gate { .. } => Self::Gate,
            Cause::Impossible { .. } => Self::Cluster,
            Cause::Deadline { .. } => Self::Deadline,
            Cause::NotFlipped { .. } => Self::Probes,
            Cause::Planned | Cause::Signal { .. } => Self::Signal,
            Cause::SharedCause { .. } => Self::SharedCause,
            Cause::NoData { .. } => Self::NoData,
            Cause::Inconclusive { .. } => Self::Inconclusive,
            Cause::NotApproved { .. } | Cause::Operator { .. } => Self::Person,
        }
    }
}

impl fmt::Display for SeenBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gate => "a gate",
            Self::Cluster => "the cluster",
            Self::Deadline => "a deadline",
            Self::Probes => "probes of the route",
            Self::Signal => "a signal over its limit",
            Self::SharedCause => "a signal that is bad on both releases",
            Self::NoData => "missing data",
            Self::Inconclusive => "an inconclusive verdict",
            Self::Person => "a person",
        })
    }
}

/// How a run must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The candidate is promoted.
    Promoted,
    /// Back with this pattern.
    Back(Pattern),
    /// Back, or held, as the plan said in advance for the step at which it was noticed.
    AsPlanned,
    /// Held for a person.
    Held,
    /// Held for a person where both releases have traffic and can be compared; otherwise as the
    /// plan said in advance.
    HeldIfComparable,
}

/// A signal's regression: when it begins, and what the catalogue calls it then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Onset {
    /// With the first request.
    #[default]
    AtStart,
    /// Some minutes later.
    Late,
    /// After the candidate got all traffic.
    AfterPromotion,
}

impl Onset {
    /// When a regression with this onset strikes.
    #[must_use]
    pub const fn trigger(self) -> Trigger {
        match self {
            Self::AtStart => Trigger::Start {},
            Self::Late => Trigger::Exposed { after: Span::from_mins(7) },
            Self::AfterPromotion => Trigger::FullWeight { after: Span::from_mins(5) },
        }
    }
}

/// The answer key that most regressions share.
const NOTICED_BY_SIGNAL: Expected =
    Expected { seen_by: &[SeenBy::Signal], ending: Ending::AsPlanned, within: Span::from_mins(5) };

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let named = catalogue();
        let names: BTreeSet<_> = named.iter().map(|named| named.name).collect();
        assert_eq!(names.len(), named.len());
        assert!(!names.contains("none"), "`none` is the run without a fault");
    }

    #[test]
    fn every_answer_key_is_complete() {
        for named in catalogue() {
            let about = named.about;
            for text in [about.what, about.stands_for, about.shown_by] {
                assert!(text.len() > 10 && text.ends_with('.'), "{}: {text}", named.name);
            }
            assert!(!about.expected.seen_by.is_empty(), "{}", named.name);
        }
    }
}
