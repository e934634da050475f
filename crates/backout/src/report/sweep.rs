//! What a sweep over many seeds found, as a document.

use std::collections::BTreeMap;

use backout_core::policy::ApiVersion;
use backout_core::units::Share;
use backout_sim::faults::Named;
use backout_sim::rehearse::Class;
use backout_sim::scenario::Scenario;
use backout_sim::sweep::Sweep;
use serde::Serialize;

use super::json::{document, yaml};
use super::simulation::Setting;
use crate::cli::Output;
use crate::error::Failure;
use crate::render::words::count;

/// What a sweep over many seeds found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SweepReport {
    pub(crate) api_version: ApiVersion,
    pub(crate) kind: &'static str,
    pub(crate) verdict: SweepVerdict,
    pub(crate) setting: Setting,
    /// Runs by how they came out.
    pub(crate) classes: Vec<Counted>,
    /// Runs that had a fault, by its name.
    pub(crate) exercised: BTreeMap<&'static str, u64>,
    /// Faults that no run had.
    pub(crate) never_exercised: Vec<&'static str>,
    /// The most bad requests that one run cost users.
    pub(crate) worst_bad_requests: u64,
    /// Failures, the first ones.
    pub(crate) failures: Vec<SweepFailure>,
    /// What the sweep says nothing about.
    pub(crate) not_modelled: &'static [&'static str],
}

/// The verdict of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SweepVerdict {
    /// In words.
    pub(crate) text: String,
    /// Seeds that were run.
    pub(crate) seeds: u64,
    /// Seeds in which an oracle found something.
    pub(crate) failed: u64,
    /// The rate of failures that stays possible at 95 %, in parts per million; absent when there
    /// are failures, or too few seeds.
    pub(crate) failure_rate_below_ppm: Option<u64>,
}

/// A number of runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counted {
    /// How they came out.
    pub(crate) class: Class,
    /// How many.
    pub(crate) runs: u64,
}

/// One failing seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SweepFailure {
    /// The seed.
    pub(crate) seed: u64,
    /// What was found.
    pub(crate) found: Vec<String>,
    /// The fewest faults that still show something, as a document.
    pub(crate) scenario: Scenario,
    /// The command that runs that document.
    pub(crate) replay: String,
}

impl SweepFailure {
    /// The scenario as its author would write it: `start: {}` on one line, which needs a detour,
    /// because a variant without fields is otherwise written on two.
    pub(crate) fn scenario_file(&self) -> Result<String, Failure> {
        let value = serde_json::to_value(&self.scenario);
        yaml(&value.map_err(|error| Failure::Output(error.into()))?)
    }
}

impl SweepReport {
    /// What a sweep found.
    pub(crate) fn new(
        setting: Setting,
        sweep: &Sweep,
        named: &[Named],
        failures: Vec<SweepFailure>,
        not_modelled: &'static [&'static str],
    ) -> Self {
        let classes = sweep.classes.iter();
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: "SweepReport",
            verdict: SweepVerdict::of(sweep),
            setting,
            classes: classes.map(|(class, runs)| Counted { class: *class, runs: *runs }).collect(),
            exercised: sweep.exercised.clone(),
            never_exercised: sweep.never_exercised(named),
            worst_bad_requests: sweep.worst_harm,
            failures,
            not_modelled,
        }
    }

    /// The document in one of the forms for programs; nothing for people.
    pub(crate) fn written(&self, output: Output) -> Result<Option<String>, Failure> {
        document(self, output)
    }
}

impl SweepVerdict {
    fn of(sweep: &Sweep) -> Self {
        let (seeds, failed) = (sweep.seeds, sweep.failed);
        let bound = sweep.bound_ppm().filter(|ppm| *ppm < 1_000_000);
        let runs = count(seeds, "seed");
        let text = match bound {
            _ if failed > 0 => format!("{failed} of {runs} FAILED"),
            None => format!("{runs}, 0 failures: too few to bound the failure rate"),
            Some(ppm) => format!(
                "{runs}, 0 failures: the failure rate is below 3/{seeds} = {} (95%) within this \
                 fault model",
                percent(ppm)
            ),
        };
        Self { text, seeds, failed, failure_rate_below_ppm: bound }
    }
}

/// Parts per million as a percentage with as many decimals as it needs.
fn percent(ppm: u64) -> String {
    let ppm = u32::try_from(ppm).unwrap_or(u32::MAX);
    Share::from_ppm(ppm).to_string()
}

#[cfg(test)]
pub(crate) mod samples;
