//! People: commands in right and wrong phases, and hands on the route.

use backout_core::journal::Event as Entry;
use backout_core::machine::{Command, Input, Machine, Outcome, Phase};
use backout_core::plan::Pattern;
use backout_core::units::{Span, Time};
use backout_sim::faults::catalogue;
use backout_sim::oracles;
use backout_sim::rehearse::{Options, prepare};
use backout_sim::run::{Record, Run};
use backout_sim::scenario::FaultPlan;
use backout_sim::world::{Event, World};

use crate::example::checkout;

const OPTIONS: Options = Options { seed: 1, journal: true, forks: false };

fn run(fault: Option<&str>) -> Run<Machine> {
    let plan = fault.map_or_else(FaultPlan::none, |name| {
        let named = catalogue().into_iter().find(|named| named.name == name);
        FaultPlan::from(&named.expect("a named fault"))
    });
    prepare(&checkout(), &plan, OPTIONS).expect("a plan").with_journal()
}

fn commanded(fault: Option<&str>, commands: &[(u64, Command)]) -> Record {
    let mut run = run(fault);
    for (minutes, command) in commands {
        run.world.schedule(Span::from_mins(*minutes), Event::Person(command.clone()));
    }
    run.to_end(&mut oracles::all())
}

/// Lets the run go on until `then`, when someone writes the route, which is noticed.
fn by_hand(fault: Option<&str>, then: impl Fn(&Run<Machine>) -> bool, ppm: u32) -> (Record, World) {
    let mut run = run(fault);
    run.begin(&mut []);
    while !then(&run) {
        assert!(run.advance(&mut []), "the run ended too early");
    }
    run.world.write_route(ppm, false);
    let snapshot = Box::new(run.world.snapshot());
    run.world.schedule(Span::from_secs(1), Event::Deliver(Input::Observed(snapshot)));
    while run.advance(&mut []) {}
    let world = run.world.clone();
    (run.finish(&mut []), world)
}

fn refused(record: &Record) -> Vec<String> {
    let entries = record.journal.as_deref().unwrap_or_default().iter();
    entries
        .filter_map(|entry| match &entry.event {
            Entry::Refused { command, why } => Some(format!("{command}: {why}")),
            _ => None,
        })
        .collect()
}

#[test]
fn a_person_can_abort_a_canary() {
    let record = commanded(None, &[(4, Command::Abort)]);
    assert_eq!(record.outcome, Some(Outcome::RolledBack(Pattern::Traffic)));
    assert!(record.violations.is_empty(), "{:?}", record.violations);
}

#[test]
fn a_person_can_go_back_after_promotion_and_abort_says_so() {
    let record = commanded(None, &[(120, Command::Abort), (130, Command::Rollback)]);
    assert_eq!(refused(&record), ["abort: the release is promoted already; use rollback"]);
    assert_eq!(record.outcome, Some(Outcome::RolledBack(Pattern::Traffic)));
    assert!(record.violations.is_empty(), "{:?}", record.violations);
}

#[test]
fn evidence_is_not_replaced_by_a_command() {
    let record = commanded(None, &[(4, Command::Promote)]);
    assert_eq!(refused(&record).len(), 1, "{:?}", refused(&record));
    assert_eq!(record.outcome, Some(Outcome::Promoted));
}

#[test]
fn a_pause_holds_the_rollout_until_it_is_resumed() {
    let calm = commanded(None, &[]);
    let paused = commanded(None, &[(4, Command::Pause), (64, Command::Resume)]);
    assert_eq!(paused.outcome, Some(Outcome::Promoted));
    let (calm, paused) = (calm.ended.expect("an end"), paused.ended.expect("an end"));
    assert!(paused.since(calm) > Span::from_mins(30), "{calm} {paused}");
}

#[test]
fn a_pause_does_not_keep_a_bad_release_up() {
    let record = commanded(Some("error-rate"), &[(4, Command::Pause)]);
    assert_eq!(record.outcome, Some(Outcome::RolledBack(Pattern::Traffic)));
    assert!(record.violations.is_empty(), "{:?}", record.violations);
}

#[test]
fn a_route_that_someone_sets_back_by_hand_ends_as_a_rollback() {
    let (record, world) = by_hand(None, |run| run.world.now >= Time::from_millis(720_000), 0);
    assert_eq!(record.outcome, Some(Outcome::RolledBack(Pattern::Traffic)), "{:?}", record.cause);
    assert_eq!(world.gateway.given_ppm, 0);
}

#[test]
fn users_that_someone_sends_to_a_cancelled_release_are_brought_back() {
    let (record, world) =
        by_hand(Some("smoke-test-fails"), |run| run.engine.state().phase == Phase::Back, 1_000_000);
    assert!(matches!(record.outcome, Some(Outcome::RolledBack(_))), "{:?}", record.outcome);
    assert_eq!(world.gateway.given_ppm, 0);
}

#[test]
fn a_pause_that_nobody_ends_goes_back() {
    let record = commanded(None, &[(4, Command::Pause)]);
    assert_eq!(record.outcome, Some(Outcome::RolledBack(Pattern::Traffic)), "{:?}", record.cause);
}
