//! Hand-made rehearsals for the tests of everything that shows one.

use std::sync::Arc;

use backout_core::document::{self, FieldPath, Limits};
use backout_core::journal::{FORMAT, Header};
use backout_core::plan::{Direction, Plan, PlanId};
use backout_core::policy::Gate;
use backout_core::release::ReleaseRef;
use backout_core::units::{Name, Weight};
use backout_sim::run::Record;

use super::*;

/// A policy that is just large enough to be one.
const POLICY: &str = r#"apiVersion: backout.dev/v1alpha1
kind: ReleasePolicy
metadata: {name: checkout, namespace: shop}
spec:
  workload: {kind: Deployment, name: checkout}
  environments:
    - name: production
      config: {chart: chart, values: [values.yaml]}
  traffic:
    route: {kind: HTTPRoute, name: checkout}
    verify: none
  strategy:
    canary:
      steps:
        - setWeight: 5
        - analyse: {}
        - setWeight: 100
  signals:
    - name: error-rate
      ratio: {bad: a, total: b}
      max: 1%
"#;

/// A setting.
pub(crate) fn setting(command: &str) -> Setting {
    Setting {
        policy: "checkout".to_owned(),
        file: "shop/backout.yaml".to_owned(),
        environment: "production".to_owned(),
        stable: "1.41.0".to_owned(),
        candidate: "1.42.0".to_owned(),
        strategy: "canary 5 > 25 > 100".to_owned(),
        consecutive_windows: 2,
        window_ms: 60_000,
        harm_budget: 1_500,
        command: command.to_owned(),
    }
}

/// Everything as expected.
pub(crate) fn healthy() -> SimulationReport {
    report(vec![promoted(), cancelled(), back()], &[])
}

/// Some rows are not as expected.
pub(crate) fn mixed() -> SimulationReport {
    let rows = vec![promoted(), cancelled(), back(), late(), held(), failed(), wedged()];
    let strategy = FieldPath::root().key("spec").key("strategy").key("canary").key("steps");
    let findings = [
        Finding {
            code: Code("BO211"),
            level: Level::Error,
            subject: Subject::Policy(strategy.index(1).key("analyse")),
            message: "this step can wait for ever".to_owned(),
            label: "with fault `metrics-absent` still progressing after 24h".to_owned(),
            help: "set `deadlines.step`".to_owned(),
            replay: Some("--fault metrics-absent --seed 7".to_owned()),
        },
        Finding {
            code: Code("BO210"),
            level: Level::Warning,
            subject: Subject::Object("Deployment shop/checkout".to_owned()),
            message: "it is not there".to_owned(),
            label: String::new(),
            help: "create it".to_owned(),
            replay: None,
        },
    ];
    report(rows, &findings)
}

fn report(rows: Vec<Rehearsed>, findings: &[Finding]) -> SimulationReport {
    let policy =
        document::read("shop/backout.yaml", POLICY.as_bytes(), &Limits::default()).unwrap();
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let replay = format!("--fault {} --seed 7", row.name);
            (row, replay)
        })
        .collect();
    let setting = setting("backout simulate shop --seed 7");
    SimulationReport::new(setting, 7, &rows, findings, &policy, "backout simulate shop")
}

fn promoted() -> Rehearsed {
    let record = Record {
        outcome: Some(Outcome::Promoted),
        exposed_at: Some(at(140)),
        ended: Some(at(2_884)),
        effects: 115,
        ..Record::default()
    };
    rehearsed("none", record, Class::Unaffected)
}

fn cancelled() -> Rehearsed {
    let message = "digest differs from build: tag 1.42.0 is a55e7955f847, built was bb28a2473dc5";
    let cause = Cause::Gate {
        gate: Gate::artifact_digest(),
        message: message.to_owned(),
        blames_image: true,
    };
    let record = Record {
        outcome: Some(Outcome::Cancelled),
        cause: Some(cause),
        triggered: Some(at(5)),
        struck: Some(at(0)),
        safe: Some(at(5)),
        ended: Some(at(9)),
        effects: 7,
        ..Record::default()
    };
    rehearsed("tag-moved", record, Class::Cancelled)
}

fn back() -> Rehearsed {
    let cause = Cause::Signal {
        signal: Name::from_static("error-rate"),
        message: "19.8% > 1%".to_owned(),
        windows: 2,
    };
    rehearsed("error-rate", went_back(cause, 412, 6), Class::RolledBack)
}

fn late() -> Rehearsed {
    let cause = Cause::Signal {
        signal: Name::from_static("latency-p99"),
        message: "p99 beyond the last bucket > 400ms".to_owned(),
        windows: 2,
    };
    let mut row =
        rehearsed("latency-after-promotion", went_back(cause, 98_765, 3_700), Class::Late);
    row.unexpected = vec!["L2 at +00:04:25.000: bad traffic 1h01m after the trigger".to_owned()];
    row
}

fn went_back(cause: Cause, bad_requests: u64, took: u64) -> Record {
    Record {
        outcome: Some(Outcome::RolledBack(Pattern::Traffic)),
        cause: Some(cause),
        triggered: Some(at(265)),
        exposed_before: true,
        exposed_at: Some(at(140)),
        struck: Some(at(0)),
        safe: Some(at(265 + took)),
        ended: Some(at(600)),
        bad_requests,
        effects: 68,
        ..Record::default()
    }
}

fn held() -> Rehearsed {
    let cause = Cause::NotFlipped {
        asked: Weight::FULL,
        hits: 120,
        probes: 400,
        within: Span::from_secs(60),
    };
    let why = "the previous release cannot run on the data (0042|x)";
    let record = Record { outcome: Some(Outcome::Held(why.to_owned())), ..went_back(cause, 0, 0) };
    rehearsed("selector-half-flipped", record, Class::Held)
}

fn failed() -> Rehearsed {
    let cause = Cause::Deadline {
        step: "create-candidate".to_owned(),
        waiting_for: "0 of 1 replicas are ready, and none of them says why it is not".to_owned(),
        within: Span::from_mins(10),
    };
    let why = "send 0% to the candidate: the route's weight is 5%, not 0%";
    let outcome = Some(Outcome::RollbackFailed(why.to_owned()));
    let mut row = rehearsed(
        "gitops-undoes-rollback",
        Record { outcome, safe: None, ..went_back(cause, 545, 0) },
        Class::Unsafe,
    );
    row.unexpected = vec![
        "it was noticed by: after 10m still waiting; not by a signal over its limit".to_owned(),
        "it ended rollback failed, not back by traffic".to_owned(),
    ];
    row
}

fn wedged() -> Rehearsed {
    let record = Record { cut_off: true, struck: Some(at(0)), effects: 9_000, ..Record::default() };
    let mut row = rehearsed("metrics-absent", record, Class::Wedged);
    row.unexpected = vec![
        "still progressing after 24h, waiting for: a <verdict> on `latency-p99`".to_owned(),
        "nothing noticed it".to_owned(),
    ];
    row
}

fn at(secs: u64) -> Time {
    Time::ZERO + Span::from_secs(secs)
}

fn rehearsed(name: &str, record: Record, class: Class) -> Rehearsed {
    let reference = |version: &str| ReleaseRef {
        name: Name::from_static("checkout"),
        version: version.to_owned(),
        set: format!("checkout-{version}"),
    };
    let plan = Plan {
        format: backout_core::plan::FORMAT.to_owned(),
        id: PlanId("57aac3fc".to_owned()),
        parent: None,
        direction: Direction::Forward,
        environment: Name::from_static("production"),
        stable: reference("1.41.0"),
        candidate: reference("1.42.0"),
        stable_replicas: 4,
        steps: Vec::new(),
        ways_back: Vec::new(),
    };
    let header = Header {
        format: FORMAT.to_owned(),
        policy: Name::from_static("checkout"),
        environment: Name::from_static("production"),
        stable: reference("1.41.0"),
        candidate: reference("1.42.0"),
        strategy: "canary 5 > 25 > 100".to_owned(),
        rehearsal: None,
        live: None,
    };
    let (name, plan) = (name.to_owned(), Arc::new(plan));
    Rehearsed { name, plan, record, header, unexpected: Vec::new(), class }
}
