//! Conditions of a release, by the kstatus convention: `Reconciling` and `Stalled` are there only
//! while they are true, and never both.
//!
//! A release that was given up is stalled: without a new release nothing more becomes of it, and
//! a tool that waits for it must not wait for ever.

use backout_core::machine::State;
use backout_core::plan::{Action, Cause, Plan};

use super::Standing;
use crate::resources::{Condition, ConditionStatus, ConditionType};

/// What a condition says, without its times.
pub(super) struct Said {
    pub(super) kind: ConditionType,
    pub(super) status: ConditionStatus,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What the state says about each type of condition.
pub(super) fn conditions(
    state: &State,
    standing: Standing,
    message: &str,
    since: impl Fn(Said) -> Condition,
) -> Vec<Condition> {
    let general = |kind, status| {
        let (reason, message) = (standing.word(), message.to_owned());
        Said { kind, status, reason, message }
    };
    let mut said = vec![general(ConditionType::Ready, ready(standing))];
    match course(standing) {
        Course::Settled => {}
        Course::UnderWay => said.push(general(ConditionType::Reconciling, ConditionStatus::True)),
        Course::Stuck => said.push(general(ConditionType::Stalled, ConditionStatus::True)),
    }
    let of_its_own = [
        promoted(state, standing),
        rolled_back(standing, message),
        quarantined(state),
        gates(state),
    ];
    said.into_iter().chain(of_its_own).map(since).collect()
}

/// The condition with its times: the transition is as old as the status.
pub(super) fn since(
    said: Said,
    previous: &[Condition],
    generation: i64,
    now: impl Fn() -> String,
) -> Condition {
    let Said { kind, status, reason, message } = said;
    let before = previous.iter().find(|before| before.kind == kind && before.status == status);
    Condition {
        kind,
        status,
        observed_generation: generation,
        last_transition_time: before.map_or_else(now, |before| before.last_transition_time.clone()),
        reason: reason.to_owned(),
        message,
    }
}

enum Course {
    /// Nothing is under way, and nothing is wrong.
    Settled,
    /// Goes on by itself.
    UnderWay,
    /// Does not go on without a person.
    Stuck,
}

const fn course(standing: Standing) -> Course {
    match standing {
        Standing::Promoted | Standing::RolledForward => Course::Settled,
        Standing::AwaitingApproval
        | Standing::Paused
        | Standing::Held
        | Standing::Cancelled
        | Standing::RolledBack
        | Standing::RollbackFailed => Course::Stuck,
        Standing::Pending
        | Standing::Surveying
        | Standing::CheckingGates
        | Standing::Preparing
        | Standing::Shifting
        | Standing::Baking
        | Standing::KeepingPrevious
        | Standing::Holding
        | Standing::Deciding
        | Standing::RollingBack => Course::UnderWay,
    }
}

const fn ready(standing: Standing) -> ConditionStatus {
    match course(standing) {
        Course::Settled => ConditionStatus::True,
        Course::UnderWay | Course::Stuck => ConditionStatus::False,
    }
}

fn promoted(state: &State, standing: Standing) -> Said {
    let kind = ConditionType::Promoted;
    let serves = matches!(
        standing,
        Standing::KeepingPrevious | Standing::Promoted | Standing::RolledForward
    );
    if serves && state.reached.promoted {
        let message = "the release serves all traffic and is known good".to_owned();
        return Said { kind, status: ConditionStatus::True, reason: "KnownGood", message };
    }
    let status = ConditionStatus::False;
    match standing {
        Standing::Cancelled | Standing::RolledBack | Standing::RollbackFailed => {
            let message = "the release was given up".to_owned();
            Said { kind, status, reason: "GivenUp", message }
        }
        _ => {
            let message = "the rollout has not come that far".to_owned();
            Said { kind, status, reason: "NotPromoted", message }
        }
    }
}

fn rolled_back(standing: Standing, message: &str) -> Said {
    let kind = ConditionType::RolledBack;
    let told = message.to_owned();
    let no = ConditionStatus::False;
    match standing {
        Standing::RolledBack => {
            Said { kind, status: ConditionStatus::True, reason: "RolledBack", message: told }
        }
        Standing::Cancelled => {
            Said { kind, status: ConditionStatus::True, reason: "Cancelled", message: told }
        }
        Standing::Deciding | Standing::RollingBack => {
            Said { kind, status: no, reason: "RollingBack", message: told }
        }
        Standing::RollbackFailed => {
            Said { kind, status: no, reason: "RollbackFailed", message: told }
        }
        _ => {
            let message = "the release has not been given up".to_owned();
            Said { kind, status: no, reason: "NotGivenUp", message }
        }
    }
}

/// A step that was passed has put the digests into quarantine, unless its time ran out; then the
/// residue, which is listed last, lacks them.
fn quarantined(state: &State) -> Said {
    let kind = ConditionType::Quarantined;
    let done = state.track.plan.steps.get(..state.track.cursor).unwrap_or_default();
    let digests = done.iter().find_map(|step| match &step.action {
        Action::Quarantine { digests } => Some(digests),
        _ => None,
    });
    let listed = done.iter().any(|step| step.action == Action::CheckResidue);
    let Some(digests) = digests else {
        let message = "no digest of the release is in quarantine".to_owned();
        let status = ConditionStatus::False;
        return Said { kind, status, reason: "NotQuarantined", message };
    };
    let held: Vec<String> = digests.iter().map(|digest| digest.short().to_string()).collect();
    let found = |digest: &String| state.residue.iter().any(|left| left.subject.contains(digest));
    if listed && !held.iter().all(found) {
        let message = "the digests could not be seen in quarantine".to_owned();
        let status = ConditionStatus::Unknown;
        return Said { kind, status, reason: "NotSeen", message };
    }
    let message = format!("in quarantine: {}", held.join(", "));
    Said { kind, status: ConditionStatus::True, reason: "InQuarantine", message }
}

fn gates(state: &State) -> Said {
    let kind = ConditionType::GateFailing;
    if let Some(cause @ Cause::Gate { .. }) = &state.cause {
        let status = ConditionStatus::True;
        return Said { kind, status, reason: "GateFailed", message: cause.to_string() };
    }
    let track = state.forward.as_ref().unwrap_or(&state.track);
    let left = gates_from(&track.plan, track.cursor);
    if left > 0 {
        let message = match left {
            1 => "1 gate has not passed yet".to_owned(),
            _ => format!("{left} gates have not passed yet"),
        };
        return Said { kind, status: ConditionStatus::Unknown, reason: "GatesNotPassed", message };
    }
    let message = if gates_from(&track.plan, 0) == 0 {
        "the plan has no gates".to_owned()
    } else {
        "every gate passed".to_owned()
    };
    Said { kind, status: ConditionStatus::False, reason: "GatesPassed", message }
}

fn gates_from(plan: &Plan, cursor: usize) -> usize {
    let steps = plan.steps.get(cursor..).unwrap_or_default();
    steps.iter().filter(|step| matches!(step.action, Action::Gate { .. })).count()
}
