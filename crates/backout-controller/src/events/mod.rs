//! Kubernetes Events: what a run's journal says, for `kubectl describe`.

mod queue;
mod sender;

use backout_core::journal::Event;
use backout_core::machine::{Outcome, Request};
use backout_core::plan::{Action, Choice};

pub use queue::Queue;
pub use sender::{Outbox, Sender};

/// Longest note that the API server accepts, in bytes.
pub const LONGEST_NOTE: usize = 1024;

/// What is told about a release. Reasons are stable; programs may match them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// Stable word, in upper camel case.
    pub reason: &'static str,
    /// Whether a person should look.
    pub warning: bool,
    /// For people, at most [`LONGEST_NOTE`] bytes.
    pub note: String,
}

/// What a journal's event is told as; `None` when it is too small to be told.
#[must_use]
pub fn told(event: &Event) -> Option<Told> {
    let (reason, warning, note) = match event {
        Event::PlanStarted { direction, steps, .. } if direction == "forward" => {
            ("RolloutStarted", false, format!("{steps} steps"))
        }
        Event::Asked { request: Request::Apply(Action::SetWeight { candidate }), .. } => {
            ("TrafficShifted", false, format!("{candidate} of user traffic goes to the release"))
        }
        Event::Asked { request: Request::Apply(Action::Quarantine { digests }), .. } => {
            let digests: Vec<String> = digests.iter().map(ToString::to_string).collect();
            ("Quarantined", true, digests.join(", "))
        }
        Event::Triggered { cause: cause @ backout_core::plan::Cause::Gate { .. } } => {
            ("GateFailed", true, cause.to_string())
        }
        Event::Decided { decision } => match &decision.choice {
            Choice::Back(pattern) => ("RollbackStarted", true, format!("pattern {pattern}")),
            Choice::FlagOff(flag) => {
                ("RollbackStarted", true, format!("flag {flag} is turned off"))
            }
            Choice::Hold(why) => ("Held", true, why.to_string()),
        },
        Event::Held { why, .. } => ("Held", true, why.clone()),
        Event::ThirdParty { what } => ("ThirdPartyWrite", true, what.clone()),
        Event::Ended { outcome, .. } => ended(outcome),
        _ => return None,
    };
    Some(Told { reason, warning, note: shortened(note) })
}

/// That someone may undo a way back, told at the beginning of a rollout, while there is time to
/// prevent it.
#[must_use]
pub fn owner_may_undo(who: &str) -> Told {
    Told { reason: "OwnerMayUndo", warning: true, note: shortened(who.to_owned()) }
}

fn ended(outcome: &Outcome) -> (&'static str, bool, String) {
    let told = outcome.to_string();
    match outcome {
        Outcome::Promoted | Outcome::RolledForward => ("Promoted", false, told),
        Outcome::Cancelled => ("Cancelled", true, told),
        Outcome::RolledBack(_) => ("RollbackCompleted", false, told),
        Outcome::Held(_) => ("Held", true, told),
        Outcome::RollbackFailed(_) => ("RollbackFailed", true, told),
    }
}

/// Cuts a note between two characters.
fn shortened(mut note: String) -> String {
    const MARK: &str = "…";
    if note.len() > LONGEST_NOTE {
        let mut end = LONGEST_NOTE - MARK.len();
        while !note.is_char_boundary(end) {
            end -= 1;
        }
        note.truncate(end);
        note.push_str(MARK);
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_cut_between_characters() {
        let long = Event::ThirdParty { what: "é".repeat(2000) };
        let told = told(&long).expect("it is told");
        assert_eq!(told.reason, "ThirdPartyWrite");
        assert!(told.note.len() <= LONGEST_NOTE && told.note.ends_with("é…"));
    }

    #[test]
    fn ends_have_reasons_of_their_own() {
        let end = |outcome| told(&Event::Ended { outcome, residue: Vec::new() }).expect("told");
        assert_eq!(end(Outcome::Promoted).reason, "Promoted");
        assert!(end(Outcome::RollbackFailed("no route".to_owned())).warning);
    }
}
