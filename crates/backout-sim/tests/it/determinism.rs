//! The same inputs and the same seed give the same journal, byte for byte.

use backout_sim::faults::catalogue;
use backout_sim::rehearse::{AnswerKey, Options, rehearse};
use backout_sim::scenario::FaultPlan;
use backout_sim::sweep::sweep;

use crate::example::checkout;

fn journal(plan: &FaultPlan, seed: u64) -> String {
    let options = Options { seed, journal: true, forks: false };
    let run = rehearse(&checkout(), plan, &AnswerKey::OraclesOnly, options).expect("a plan");
    let entries = run.journal().iter().map(|entry| serde_json::to_string(entry).expect("JSON"));
    std::iter::once(serde_json::to_string(&run.header).expect("JSON"))
        .chain(entries)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_same_seed_gives_the_same_journal() {
    for named in catalogue() {
        let plan = FaultPlan::from(&named);
        assert_eq!(journal(&plan, 7), journal(&plan, 7), "{}", named.name);
    }
}

#[test]
fn another_seed_gives_another_journal() {
    let plan = catalogue().iter().find(|named| named.name == "error-rate").map(FaultPlan::from);
    let plan = plan.expect("the catalogue has it");
    assert_ne!(journal(&plan, 1), journal(&plan, 2));
}

#[test]
fn a_journal_reads_back() {
    for named in catalogue() {
        for line in journal(&FaultPlan::from(&named), 3).lines().skip(1) {
            let entry: backout_core::journal::Entry =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!(serde_json::to_string(&entry).expect("JSON"), line);
        }
    }
}

#[test]
fn a_hundred_seeds_are_clean() {
    let result = sweep(&checkout(), &catalogue(), 1..101, &mut || {}).expect("a plan");
    assert_eq!(result.seeds, 100);
    assert_eq!(result.failed, 0, "{:#?}", result.failures);
}
