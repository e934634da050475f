//! Runs of the example in the simulator, written down as a driver writes down a live one.

use std::path::Path;
use std::sync::{Arc, Mutex};

use backout_controller::resources::ReleaseStatus;
use backout_controller::status::release_status;
use backout_core::journal::{Entry, Event, Header, Live};
use backout_core::machine::{Effects, Input, Machine, State};
use backout_core::plan::{Brief, forward};
use backout_core::replay::Recorder;
use backout_core::units::Time;
use backout_judge::Windows;
use backout_sim::engine::Engine;
use backout_sim::faults::catalogue;
use backout_sim::run::{Run, header};
use backout_sim::scenario::FaultPlan;
use jiff::Timestamp;

use super::times::{moment, utc};
use crate::project::{Selection, load};

/// When the runs began.
const BEGAN: &str = "2026-02-03T09:30:00Z";

/// A run that was written down.
pub(super) struct Recorded {
    pub(super) brief: Brief,
    pub(super) header: Header,
    pub(super) entries: Vec<Entry>,
    /// The state after every input.
    pub(super) states: Vec<State>,
    /// The world's snapshots, as the engine took them.
    pub(super) snapshots: Vec<backout_core::snapshot::Snapshot>,
}

#[derive(Default)]
struct Written {
    entries: Vec<Entry>,
    states: Vec<State>,
    snapshots: Vec<backout_core::snapshot::Snapshot>,
}

#[derive(Clone)]
struct Writing {
    machine: Machine,
    recorder: Recorder,
    written: Arc<Mutex<Written>>,
}

impl Engine for Writing {
    fn step(&mut self, now: Time, input: Input) -> Effects {
        let mut written = self.written.lock().unwrap();
        if let Input::Observed(snapshot) = &input {
            written.snapshots.push((**snapshot).clone());
        }
        let taken = Event::Took { input: Box::new(self.recorder.record(&input)) };
        let effects = self.machine.step(now, input);
        written.entries.push(Entry { at: now, event: taken });
        let records = effects.records.iter();
        written.entries.extend(records.map(|event| Entry { at: now, event: event.clone() }));
        written.states.push(self.machine.state().clone());
        effects
    }

    fn state(&self) -> &State {
        self.machine.state()
    }

    fn restored(&self, stored: State) -> Self {
        Self { machine: self.machine.restored(stored), ..self.clone() }
    }
}

/// The example's run with this fault; `none` has none.
pub(super) fn recorded(fault: &str) -> Recorded {
    let named = catalogue().into_iter().find(|named| named.name == fault);
    let faults = match &named {
        Some(named) => FaultPlan::from(named),
        None => FaultPlan::none(),
    };
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/checkout");
    let project = load(&Selection {
        target: Some(target),
        release: None,
        against: None,
        environment: "production".to_owned(),
    })
    .unwrap_or_else(|failure| panic!("{failure}"))
    .project;
    let mut brief = (*project.brief).clone();
    for planned in &faults.faults {
        planned.fault.prepare(&mut brief);
    }
    let world = project.healthy_world(Arc::new(brief.clone()), 1);
    let planned_on = world.snapshot();
    let plan = Arc::new(forward::plan(&brief, &planned_on).unwrap());
    let machine =
        Machine::new(Arc::new(brief.clone()), Arc::clone(&plan), Arc::new(Windows)).unwrap();
    let mut header = header(&brief, &faults.name, 1);
    header.rehearsal = None;
    let started_at = BEGAN.to_owned();
    header.live = Some(Box::new(Live { started_at, brief: brief.clone(), planned_on }));
    let written = Arc::new(Mutex::new(Written::default()));
    let engine = Writing { machine, recorder: Recorder::default(), written: Arc::clone(&written) };
    Run::new(engine, world, plan, Arc::new(faults)).to_end(&mut []);
    let Written { entries, states, snapshots } = std::mem::take(&mut *written.lock().unwrap());
    Recorded { brief, header, entries, states, snapshots }
}

/// A moment of the run.
pub(super) fn at(time: Time) -> Timestamp {
    moment(BEGAN.parse().unwrap(), time)
}

impl Recorded {
    /// The first state that is wanted, and the status that the release had then.
    pub(super) fn status_when(&self, wanted: impl Fn(&State) -> bool) -> (&State, ReleaseStatus) {
        let mut status = ReleaseStatus::default();
        for state in &self.states {
            status = release_status(state, &status, 1, &|time| utc(at(time)));
            if wanted(state) {
                return (state, status);
            }
        }
        panic!("the run never came to that")
    }
}

/// Text without its colours.
pub(super) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
