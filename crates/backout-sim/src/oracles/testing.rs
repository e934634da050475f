//! What the oracles' tests share: a small project, runs of it, and machines with a planted bug.

use std::sync::Arc;

use backout_core::document::{Limits, read};
use backout_core::journal::Event as Entry;
use backout_core::judgement::Judge;
use backout_core::machine::{
    Command, Effect, EffectId, Effects, Input, Machine, Outcome, Precondition, Request, State,
};
use backout_core::plan::{Action, Brief};
use backout_core::snapshot::Arm;
use backout_core::units::{Name, Span, Time};
use backout_judge::Windows;
use serde::de::DeserializeOwned;

use crate::engine::Engine;
use crate::faults::{ControllerCrash, CrashAt, CrashPoint, Fault, catalogue};
use crate::rehearse::{Options, Project, prepare};
use crate::run::{Record, Run};
use crate::scenario::{FaultPlan, PlannedFault, Trigger};
use crate::world::{Event, WorldSpec};

const POLICY: &str = r#"
apiVersion: backout.dev/v1alpha1
kind: ReleasePolicy
metadata: { name: shop, namespace: shop }
spec:
  workload: { kind: Deployment, name: shop }
  environments:
    - name: production
      config: { chart: chart, values: [production.yaml] }
  traffic:
    route: { kind: HTTPRoute, name: shop }
  strategy:
    canary:
      steps:
        - setWeight: 5
        - analyse: 3m
        - setWeight: 25
        - analyse: {}
        - setWeight: 100
    bake: 10m
  signals:
    - name: error-rate
      ratio:
        bad: sum(increase(http_requests_total{namespace="$namespace", release="$release", code=~"5.."}[$window]))
        total: sum(increase(http_requests_total{namespace="$namespace", release="$release"}[$window]))
      max: 1%
    - name: latency-p99
      quantile:
        histogram: sum by (le) (increase(http_request_duration_seconds_bucket{namespace="$namespace", release="$release"}[$window]))
        q: 0.99
      max: 500ms
    - name: saturation
      gauge: max by (pod) (container_cpu_utilization{namespace="$namespace", pod=~"$release-.*"})
      max: 85%
  gates:
    - artifactDigest: {}
    - artifactSignature: {}
    - configDrift: {}
    - smokeTest: { run: [smoke.sh] }
  rollback: { within: 60s, harmBudget: 2000, keepPrevious: 1h, settle: 1m }
"#;

const STABLE: &str = r#"
apiVersion: backout.dev/v1alpha1
kind: Release
metadata: { name: shop-1.0.0, namespace: shop }
spec:
  workload: shop
  version: 1.0.0
  images:
    - name: shop
      repository: registry.example/shop
      tag: 1.0.0
      digest: sha256:1111111111111111111111111111111111111111111111111111111111111111
  config: { revision: "1111111111111111111111111111111111111111", chartVersion: 1.0.0 }
  migrations:
    - { id: 0001_orders, previousRelease: works }
  infrastructure:
    - { name: orders-db, source: modules/db, version: 1.0.0 }
  context:
    gitSha: "1111111111111111111111111111111111111111"
    gitRef: refs/tags/v1.0.0
    repository: https://git.example/shop
    buildNumber: 1
    builtAt: "2026-01-01T00:00:00Z"
"#;

const CANDIDATE: &str = r#"
apiVersion: backout.dev/v1alpha1
kind: Release
metadata: { name: shop-1.1.0, namespace: shop }
spec:
  workload: shop
  version: 1.1.0
  images:
    - name: shop
      repository: registry.example/shop
      tag: 1.1.0
      digest: sha256:2222222222222222222222222222222222222222222222222222222222222222
  config: { revision: "2222222222222222222222222222222222222222", chartVersion: 1.1.0 }
  migrations:
    - { id: 0001_orders, previousRelease: works }
    - { id: 0002_coupons, previousRelease: works }
  flags:
    - { key: coupons, enabled: true }
  infrastructure:
    - { name: orders-db, source: modules/db, version: 1.0.0 }
    - { name: coupon-events, source: modules/queue, version: 1.0.0 }
  context:
    gitSha: "2222222222222222222222222222222222222222"
    gitRef: refs/tags/v1.1.0
    repository: https://git.example/shop
    buildNumber: 2
    builtAt: "2026-01-02T00:00:00Z"
"#;

fn document<T: DeserializeOwned>(name: &str, text: &str) -> T {
    read(name, text.as_bytes(), &Limits::default())
        .unwrap_or_else(|unreadable| panic!("{name}: {:?}", unreadable.problems))
        .value
}

/// A rehearsal of the small project: a canary of 5, 25 and 100 % on four replicas, with a change
/// of everything that can change without harm.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Policy and releases, before the faults have prepared them.
    pub(super) brief: Brief,
    /// What the world is like.
    pub(super) world: WorldSpec,
    /// What goes wrong.
    pub(super) faults: FaultPlan,
    persons: Vec<(Span, Command)>,
    judge: Arc<dyn Judge>,
}

impl Case {
    /// Nothing goes wrong.
    pub(super) fn healthy() -> Self {
        Self {
            brief: Brief {
                policy: Arc::new(document("policy", POLICY)),
                environment: Name::from_static("production"),
                stable: Arc::new(document("stable", STABLE)),
                candidate: Arc::new(document("candidate", CANDIDATE)),
            },
            world: WorldSpec::default(),
            faults: FaultPlan::none(),
            persons: Vec::new(),
            judge: Arc::new(Windows),
        }
    }

    /// A fault of the catalogue.
    pub(super) fn fault(name: &str) -> Self {
        let named = catalogue().into_iter().find(|named| named.name == name);
        let named = named.unwrap_or_else(|| panic!("the catalogue has no fault {name}"));
        Self { faults: FaultPlan::from(&named), ..Self::healthy() }
    }

    /// The controller crashes at the effect of that number.
    pub(super) fn crash(number: u32, point: CrashPoint, bad_release: bool) -> Self {
        let (at, down) = (CrashAt::Effect(number), Span::from_secs(10));
        let fault = Fault::ControllerCrash(ControllerCrash { at, point, down, bad_release });
        let name = format!("crash {point:?} of {number}");
        let faults = vec![PlannedFault { when: Trigger::Start {}, fault }];
        Self { faults: FaultPlan { name, faults }, ..Self::healthy() }
    }

    /// A person gives a command so long after the start.
    pub(super) fn person(mut self, after: Span, command: Command) -> Self {
        self.persons.push((after, command));
        self
    }

    /// Another judge.
    pub(super) fn judged_by(mut self, judge: Arc<dyn Judge>) -> Self {
        self.judge = judge;
        self
    }

    /// Runs the real machine.
    pub(super) fn run(&self) -> Record {
        self.run_engine(|machine| machine)
    }

    /// Runs a machine with a planted bug.
    pub(super) fn run_with<B: Bug>(&self, bug: B) -> Record {
        self.run_engine(|machine| Mutant { machine, bug })
    }

    fn run_engine<E: Engine>(&self, engine: impl FnOnce(Machine) -> E) -> Record {
        let project = Project::new(self.brief.clone(), self.world.clone(), Vec::new());
        let options = Options { seed: 1, journal: false, forks: false };
        let run = prepare(&project, &self.faults, options).expect("a plan");
        let (brief, plan) = (Arc::clone(run.engine.brief()), run.plan());
        let machine = Machine::new(brief, Arc::clone(&plan), Arc::clone(&self.judge));
        let engine = engine(machine.expect("a machine"));
        let faults = Arc::new(self.faults.clone());
        let mut run = Run::new(engine, run.world, plan, faults).with_journal();
        for (after, command) in &self.persons {
            run.world.schedule(*after, Event::Person(command.clone()));
        }
        run.to_end(&mut super::all())
    }
}

/// What is wrong with an engine.
pub(super) trait Bug: Clone {
    /// What the engine takes an input for; nothing when it is lost.
    fn hear(&mut self, machine: &mut Machine, now: Time, input: Input) -> Option<Input> {
        let _ = (machine, now);
        Some(input)
    }

    /// What it does instead of what the machine wants done.
    fn act(&mut self, machine: &mut Machine, now: Time, effects: Effects) -> Effects {
        let _ = (machine, now);
        effects
    }
}

/// The machine with a bug.
#[derive(Clone)]
struct Mutant<B> {
    machine: Machine,
    bug: B,
}

impl<B: Bug> Engine for Mutant<B> {
    fn step(&mut self, now: Time, input: Input) -> Effects {
        let effects = match self.bug.hear(&mut self.machine, now, input) {
            Some(input) => self.machine.step(now, input),
            None => Effects::default(),
        };
        self.bug.act(&mut self.machine, now, effects)
    }

    fn state(&self) -> &State {
        self.machine.state()
    }

    fn restored(&self, stored: State) -> Self {
        Self { machine: Engine::restored(&self.machine, stored), bug: self.bug.clone() }
    }
}

/// An effect that the machine did not ask for, and whose answer it does not know.
pub(super) fn extra(machine: &Machine, number: u32, request: Request) -> Effect {
    let state = machine.state();
    Effect {
        id: EffectId(2_000_000 + number),
        plan: state.track.plan.id.clone(),
        generation: state.generation,
        request,
        precondition: None,
    }
}

/// Changes what the machine remembers.
pub(super) fn rewrite(machine: &mut Machine, change: impl FnOnce(&mut State)) {
    let mut state = machine.state().clone();
    change(&mut state);
    *machine = Engine::restored(machine, state);
}

/// Leaves steps out of the plan that runs, as far as they are still to come.
pub(super) fn leave_out(machine: &mut Machine, unwanted: impl Fn(&Action) -> bool) {
    let track = &machine.state().track;
    let to_come = track.cursor + usize::from(track.plan.steps.len() > track.cursor + 1);
    if track.plan.steps.iter().skip(to_come).any(|step| unwanted(&step.action)) {
        rewrite(machine, |state| {
            let plan = Arc::make_mut(&mut state.track.plan);
            let rest = plan.steps.split_off(to_come);
            plan.steps.extend(rest.into_iter().filter(|step| !unwanted(&step.action)));
        });
    }
}

/// Whether an action is asked for.
pub(super) fn is_asked(effects: &Effects, wanted: impl Fn(&Action) -> bool) -> bool {
    let mut requests = effects.effects.iter().map(|effect| &effect.request);
    requests.any(|request| matches!(request, Request::Apply(action) if wanted(action)))
}

/// Whether the candidate was promoted.
pub(super) fn has_promoted(effects: &Effects) -> bool {
    let ended = |record: &Entry| matches!(record, Entry::Ended { outcome: Outcome::Promoted, .. });
    effects.records.iter().any(ended)
}

/// Whether the way back begins.
pub(super) fn has_triggered(effects: &Effects) -> bool {
    effects.records.iter().any(|record| matches!(record, Entry::Triggered { .. }))
}

/// The precondition on a set that an observation allows.
pub(super) fn precondition_of(input: &Input, arm: Arm) -> Option<Precondition> {
    let Input::Observed(snapshot) = input else { return None };
    let set = snapshot.set(arm)?;
    Some(Precondition { uid: set.uid, resource_version: set.resource_version })
}

/// The number of the first effect of a kind, as crashes count them: from 0, and every effect. Only
/// for runs in which nothing is asked twice under one id.
pub(super) fn number_of(record: &Record, wanted: impl Fn(&Request) -> bool) -> u32 {
    let mut entries = record.journal.iter().flatten();
    let found = entries.find_map(|entry| {
        let Entry::Asked { effect, request } = &entry.event else { return None };
        wanted(request).then(|| effect.0 - 1)
    });
    found.expect("the run has such an effect")
}

/// No oracle found anything.
#[track_caller]
pub(super) fn assert_clean(record: &Record) {
    let found: Vec<_> = record.violations.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "found in a run that is right: {found:#?}");
}

/// This oracle found something, and once.
#[track_caller]
pub(super) fn assert_found(record: &Record, oracle: &str) {
    let found: Vec<_> = record.violations.iter().map(ToString::to_string).collect();
    let times = record.violations.iter().filter(|violation| violation.oracle == oracle).count();
    assert_eq!(times, 1, "{oracle} is to report once: {found:#?}");
}
