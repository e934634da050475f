//! The inputs of a run, written down and read again, lead the engine to the same decisions.

use std::sync::{Arc, Mutex};

use backout_core::journal::{Entry, Event, Header, Live};
use backout_core::machine::{Effects, Input, Machine, State};
use backout_core::plan::forward;
use backout_core::replay::{Recorder, ReplayError, replay};
use backout_core::units::Time;
use backout_judge::Windows;
use backout_sim::engine::Engine;
use backout_sim::faults::catalogue;
use backout_sim::run::{Run, header};
use backout_sim::scenario::FaultPlan;

use crate::example::checkout;

/// The machine, with everything that it takes and records written down, as a driver does it.
#[derive(Clone)]
struct Recorded {
    machine: Machine,
    recorder: Recorder,
    written: Arc<Mutex<Vec<Entry>>>,
}

impl Engine for Recorded {
    fn step(&mut self, now: Time, input: Input) -> Effects {
        let taken = Event::Took { input: Box::new(self.recorder.record(&input)) };
        let effects = self.machine.step(now, input);
        let mut written = self.written.lock().expect("no test panics while it writes");
        written.push(Entry { at: now, event: taken });
        written.extend(effects.records.iter().map(|event| Entry { at: now, event: event.clone() }));
        effects
    }

    fn state(&self) -> &State {
        self.machine.state()
    }

    fn restored(&self, stored: State) -> Self {
        let machine = self.machine.restored(stored);
        Self { machine, recorder: self.recorder.clone(), written: Arc::clone(&self.written) }
    }
}

/// Runs one rehearsal and gives its header, what was written down, and the state at its end.
fn recorded(faults: &FaultPlan) -> (Header, Vec<Entry>) {
    let project = checkout();
    let mut brief = (*project.brief).clone();
    for planned in &faults.faults {
        planned.fault.prepare(&mut brief);
    }
    let world = project.healthy_world(Arc::new(brief.clone()), 1);
    let planned_on = world.snapshot();
    let plan = Arc::new(forward::plan(&brief, &planned_on).expect("a plan"));
    let machine = Machine::new(Arc::new(brief.clone()), Arc::clone(&plan), Arc::new(Windows))
        .expect("a machine");
    let mut header = header(&brief, &faults.name, 1);
    let started_at = "2026-01-01T00:00:00Z".to_owned();
    header.live = Some(Box::new(Live { started_at, brief, planned_on }));
    let written = Arc::new(Mutex::new(Vec::new()));
    let engine = Recorded { machine, recorder: Recorder::default(), written: written.clone() };
    Run::new(engine, world, plan, Arc::new(faults.clone())).to_end(&mut []);
    let entries = written.lock().expect("the run is over").clone();
    (header, entries)
}

/// As a file keeps them.
fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("JSON");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_rehearsal_replays_from_its_inputs() {
    for named in catalogue() {
        let (header, entries) = recorded(&FaultPlan::from(&named));
        let (header, entries) = (through_json(&header), through_json(&entries));
        let state = replay(&header, &entries, Arc::new(Windows));
        let state = state.unwrap_or_else(|error| panic!("{}: {error}", named.name));
        assert!(state.outcome.is_some(), "{}", named.name);
    }
}

#[test]
fn a_changed_input_is_noticed() {
    let named = catalogue();
    let fault = named.iter().find(|named| named.name == "error-rate").expect("it is there");
    let (header, mut entries) = recorded(&FaultPlan::from(fault));
    let triggered = entries.iter().position(|entry| matches!(entry.event, Event::Triggered { .. }));
    entries.remove(triggered.expect("it goes back"));
    let error = replay(&header, &entries, Arc::new(Windows)).expect_err("a line is missing");
    assert!(matches!(error, ReplayError::Differs { .. }), "{error}");
}
