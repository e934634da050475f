//! Every fault against the example.

use backout_core::policy::{Analysis, BlueGreen};
use backout_core::units::Span;
use backout_sim::diagnose::diagnose;
use backout_sim::faults::catalogue;
use backout_sim::rehearse::{Options, rehearse_all};

use crate::example::{checkout, fragile};

const OPTIONS: Options = Options { seed: 1, journal: false, forks: true };

#[test]
fn the_example_comes_out_as_it_must() {
    let rows = rehearse_all(&checkout(), &catalogue(), OPTIONS).expect("a plan");
    for row in &rows {
        println!(
            "{:28} {:>6} {:?} | {} | after {:?} | back {:?} | bad {} | ev {} ef {} | {:?}",
            row.name,
            row.class.to_string(),
            row.record.pattern(),
            row.record.cause.as_ref().map(ToString::to_string).unwrap_or_default(),
            row.noticed_after(),
            row.back_in(),
            row.record.bad_requests,
            row.record.events,
            row.record.effects,
            row.unexpected
        );
    }
    let wrong: Vec<_> = rows.iter().filter(|row| !row.is_as_expected()).collect();
    assert!(wrong.is_empty(), "{:?}", wrong.iter().map(|row| &row.name).collect::<Vec<_>>());
}

#[test]
fn the_fragile_example_is_taken_apart() {
    let project = fragile();
    let rows = rehearse_all(&project, &catalogue(), OPTIONS).expect("a plan");
    for row in rows.iter().filter(|row| !row.is_as_expected()) {
        println!("{:28} {:?} {:?}", row.name, row.class, row.unexpected);
    }
    let findings = diagnose(&project, &catalogue(), &rows, OPTIONS).expect("a plan");
    for finding in &findings {
        println!(
            "{} {:?} {} | {} | {}",
            finding.code, finding.subject, finding.message, finding.label, finding.help
        );
    }
    let codes: Vec<_> = findings.iter().map(|finding| finding.code.0).collect();
    for planted in ["BO211", "BO213", "BO214", "BO216"] {
        assert!(codes.contains(&planted), "{planted} is not among {codes:?}");
    }
}

#[test]
fn blue_green_differs_only_in_what_it_costs() {
    let project = checkout();
    let mut policy = (*project.brief.policy).clone();
    policy.spec.strategy.canary = None;
    policy.spec.strategy.blue_green =
        Some(BlueGreen { analyse: Analysis::For(Span::from_mins(10)), approve: None });
    policy.spec.rollback.harm_budget = 10_000;
    let rows = rehearse_all(&project.with_policy(policy), &catalogue(), OPTIONS).expect("a plan");
    for row in &rows {
        assert!(row.is_as_expected(), "{}: {:?}", row.name, row.unexpected);
    }
}
