//! A live run, told again: the inputs that the engine took are in the journal, and the same engine
//! must make the same decisions of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::journal::{Entry, Event, Header};
use crate::judgement::Judge;
use crate::machine::{Command, EffectId, EffectResult, Input, Machine, State, TimerReason};
use crate::plan::forward;
use crate::snapshot::Snapshot;
use crate::units::Time;

/// An input as a journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Taken {
    /// The run began.
    Start,
    /// Something was seen that differs from what was seen before.
    Observed {
        /// What.
        snapshot: Box<Snapshot>,
    },
    /// The same was seen as the last time, at a later time.
    ObservedAgain {
        /// When.
        as_of: Time,
    },
    /// An effect was answered.
    Done {
        /// Which one.
        effect: EffectId,
        /// The answer.
        result: EffectResult,
    },
    /// A time came.
    Timer {
        /// What it was for.
        reason: TimerReason,
    },
    /// A person's command.
    Command {
        /// Which one.
        command: Command,
    },
    /// The engine came back from its stored state.
    Restarted,
}

/// Writes inputs down. What was seen last is kept, so that a look that shows nothing new takes one
/// short line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Recorder {
    seen: Option<Box<Snapshot>>,
}

impl Recorder {
    /// The input as the journal keeps it.
    #[must_use]
    pub fn record(&mut self, input: &Input) -> Taken {
        match input {
            Input::Start => Taken::Start,
            Input::Observed(snapshot) => {
                let as_of = snapshot.as_of;
                let again = self.seen.take().is_some_and(|seen| seen.as_of(as_of) == **snapshot);
                self.seen = Some(snapshot.clone());
                if again {
                    Taken::ObservedAgain { as_of }
                } else {
                    Taken::Observed { snapshot: snapshot.clone() }
                }
            }
            Input::Done { effect, result } => {
                Taken::Done { effect: *effect, result: result.clone() }
            }
            Input::Timer(reason) => Taken::Timer { reason: *reason },
            Input::Command(command) => Taken::Command { command: command.clone() },
            Input::Restarted => Taken::Restarted,
        }
    }

    /// Whether an observation shows nothing but what was seen last, at a later time.
    #[must_use]
    pub fn has_seen(&self, snapshot: &Snapshot) -> bool {
        self.seen.as_ref().is_some_and(|seen| (**seen).clone().as_of(snapshot.as_of) == *snapshot)
    }

    /// Whether an observation is older than what was seen last.
    #[must_use]
    pub fn is_behind(&self, snapshot: &Snapshot) -> bool {
        self.seen.as_ref().is_some_and(|seen| snapshot.as_of < seen.as_of)
    }

    /// The input that was written down.
    ///
    /// # Errors
    /// When the journal refers to something that it does not hold.
    pub fn read(&mut self, taken: &Taken) -> Result<Input, String> {
        Ok(match taken {
            Taken::Start => Input::Start,
            Taken::Observed { snapshot } => {
                self.seen = Some(snapshot.clone());
                Input::Observed(snapshot.clone())
            }
            Taken::ObservedAgain { as_of } => {
                let seen = self.seen.take().ok_or("the journal lacks the first observation")?;
                let seen = Box::new(seen.as_of(*as_of));
                self.seen = Some(seen.clone());
                Input::Observed(seen)
            }
            Taken::Done { effect, result } => {
                Input::Done { effect: *effect, result: result.clone() }
            }
            Taken::Timer { reason } => Input::Timer(*reason),
            Taken::Command { command } => Input::Command(command.clone()),
            Taken::Restarted => Input::Restarted,
        })
    }
}

/// Why a journal does not replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The journal is of a rehearsal, which is replayed from its seed.
    #[error("the journal keeps no inputs: it is not one of a live run")]
    NotLive,
    /// The plan cannot be made again.
    #[error("the plan cannot be made again: {0}")]
    Plan(String),
    /// The journal itself is broken.
    #[error("entry {entry}: {why}")]
    Broken {
        /// Number of the entry, from 1.
        entry: usize,
        /// What is wrong.
        why: String,
    },
    /// The engine decides otherwise now.
    #[error("entry {entry}: the journal has {recorded}, the engine now says {replayed}")]
    Differs {
        /// Number of the entry, from 1.
        entry: usize,
        /// What the journal has.
        recorded: String,
        /// What the engine says.
        replayed: String,
    },
}

/// Replays a live run and returns the state that it ends in.
///
/// # Errors
/// When the journal is not of a live run, is broken, or the engine decides otherwise.
pub fn replay(
    header: &Header,
    entries: &[Entry],
    judge: Arc<dyn Judge>,
) -> Result<State, ReplayError> {
    let live = header.live.as_deref().ok_or(ReplayError::NotLive)?;
    let plan = forward::plan(&live.brief, &live.planned_on)
        .map_err(|error| ReplayError::Plan(error.to_string()))?;
    let mut machine = Machine::new(Arc::new(live.brief.clone()), Arc::new(plan), judge)
        .map_err(|error| ReplayError::Plan(error.to_string()))?;
    let mut recorder = Recorder::default();
    let mut expected: std::collections::VecDeque<Event> = std::collections::VecDeque::new();
    for (entry, number) in entries.iter().zip(1..) {
        if let Event::Took { input } = &entry.event {
            if let Some(left) = expected.front() {
                return Err(differs(number, &entry.event, left));
            }
            let input =
                recorder.read(input).map_err(|why| ReplayError::Broken { entry: number, why })?;
            expected = machine.step(entry.at, input).records.into();
            continue;
        }
        match expected.pop_front() {
            Some(event) if event == entry.event => {}
            Some(event) => return Err(differs(number, &entry.event, &event)),
            None => {
                let recorded = in_json(&entry.event);
                let replayed = "nothing".to_owned();
                return Err(ReplayError::Differs { entry: number, recorded, replayed });
            }
        }
    }
    match expected.front() {
        Some(left) => Err(ReplayError::Differs {
            entry: entries.len() + 1,
            recorded: "nothing".to_owned(),
            replayed: in_json(left),
        }),
        None => Ok(machine.state().clone()),
    }
}

fn differs(entry: usize, recorded: &Event, replayed: &Event) -> ReplayError {
    ReplayError::Differs { entry, recorded: in_json(recorded), replayed: in_json(replayed) }
}

fn in_json(event: &Event) -> String {
    // An event holds only strings, numbers and lists, which always serialise.
    serde_json::to_string(event).unwrap_or_default()
}
