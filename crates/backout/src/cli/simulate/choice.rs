//! Which runs are rehearsed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use backout_core::finding::Finding;
use backout_sim::faults::{Named, catalogue};
use backout_sim::rehearse::AnswerKey;
use backout_sim::scenario::{FaultPlan, Scenario};
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::error::Failure;
use crate::project::files::{self, Expected};
use crate::project::quoted;

/// The name of the run without a fault.
const HEALTHY: &str = "none";

const IS_SCENARIO: Expected =
    Expected { kind: "Scenario", help: "name a scenario; a policy is named without `--scenario`" };

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// What goes wrong.
    pub(super) plan: FaultPlan,
    /// What it is held against.
    pub(super) key: AnswerKey,
    /// The arguments that choose it again.
    pub(super) arguments: String,
}

/// What was chosen.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    /// The runs, in order.
    pub(super) runs: Vec<Run>,
    /// The named faults among them.
    pub(super) named: Vec<Named>,
    /// The arguments that choose the same again, each after a space.
    pub(super) arguments: String,
}

/// Every name that `--fault` takes, with what it stands for.
pub(super) fn names() -> PossibleValuesParser {
    let healthy = PossibleValue::new(HEALTHY).help("Nothing goes wrong.");
    let faults = catalogue().into_iter();
    let faults = faults.map(|named| PossibleValue::new(named.name).help(named.about.what));
    std::iter::once(healthy).chain(faults).collect::<Vec<_>>().into()
}

/// The named faults that a sweep draws from: those that were named, or all.
pub(super) fn drawn_from(names: &[String]) -> Vec<Named> {
    let all = names.is_empty();
    let mut named = catalogue();
    named.retain(|named| all || names.iter().any(|name| name == named.name));
    named
}

impl Choice {
    /// Chooses by names, which are valid, and by files.
    pub(super) fn new(names: &[String], scenarios: &[PathBuf], all: bool) -> Result<Self, Failure> {
        let every = all || (names.is_empty() && scenarios.is_empty());
        let wanted = |name: &str| every || names.iter().any(|wanted| wanted == name);
        let mut named = catalogue();
        named.retain(|named| wanted(named.name));
        let mut runs = Vec::new();
        if wanted(HEALTHY) {
            let arguments = format!("--fault {HEALTHY}");
            runs.push(Run { plan: FaultPlan::none(), key: AnswerKey::Healthy, arguments });
        }
        runs.extend(named.iter().map(|named| Run {
            plan: FaultPlan::from(named),
            key: AnswerKey::Fault(named.about.expected),
            arguments: format!("--fault {}", named.name),
        }));
        let listed: Vec<String> = runs.iter().map(|run| format!(" {}", run.arguments)).collect();
        let mut arguments = if every { String::new() } else { listed.concat() };
        if every && !scenarios.is_empty() {
            arguments.push_str(" --all");
        }
        for path in scenarios {
            let run = scenario(path)?;
            arguments.push_str(&format!(" {}", run.arguments));
            runs.push(run);
        }
        unmistakable(&runs)?;
        Ok(Self { runs, named, arguments })
    }

    /// Findings about a scenario are shown again by its file: `diagnose` knows only its name.
    pub(super) fn replayable(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        for replay in findings.iter_mut().filter_map(|finding| finding.replay.as_mut()) {
            for run in &self.runs {
                let called = format!("--fault {} ", run.plan.name);
                if let Some(rest) = replay.strip_prefix(&called) {
                    *replay = format!("{} {rest}", run.arguments);
                    break;
                }
            }
        }
        findings
    }
}

fn scenario(path: &Path) -> Result<Run, Failure> {
    let document = files::document::<Scenario>(path, IS_SCENARIO)?;
    let expect = document.value.spec.expect.clone();
    Ok(Run {
        plan: FaultPlan::from(&document.value),
        key: expect.map_or(AnswerKey::OraclesOnly, AnswerKey::Scenario),
        arguments: format!("--scenario {}", quoted(&path.to_string_lossy())),
    })
}

/// Rows and journals are told apart by name.
fn unmistakable(runs: &[Run]) -> Result<(), Failure> {
    let mut names = BTreeSet::new();
    match runs.iter().find(|run| !names.insert(run.plan.name.as_str())) {
        None => Ok(()),
        Some(run) => Err(Failure::usage(
            format!("two of the runs are called `{}`", run.plan.name),
            "give the scenario another name, in `metadata.name`, or rehearse it by itself",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], all: bool) -> Choice {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Choice::new(&names, &[], all).unwrap()
    }

    #[test]
    fn nothing_named_is_everything() {
        let choice = chosen(&[], false);
        assert_eq!(choice.runs.len(), catalogue().len() + 1);
        assert_eq!(choice.runs[0].plan.name, HEALTHY);
        assert_eq!(choice.arguments, "");
        assert_eq!(chosen(&["tag-moved"], true).runs.len(), choice.runs.len());
    }

    #[test]
    fn names_are_taken_once_and_in_the_order_of_the_catalogue() {
        let choice = chosen(&["latency", "tag-moved", "latency", "none"], false);
        assert_eq!(choice.arguments, " --fault none --fault tag-moved --fault latency");
        assert_eq!(choice.named.len(), 2);
    }

    #[test]
    fn a_sweep_draws_from_what_is_named() {
        assert_eq!(drawn_from(&[]).len(), catalogue().len());
        let names = ["latency".to_owned(), "none".to_owned()];
        assert_eq!(drawn_from(&names).len(), 1);
    }
}
