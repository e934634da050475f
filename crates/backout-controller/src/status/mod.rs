//! What the state of a run says, as the status of its release. Pure: the state goes in, the status
//! comes out.

mod conditions;
mod not_led;
mod standing;
#[cfg(test)]
mod tests;

use backout_core::journal::SignalSeen;
use backout_core::judgement::Verdict;
use backout_core::machine::{Outcome, Phase, State};
use backout_core::plan::{Action, Cause, Choice, Direction};
use backout_core::units::Time;

pub use not_led::not_led;
pub use standing::Standing;

use crate::resources::{ReleaseStatus, SignalStatus};

/// The status of a release, from the state of its run.
///
/// `previous` is the status that the object has: from it come the times of what has not changed
/// since, and what the run knows nothing of (who drives it, and what became of commands).
/// `generation` is the object's. `clock` writes a moment of the run as RFC 3339, in UTC.
#[must_use]
pub fn release_status(
    state: &State,
    previous: &ReleaseStatus,
    generation: i64,
    clock: &dyn Fn(Time) -> String,
) -> ReleaseStatus {
    let standing = Standing::of(state);
    let begun = state.phase != Phase::Ready;
    let waiting_for = standing::waiting_for(state, standing, clock);
    let waiting_since = waiting_for
        .as_ref()
        .map(|waiting_for| waiting_since(state, standing, waiting_for, previous, clock));
    let step = state.track.step().filter(|_| begun && !state.is_at_rest());
    let message = message(state, standing);
    let ended = state.phase == Phase::Ended;
    ReleaseStatus {
        observed_generation: generation,
        phase: standing.word().to_owned(),
        step: step.map(|step| step.name.clone()),
        waiting_for,
        waiting_since,
        weight: begun.then(|| state.weight.as_percent().into()),
        verdict: verdict(state).map(|verdict| verdict_word(verdict).to_owned()),
        outcome: state.outcome.as_ref().map(ToString::to_string),
        pattern: pattern(state),
        conditions: conditions::conditions(state, standing, &message, |condition| {
            conditions::since(condition, &previous.conditions, generation, || {
                clock(state.last_step)
            })
        }),
        message: Some(message),
        plan: Some(state.track.plan.id.to_string()),
        started_at: begun.then(|| clock(Time::ZERO)),
        ended_at: ended
            .then(|| previous.ended_at.clone().unwrap_or_else(|| clock(state.last_step))),
        driver: previous.driver.clone(),
        signals: signals(state),
        undone_by: previous.undone_by.clone(),
        last_commands: previous.last_commands.clone(),
    }
}

/// A verdict as programs read it.
#[must_use]
pub const fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "inconclusive",
        Verdict::NoData => "no-data",
        Verdict::NotEvaluated => "not-evaluated",
    }
}

/// Within a step it waits since the step began. Other waits began when they were first seen.
fn waiting_since(
    state: &State,
    standing: Standing,
    waiting_for: &str,
    previous: &ReleaseStatus,
    clock: &dyn Fn(Time) -> String,
) -> String {
    let in_step = matches!(state.phase, Phase::Forward | Phase::Back);
    if in_step && standing != Standing::Paused {
        return clock(state.track.since);
    }
    let same =
        previous.phase == standing.word() && previous.waiting_for.as_deref() == Some(waiting_for);
    let since = previous.waiting_since.clone().filter(|_| same);
    since.unwrap_or_else(|| clock(state.last_step))
}

/// The worst verdict of all signals. Evidence of a former weight says nothing about this one.
fn verdict(state: &State) -> Option<Verdict> {
    let judged = state.judged.as_ref();
    let Some(watch) = &state.watch else {
        return judged.and_then(|judged| worst(&judged.signals));
    };
    let judged = judged.filter(|judged| judged.window.start >= watch.origin);
    Some(judged.and_then(|judged| worst(&judged.signals)).unwrap_or(Verdict::NotEvaluated))
}

fn worst(signals: &[SignalSeen]) -> Option<Verdict> {
    let badness = |verdict: &Verdict| match verdict {
        Verdict::Pass => 0,
        Verdict::NotEvaluated => 1,
        Verdict::Inconclusive => 2,
        Verdict::NoData => 3,
        Verdict::Fail => 4,
    };
    signals.iter().map(|signal| signal.verdict).max_by_key(badness)
}

fn signals(state: &State) -> Vec<SignalStatus> {
    let judged = state.judged.iter().flat_map(|judged| &judged.signals);
    judged
        .map(|seen| SignalStatus {
            name: seen.signal.to_string(),
            observed: seen.candidate.map(|observed| observed.to_string()),
            stable: seen.stable.map(|observed| observed.to_string()),
            threshold: seen.limit.clone(),
            verdict: verdict_word(seen.verdict).to_owned(),
            requests: seen.requests,
        })
        .collect()
}

/// The pattern of the way back that is or was taken.
fn pattern(state: &State) -> Option<String> {
    match state.track.plan.direction {
        Direction::Back { pattern } => Some(pattern.to_string()),
        Direction::Forward => None,
    }
}

/// What happened, in one or two clauses.
fn message(state: &State, standing: Standing) -> String {
    let because = state.cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
    let text = match standing {
        Standing::Pending => "the rollout has not begun".to_owned(),
        Standing::Surveying => "the world is read before the first step".to_owned(),
        Standing::Paused => "paused by a person; signals are still judged".to_owned(),
        Standing::Holding => format!("holds still{because}"),
        Standing::Deciding => format!("goes back{because}"),
        Standing::RollingBack => {
            format!("goes back by {}{because}; {}", way(state), step_in_words(state))
        }
        Standing::Held => match &state.outcome {
            Some(Outcome::Held(why)) => held(state.cause.as_ref(), why),
            _ => format!("a person is needed{because}"),
        },
        Standing::Promoted => "serves all traffic, and is known good".to_owned(),
        Standing::RolledForward => "mended by going on".to_owned(),
        Standing::Cancelled => format!("cancelled before any user traffic{because}"),
        Standing::RolledBack => format!("rolled back by {}{because}", way(state)),
        Standing::RollbackFailed => match &state.outcome {
            Some(Outcome::RollbackFailed(why)) => {
                let cause = state.cause.as_ref().map_or_else(String::new, ToString::to_string);
                format!("the way back FAILED: {why} (it was taken for this: {cause})")
            }
            _ => format!("the way back FAILED{because}"),
        },
        Standing::CheckingGates
        | Standing::Preparing
        | Standing::Shifting
        | Standing::AwaitingApproval
        | Standing::Baking
        | Standing::KeepingPrevious => {
            let then = if state.paused { "; pauses after it" } else { "" };
            format!("{}{then}", step_in_words(state))
        }
    };
    shortened(text)
}

/// Why a person is needed, and what led there if that is something else.
fn held(cause: Option<&Cause>, why: &str) -> String {
    match cause.map(ToString::to_string) {
        Some(cause) if !why.contains(&cause) => format!("a person is needed: {why} ({cause})"),
        _ => format!("a person is needed: {why}"),
    }
}

fn way(state: &State) -> String {
    match state.decision.as_ref().map(|decision| &decision.choice) {
        Some(Choice::FlagOff(flag)) => format!("turning flag {flag} off"),
        _ => format!("pattern {}", pattern(state).unwrap_or_else(|| "unknown".to_owned())),
    }
}

fn step_in_words(state: &State) -> String {
    let track = &state.track;
    match track.step() {
        Some(step) => {
            let what = match &step.action {
                // It would say all of this once more.
                Action::Notify { .. } => "tell people".to_owned(),
                other => other.to_string(),
            };
            format!("step {} of {}: {what}", track.cursor + 1, track.plan.steps.len())
        }
        None => "the last step is done".to_owned(),
    }
}

/// Most characters of a message: an object is read again and again, and a webhook's answer may
/// be long.
const LONGEST_MESSAGE: usize = 1024;

fn shortened(text: String) -> String {
    if text.chars().count() <= LONGEST_MESSAGE {
        return text;
    }
    let mut short: String = text.chars().take(LONGEST_MESSAGE - 1).collect();
    short.push('…');
    short
}
