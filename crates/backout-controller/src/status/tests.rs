//! Statuses of rehearsed runs.

use std::sync::{Arc, Mutex};

use backout_core::document::{Limits, read};
use backout_core::machine::{Effects, Input, Machine};
use backout_core::plan::{Brief, forward};
use backout_core::policy::ReleasePolicy;
use backout_core::release::Release;
use backout_core::units::Name;
use backout_judge::Windows;
use backout_sim::engine::Engine;
use backout_sim::faults::catalogue;
use backout_sim::rehearse::Project;
use backout_sim::run::Run;
use backout_sim::scenario::FaultPlan;
use backout_sim::world::WorldDocument;

use super::*;
use crate::resources::{Condition, ConditionStatus, ConditionType, LastCommand};

macro_rules! file {
    ($path:literal) => {
        include_str!(concat!("../../../../examples/checkout/", $path))
    };
}

fn document<T: serde::de::DeserializeOwned>(text: &str) -> T {
    read("example", text.as_bytes(), &Limits::default()).unwrap().value
}

fn project() -> Project {
    let policy: ReleasePolicy = document(file!("backout.yaml"));
    let stable: Release = document(file!("releases/1.41.0.yaml"));
    let candidate: Release = document(file!("releases/1.42.0.yaml"));
    let world: WorldDocument = document(file!("world.yaml"));
    let environment = Name::from_static("production");
    let (policy, stable, candidate) = (Arc::new(policy), Arc::new(stable), Arc::new(candidate));
    Project::new(Brief { policy, environment, stable, candidate }, world.spec, Vec::new())
}

/// The machine, with the state that it had after every input.
#[derive(Clone)]
struct Watched {
    machine: Machine,
    states: Arc<Mutex<Vec<State>>>,
}

impl Engine for Watched {
    fn step(&mut self, now: Time, input: Input) -> Effects {
        let effects = self.machine.step(now, input);
        self.states.lock().unwrap().push(self.machine.state().clone());
        effects
    }

    fn state(&self) -> &State {
        self.machine.state()
    }

    fn restored(&self, stored: State) -> Self {
        Self { machine: self.machine.restored(stored), states: Arc::clone(&self.states) }
    }
}

/// The states of one rehearsal, in order.
fn states(faults: &FaultPlan) -> Vec<State> {
    let project = project();
    let mut brief = (*project.brief).clone();
    for planned in &faults.faults {
        planned.fault.prepare(&mut brief);
    }
    let brief = Arc::new(brief);
    let world = project.healthy_world(Arc::clone(&brief), 1);
    let plan = Arc::new(forward::plan(&brief, &world.snapshot()).unwrap());
    let machine = Machine::new(brief, Arc::clone(&plan), Arc::new(Windows)).unwrap();
    let states = Arc::new(Mutex::new(vec![machine.state().clone()]));
    let engine = Watched { machine, states: Arc::clone(&states) };
    Run::new(engine, world, plan, Arc::new(faults.clone())).to_end(&mut []);
    states.lock().unwrap().clone()
}

fn states_of(fault: &str) -> Vec<State> {
    let named = catalogue().into_iter().find(|named| named.name == fault).unwrap();
    states(&FaultPlan::from(&named))
}

/// Every status, each made of the one before.
fn statuses(states: &[State]) -> Vec<ReleaseStatus> {
    let mut previous = ReleaseStatus {
        driver: Some("backout-0".to_owned()),
        last_commands: vec![LastCommand { command: "pause".to_owned(), ..LastCommand::default() }],
        ..ReleaseStatus::default()
    };
    let mut all = Vec::new();
    for state in states {
        previous = release_status(state, &previous, 3, &|at| at.to_string());
        all.push(previous.clone());
    }
    all
}

/// Each change of a status in one paragraph, in these phases, or in all.
fn told(fault: &str, phases: &[&str]) -> String {
    let mut text = String::new();
    let mut last = String::new();
    let states = states_of(fault);
    for (state, status) in states.iter().zip(statuses(&states)) {
        if !phases.is_empty() && !phases.contains(&status.phase.as_str()) {
            continue;
        }
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let holds = |condition: &&Condition| condition.status == ConditionStatus::True;
        let true_ones: Vec<String> = status
            .conditions
            .iter()
            .filter(holds)
            .map(|condition| format!("{:?}/{}", condition.kind, condition.reason))
            .collect();
        let line = format!(
            "{} at {}%, verdict {}; true: {}\n  {}\n  waiting: {}, since {}\n",
            status.phase,
            status.weight.unwrap_or_default(),
            or_none(&status.verdict),
            true_ones.join(" "),
            or_none(&status.message),
            or_none(&status.waiting_for),
            or_none(&status.waiting_since),
        );
        if line != last {
            text.push_str(&format!("{} {line}", state.last_step));
            last = line;
        }
    }
    text
}

fn condition(status: &ReleaseStatus, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.kind == kind)
}

#[test]
fn a_bad_signal_is_told_from_the_first_step_to_the_last() {
    insta::assert_snapshot!(told("error-rate", &[]));
}

#[test]
fn a_query_that_matches_nothing_is_named_while_it_is_waited_for() {
    insta::assert_snapshot!(told("metrics-absent", &["Shifting", "Deciding", "RolledBack"]));
}

#[test]
fn a_gate_that_fails_cancels() {
    insta::assert_snapshot!(told("unsigned-image", &[]));
}

#[test]
fn a_cause_that_both_releases_share_is_held() {
    insta::assert_snapshot!(told(
        "both-degrade",
        &["Holding", "Deciding", "Held", "RolledBack", "Promoted"]
    ));
}

#[test]
fn the_whole_status_of_a_release_that_was_rolled_back() {
    let all = statuses(&states_of("error-rate"));
    insta::assert_snapshot!(serde_json::to_string_pretty(all.last().unwrap()).unwrap());
}

#[test]
fn conditions_keep_to_their_convention_in_every_state() {
    for named in catalogue() {
        let states = states(&FaultPlan::from(&named));
        for status in statuses(&states) {
            let told = format!("{}: {status:#?}", named.name);
            let mut kinds: Vec<_> = status.conditions.iter().map(|one| one.kind).collect();
            let count = kinds.len();
            kinds.sort();
            kinds.dedup();
            assert_eq!(kinds.len(), count, "one of each type: {told}");
            let there = |kind| condition(&status, kind).is_some();
            let ready = condition(&status, ConditionType::Ready).unwrap();
            let moves = there(ConditionType::Reconciling);
            let stuck = there(ConditionType::Stalled);
            assert_ne!(moves || stuck, ready.status == ConditionStatus::True, "{told}");
            assert!(!(moves && stuck), "{told}");
            let holds = |kind| condition(&status, kind).unwrap().status == ConditionStatus::True;
            let (up, down) = (holds(ConditionType::Promoted), holds(ConditionType::RolledBack));
            assert!(!(up && down), "{told}");
        }
    }
}

#[test]
fn a_transition_keeps_its_time_until_the_status_changes() {
    let all = statuses(&states_of("error-rate"));
    for pair in all.windows(2) {
        for after in &pair[1].conditions {
            let before = condition(&pair[0], after.kind);
            let same = before.is_some_and(|before| before.status == after.status);
            let kept = before
                .is_some_and(|before| before.last_transition_time == after.last_transition_time);
            assert!(!same || kept, "{after:?} after {before:?}");
        }
    }
}

#[test]
fn what_the_run_knows_nothing_of_is_kept() {
    let all = statuses(&states_of("error-rate"));
    let last = all.last().unwrap();
    assert_eq!(last.driver.as_deref(), Some("backout-0"));
    assert_eq!(last.last_commands.len(), 1);
}

#[test]
fn the_same_state_gives_the_same_status_again() {
    let states = states_of("error-rate");
    let all = statuses(&states);
    for (state, status) in states.iter().zip(&all) {
        let again = release_status(state, status, 3, &|at| at.to_string());
        assert_eq!(&again, status);
    }
}
