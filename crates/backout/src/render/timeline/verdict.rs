//! How a run ended, and why, from its journal alone.

use backout_core::journal::{Entry, Event};
use backout_core::machine::{Outcome, Request};
use backout_core::plan::{Action, Cause, Residue};
use backout_core::units::{Span, Time, Weight};

use crate::render::words::span;

/// How a run ended, in words; and whether nothing about it needs a person or a mend.
pub(super) fn verdict(entries: &[Entry]) -> (String, bool) {
    let Some((index, outcome, _)) = last_end(entries) else { return (unfinished(entries), false) };
    let (before, at) = (&entries[..index], entries[index].at);
    let text = match outcome {
        Outcome::Promoted => format!("promoted after {}", span(at.since(Time::ZERO))),
        Outcome::RolledForward => "rolled forward".to_owned(),
        Outcome::Cancelled => {
            format!("cancelled before any user traffic{}", because(before))
        }
        Outcome::RolledBack(pattern) => {
            format!("rolled back ({pattern}){}{}", because(before), restored(before))
        }
        Outcome::Held(why) => format!("held for a person: {why}"),
        Outcome::RollbackFailed(why) => format!("rollback FAILED, page a person: {why}"),
    };
    (text, matches!(outcome, Outcome::Promoted | Outcome::RolledForward))
}

/// What the run left behind.
pub(super) fn residue(entries: &[Entry]) -> &[Residue] {
    last_end(entries).map_or(&[], |(_, _, residue)| residue)
}

/// A promoted release may still go back: the last end counts.
fn last_end(entries: &[Entry]) -> Option<(usize, &Outcome, &[Residue])> {
    entries.iter().enumerate().rev().find_map(|(index, entry)| {
        let Event::Ended { outcome, residue } = &entry.event else { return None };
        Some((index, outcome, residue.as_slice()))
    })
}

fn unfinished(entries: &[Entry]) -> String {
    let end = entries.last().map_or(Time::ZERO, |entry| entry.at);
    let doing = entries.iter().rev().find_map(|entry| {
        if let Event::Waiting { step, for_what } = &entry.event {
            return Some(format!(", in step {step}, waiting: {for_what}"));
        }
        let Event::StepStarted { step, .. } = &entry.event else { return None };
        Some(format!(", in step {step}"))
    });
    let doing = doing.unwrap_or_default();
    format!("no outcome: the journal ends after {}{doing}", span(end.since(Time::ZERO)))
}

fn triggered(entries: &[Entry]) -> Option<(usize, Time, &Cause)> {
    entries.iter().enumerate().rev().find_map(|(index, entry)| {
        let Event::Triggered { cause } = &entry.event else { return None };
        Some((index, entry.at, cause))
    })
}

fn because(entries: &[Entry]) -> String {
    triggered(entries).map_or_else(String::new, |(_, _, cause)| format!(": {}", in_words(cause)))
}

/// A cause in one clause. What a query found where it found nothing is told with the windows.
pub(in crate::render) fn in_words(cause: &Cause) -> String {
    if let Cause::NoData { signal, after, .. } = cause {
        return format!("{signal} has had no data for {}", span(*after));
    }
    cause.to_string()
}

/// How long it took until the engine saw that no user traffic reaches the candidate any more: the
/// end of the last step that took the traffic away.
fn restored(entries: &[Entry]) -> String {
    let took = triggered(entries)
        .and_then(|(index, at, _)| Some(seen_back(&entries[index..])?.since(at)))
        .filter(|took| *took > Span::ZERO);
    took.map_or_else(String::new, |took| format!("; traffic seen back after {}", span(took)))
}

fn seen_back(entries: &[Entry]) -> Option<Time> {
    let mut taking_away = false;
    let mut seen = None;
    for entry in entries {
        if matches!(entry.event, Event::StepStarted { .. }) {
            taking_away = false;
        } else if matches!(&entry.event, Event::Asked { request, .. } if takes_away(request)) {
            taking_away = true;
        } else if taking_away && matches!(entry.event, Event::StepDone { .. }) {
            seen = Some(entry.at);
        }
    }
    seen
}

fn takes_away(request: &Request) -> bool {
    matches!(request, Request::Apply(Action::SetWeight { candidate: Weight::ZERO }))
}
