use backout_core::journal::Event;
use backout_core::machine::{Command, EffectId};
use backout_core::units::Span;

use super::*;
use crate::render::live::testing::{plain, recorded};
use crate::render::text::width;

fn explained(fault: &str) -> Explained {
    let run = recorded(fault);
    Explained::of(run.header, &run.entries)
}

#[test]
fn a_bad_signal_is_explained() {
    insta::assert_snapshot!(plain(&explained("error-rate").render()));
}

#[test]
fn a_query_that_matched_nothing_is_explained() {
    insta::assert_snapshot!(plain(&explained("metrics-absent").render()));
}

#[test]
fn a_gate_is_explained() {
    insta::assert_snapshot!(plain(&explained("unsigned-image").render()));
}

#[test]
fn a_shared_cause_is_explained() {
    let text = plain(&explained("both-degrade").render());
    insta::assert_snapshot!(text.split("What happened").next().unwrap());
}

#[test]
fn a_data_boundary_is_explained() {
    let text = plain(&explained("migration-breaks-stable").render());
    insta::assert_snapshot!(text.split("What happened").next().unwrap());
}

#[test]
fn people_restarts_and_others_have_lists_of_their_own() {
    let mut run = recorded("error-rate");
    let at = run.entries[40].at;
    let refused = Event::Refused { command: Command::Promote, why: "nobody was asked".to_owned() };
    let events = [
        Event::Commanded { command: Command::Pause },
        refused,
        Event::Restarted { pending: vec![EffectId(3)] },
        Event::ThirdParty { what: "kubectl-edit set the candidate's weight to 40%".to_owned() },
    ];
    let new = events.map(|event| Entry { at, event });
    run.entries.splice(40..40, new);
    let text = plain(&Explained::of(run.header, &run.entries).render());
    let lists = text.split("What happened").next().unwrap();
    insta::assert_snapshot!(lists[lists.find("Commands of people").unwrap()..].to_owned());
}

#[test]
fn a_rehearsal_has_no_times_of_its_own() {
    let mut run = recorded("error-rate");
    run.header.live = None;
    let explained = Explained::of(run.header, &run.entries);
    assert!(explained.turns.iter().all(|turn| turn.queries.is_empty()));
    assert!(plain(&explained.render()).contains("a rehearsal of 10m06s"));
}

#[test]
fn a_run_under_way_says_where_it_is() {
    let mut run = recorded("error-rate");
    let mut verdict_at = |secs| {
        let until = Time::ZERO + Span::from_secs(secs);
        run.entries.retain(|entry| entry.at < until);
        Explained::of(run.header.clone(), &run.entries).verdict
    };
    insta::assert_snapshot!(verdict_at(300), @"going back: error-rate 19.6% > 1% in 2 windows; under way for 4m58s: make Git and the environment hold 6071f8fdabc5; waiting: the environment runs dff09292b7a5, not 6071f8fdabc5");
    insta::assert_snapshot!(verdict_at(200), @"under way for 2m29s: judge the signals for 5m");
    insta::assert_snapshot!(verdict_at(0), @"under way for 0s: not begun");
}

#[test]
fn every_run_is_explained_within_its_lines() {
    for named in backout_sim::faults::catalogue() {
        let text = plain(&explained(named.name).render());
        for line in text.lines() {
            // A word that is longer than a line stays whole.
            let longest = line.split(' ').map(width).max().unwrap_or(0);
            assert!(width(line) <= 120 || longest > 60, "{}: {line}", named.name);
        }
    }
}

#[test]
fn one_document_for_programs() {
    let mut explained = explained("error-rate");
    explained.moments.truncate(1);
    explained.verified.truncate(2);
    insta::assert_snapshot!(serde_json::to_string_pretty(&explained).unwrap());
}
