use std::collections::BTreeSet;
use std::sync::Arc;

use backout_core::journal::{Event, FORMAT, Rehearsal, SignalSeen};
use backout_core::judgement::{Observed, Verdict, Window};
use backout_core::machine::{Command, EffectId, Outcome, Request};
use backout_core::plan::{Action, Cause, Choice, Decision, Pattern, PatternReason, PlanId};
use backout_core::policy::Gate;
use backout_core::release::ReleaseRef;
use backout_core::units::{Latency, Name, Share, Span, Weight};

use super::*;

fn header() -> Header {
    let reference = |version: &str| ReleaseRef {
        name: Name::from_static("checkout"),
        version: version.to_owned(),
        set: format!("checkout-{version}"),
    };
    Header {
        format: FORMAT.to_owned(),
        policy: Name::from_static("checkout"),
        environment: Name::from_static("production"),
        stable: reference("1.41.0"),
        candidate: reference("1.42.0"),
        strategy: "canary 5 > 25 > 100".to_owned(),
        rehearsal: Some(Rehearsal { scenario: "error-rate".to_owned(), seed: 1 }),
        live: None,
    }
}

fn told(events: Vec<(u64, Event)>) -> String {
    let entries: Vec<Entry> = events
        .into_iter()
        .map(|(secs, event)| Entry { at: Time::ZERO + Span::from_secs(secs), event })
        .collect();
    let timeline = Timeline::of(header(), &entries);
    anstream::adapter::strip_str(&timeline.render()).to_string()
}

fn world(what: &str) -> Event {
    Event::World { what: what.to_owned() }
}

fn started(step: &str, what: &str) -> Event {
    Event::StepStarted { step: step.to_owned(), what: what.to_owned() }
}

fn done(step: &str, known_by: &str) -> Event {
    Event::StepDone { step: step.to_owned(), known_by: known_by.to_owned() }
}

fn waiting(step: &str, for_what: &str) -> Event {
    Event::Waiting { step: step.to_owned(), for_what: for_what.to_owned() }
}

fn plan(direction: &str) -> Event {
    let plan = PlanId("57aac3fc".to_owned());
    Event::PlanStarted { plan, direction: direction.to_owned(), steps: 9 }
}

fn asked(effect: u32, request: Request) -> Event {
    Event::Asked { effect: EffectId(effect), request }
}

fn answered(effect: u32, answer: &str) -> Event {
    Event::Answered { effect: EffectId(effect), answer: answer.to_owned() }
}

fn weight(percent: u8) -> Weight {
    Weight::from_percent(percent).unwrap()
}

fn send(percent: u8) -> Request {
    Request::Apply(Action::SetWeight { candidate: weight(percent) })
}

fn notify(message: &str) -> Request {
    Request::Apply(Action::Notify { message: message.to_owned() })
}

/// A window of a minute that ends at `end`, with an error rate and a latency.
fn judged(end: u64, errors_ppm: Option<u32>, verdict: Verdict, bad_run: u32) -> Event {
    let at = |secs| Time::ZERO + Span::from_secs(secs);
    let errors = SignalSeen {
        signal: Name::from_static("error-rate"),
        limit: "1%".to_owned(),
        candidate: errors_ppm.map(|ppm| Observed::Share(Share::from_ppm(ppm))),
        stable: Some(Observed::Share(Share::from_ppm(140))),
        requests: if errors_ppm.is_some() { 362 } else { 0 },
        verdict,
        bad_run,
        note: errors_ppm.is_none().then(|| "no series has `release=\"b\"`".to_owned()),
    };
    let latency = SignalSeen {
        signal: Name::from_static("latency-p99"),
        limit: "p99 400ms".to_owned(),
        candidate: Some(Observed::AtMost(Some(Latency::from_millis(250)))),
        stable: Some(Observed::AtMost(None)),
        requests: 362,
        verdict: if verdict == Verdict::Inconclusive { verdict } else { Verdict::Pass },
        bad_run: 0,
        note: None,
    };
    Event::Judged {
        window: Window { start: at(end - 60), end: at(end) },
        weight: weight(5),
        signals: vec![errors, latency],
    }
}

fn signal_bad() -> Event {
    Event::Triggered {
        cause: Cause::Signal {
            signal: Name::from_static("error-rate"),
            message: "19.8% > 1%".to_owned(),
            windows: 2,
        },
    }
}

fn decided(choice: Choice) -> Event {
    let reason =
        |pattern, chosen, why: &str| PatternReason { pattern, chosen, why: why.to_owned() };
    Event::Decided {
        decision: Box::new(Decision {
            choice,
            target: Some(header().stable),
            reasons: vec![
                reason(Pattern::Traffic, true, "the previous release is fit to serve"),
                reason(Pattern::Cancel, false, "user traffic was sent to the candidate"),
            ],
            unchecked: vec!["whether there is room for its replicas".to_owned()],
        }),
    }
}

fn ended(outcome: Outcome) -> Event {
    let left = Residue { subject: "flag coupons".to_owned(), what: "is new, at false".to_owned() };
    let residue = if outcome == Outcome::Promoted { Vec::new() } else { vec![left] };
    Event::Ended { outcome, residue }
}

#[test]
fn a_rollback() {
    let gate = Request::RunGate(Gate::artifact_digest());
    let text = told(vec![
        (0, world("20% of the candidate's requests fail")),
        (0, plan("forward")),
        (0, started("gate-artifact-digest", "gate artifact-digest")),
        (0, asked(1, gate)),
        (5, answered(1, "pass: every tag serves the digest that was built")),
        (5, done("gate-artifact-digest", "every tag serves the digest that was built")),
        (5, started("set-weight-5", "send 5% to the candidate")),
        (5, asked(2, send(5))),
        (6, answered(2, "failed: the API server is down")),
        (8, asked(2, send(5))),
        (8, answered(2, "applied")),
        (9, world("the data plane gives 5.0% to the candidate")),
        (10, done("set-weight-5", "19 of 400 probes reach the candidate")),
        (10, started("analyse-5", "judge the signals for 5m")),
        (75, judged(70, Some(120), Verdict::Inconclusive, 0)),
        (135, judged(130, Some(206_667), Verdict::Inconclusive, 1)),
        (195, judged(190, Some(198_000), Verdict::Fail, 2)),
        (195, signal_bad()),
        (195, decided(Choice::Back(Pattern::Traffic))),
        (195, plan("back (traffic)")),
        (195, started("return-traffic", "send 0% to the candidate")),
        (196, asked(7, send(0))),
        (196, answered(7, "applied")),
        (198, waiting("return-traffic", "probes to show 0%: 25 of 400 reach the candidate")),
        (201, done("return-traffic", "0 of 400 probes reach the candidate")),
        (201, started("notify", "notify: checkout went back")),
        (201, asked(8, notify("checkout went back"))),
        (202, answered(8, "applied")),
        (202, done("notify", "sent")),
        (203, ended(Outcome::RolledBack(Pattern::Traffic))),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn long_runs_are_told_in_short() {
    let mut events = vec![(0, plan("forward")), (0, started("bake", "watch for 30m"))];
    events.extend((1..=9).map(|n| (60 * n + 15, judged(60 * n, Some(90), Verdict::Pass, 0))));
    events.extend((10..=14).map(|n| (60 * n + 15, judged(60 * n, None, Verdict::NoData, 0))));
    let shows = |n: u64| waiting("bake", &format!("probes to show 5%: {n} of 400"));
    events.extend((0..6).map(|n| (900 + n, shows(n))));
    events.push((910, ended(Outcome::Promoted)));
    insta::assert_snapshot!(told(events));
}

#[test]
fn people_and_accidents() {
    let why = "the previous release cannot run on the data (0042_add_coupon); fix forward, or \
               approve a restore that loses 6h of writes and takes about 25m";
    let asks = "ask a person: after this there is no automatic way back. Go on?";
    let held = || Outcome::Held(why.to_owned());
    let text = told(vec![
        (0, plan("forward")),
        (0, started("approve", asks)),
        (0, asked(1, notify("after this there is no automatic way back. Go on?"))),
        (3, Event::Refused { command: Command::Resume, why: "nothing is paused".to_owned() }),
        (4, Event::Commanded { command: Command::Promote }),
        (4, done("approve", "a person agreed")),
        (4, started("set-weight-5", "send 5% to the candidate")),
        (4, asked(2, send(5))),
        (5, world("the controller crashed")),
        (9, Event::Restarted { pending: vec![EffectId(2), EffectId(3)] }),
        (10, Event::ThirdParty { what: "kubectl set the weight to 50%".to_owned() }),
        (11, Event::Held { why: "both alike".to_owned(), until: Some(Time::from_millis(71_000)) }),
        (12, Event::Resumed { why: "both releases are well again".to_owned() }),
        (13, Event::LeftUndone { step: "quarantine".to_owned(), why: "no answer".to_owned() }),
        (14, decided(Choice::Hold(backout_core::plan::HoldReason::Policy))),
        (14, Event::Held { why: why.to_owned(), until: None }),
        (14, asked(4, notify(&format!("PAGE: a decision is needed: {why}")))),
        (14, ended(held())),
    ]);
    insta::assert_snapshot!(text);
}

#[test]
fn verdicts() {
    let digests = Arc::new(BTreeSet::new());
    let no_data = Cause::NoData {
        signal: Name::from_static("latency-p99"),
        message: "a long list of labels".to_owned(),
        after: Span::from_millis(315_300),
    };
    let first = |events: Vec<(u64, Event)>| told(events).lines().next().unwrap().to_owned();
    let lines = [
        first(vec![(2_884, ended(Outcome::Promoted))]),
        first(vec![(3, signal_bad()), (9, ended(Outcome::Cancelled))]),
        first(vec![
            (3, Event::Triggered { cause: no_data }),
            (9, ended(Outcome::RolledBack(Pattern::Config))),
        ]),
        first(vec![(9, ended(Outcome::RollbackFailed("the route is stuck".to_owned())))]),
        first(vec![(9, ended(Outcome::RolledForward))]),
        first(vec![(9, ended(Outcome::Promoted)), (20, signal_bad()), (99, ended(held()))]),
        first(vec![(5, started("config", "x")), (9, waiting("config", "Git holds a, not b"))]),
        first(vec![
            (5, started("quarantine", "x")),
            (9, asked(1, Request::Apply(Action::Quarantine { digests }))),
        ]),
        first(vec![]),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

fn held() -> Outcome {
    Outcome::Held("the policy asks for a person".to_owned())
}

#[test]
fn a_journal_cannot_repaint_the_screen() {
    let text =
        told(vec![(0, world("\u{1b}[2J\u{1b}[1;1Hall is well\n+00:00:01.000  engine  ends"))]);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with('+')).count(), 1, "{text}");
}
