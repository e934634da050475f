//! The beginning of a run: what is there, whether it may begin, and the plan.

use std::sync::Arc;

use backout_core::journal::{self, Header};
use backout_core::plan::{Brief, PlanError, forward};
use backout_core::policy::Gate;
use backout_core::snapshot::Snapshot;
use backout_core::units::Time;
use jiff::Timestamp;

use super::Live;
use crate::driver::{Start, World as _};
use crate::failure::Failure;

/// Why a run cannot begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    /// The world could not be read.
    #[error("{}", .0.in_full())]
    World(#[from] Failure),
    /// No plan can be made.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The release changes something that nobody would do.
    #[error(
        "the release changes {part} ({what}), which is not driven in a cluster; name it under \
         `spec.external` if the pipeline does it"
    )]
    Undriven {
        /// The part of the release.
        part: String,
        /// What changes.
        what: String,
    },
    /// The policy has a gate that nobody can evaluate.
    #[error(
        "gate {gate} cannot be evaluated in a cluster yet; take it out of `spec.gates`, and let \
         the pipeline check it"
    )]
    Gate {
        /// Its name.
        gate: &'static str,
    },
}

/// Looks, plans, and returns what a driver begins with. Nothing is changed.
///
/// # Errors
///
/// When the run cannot begin, with what to do.
pub async fn begin(live: &Live, started: Timestamp) -> Result<Start, BeginError> {
    let brief = &live.brief;
    if let Some((part, what)) = brief.undriven(&[]).into_iter().next() {
        return Err(BeginError::Undriven { part: part.to_string(), what });
    }
    let gates = &brief.policy.spec.gates;
    if let Some(gate) = gates.iter().find(|gate| !matches!(gate, Gate::SmokeTest(_))) {
        return Err(BeginError::Gate { gate: gate.name() });
    }
    let snapshot = live.observe().await?.as_of(Time::ZERO);
    let plan = Arc::new(forward::plan(brief, &snapshot)?);
    let header = header(brief, started, snapshot);
    Ok(Start::New { header: Box::new(header), plan, started })
}

fn header(brief: &Brief, started: Timestamp, planned_on: Snapshot) -> Header {
    Header {
        format: journal::FORMAT.to_owned(),
        policy: brief.policy.metadata.name.clone(),
        environment: brief.environment.clone(),
        stable: brief.stable.reference(),
        candidate: brief.candidate.reference(),
        strategy: brief.strategy_in_words(),
        rehearsal: None,
        live: Some(Box::new(journal::Live {
            started_at: started.to_string(),
            brief: brief.clone(),
            planned_on,
        })),
    }
}
