//! `backout simulate --seeds N`.

use std::ops::Range;
use std::thread;

use backout_core::document::Document;
use backout_core::plan::PlanError;
use backout_core::policy::{ApiVersion, Metadata, ReleasePolicy};
use backout_core::units::Name;
use backout_sim::faults::Named;
use backout_sim::rehearse::Project;
use backout_sim::scenario::{Scenario, ScenarioKind, ScenarioSpec};
use backout_sim::sweep::{Failure as Failing, Sweep, sweep};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Arguments, choice};
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::render;
use crate::report::simulation::Setting;
use crate::report::sweep::{SweepFailure, SweepReport};
use crate::terminal::Terminal;

/// What the virtual world leaves out, and a sweep therefore says nothing about.
const NOT_MODELLED: [&str; 15] = [
    "two faults at once (apart from a crash of the controller)",
    "node failures and evictions",
    "several clusters or regions",
    "the autoscaler",
    "DNS caches",
    "long-lived connections and sticky sessions",
    "client retries",
    "PromQL beyond the policy's own queries",
    "the content of the database and its locks",
    "the content of backups",
    "other services",
    "two rollouts at once",
    "clock jumps",
    "times of day",
    "a rollback from every step (L3; rehearse single faults for it)",
];

/// Sweeps, and says what was found and what was not looked at.
pub(super) fn run(
    arguments: &Arguments,
    seeds: u64,
    project: &Project,
    policy: &Document<ReleasePolicy>,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let named = choice::drawn_from(&arguments.faults);
    let bar = progress(seeds, terminal);
    let found = in_parallel(project, &named, seeds, &|| bar.inc(1));
    bar.finish_and_clear();
    let found = found?;

    let command = arguments.command();
    let drawn: Vec<String> =
        arguments.faults.iter().map(|name| format!(" --fault {name}")).collect();
    let again = format!("{command}{} --seeds {seeds}", drawn.concat());
    let failures = found.failures.iter();
    let report = SweepReport::new(
        Setting::new(project, policy, &again),
        &found,
        &named,
        failures.map(|failing| stored(failing, policy, &command)).collect(),
        &NOT_MODELLED,
    );
    for target in &arguments.reports {
        target.write(|kind| kind.sweep(&report))?;
    }
    let text = match report.written(arguments.output)? {
        Some(text) => text,
        None => render::sweep::render(&report)?,
    };
    terminal.print(&text)?;
    Ok(arguments.fail_on.exit(found.failed == 0, &[]))
}

fn progress(seeds: u64, terminal: &Terminal) -> ProgressBar {
    if !terminal.is_watched() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(seeds), ProgressDrawTarget::stderr());
    // The template is a constant; were it ever wrong, the bar would only look different.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} seeds, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Splits the seeds over threads. What is found does not depend on how many there are: every
/// thread keeps its first failures, and the first of all are kept in the end.
fn in_parallel(
    project: &Project,
    named: &[Named],
    seeds: u64,
    tick: &(dyn Fn() + Sync),
) -> Result<Sweep, PlanError> {
    let threads = thread::available_parallelism().map_or(2, |count| count.get().max(2));
    thread::scope(|scope| {
        let parts: Vec<_> = split(seeds, u64::try_from(threads).unwrap_or(2))
            .into_iter()
            .map(|part| scope.spawn(move || sweep(project, named, part, &mut || tick())))
            .collect();
        let mut whole = Sweep::default();
        for part in parts {
            match part.join() {
                Ok(part) => whole.merge(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(whole)
    })
}

/// The seeds 1 to `seeds`, in so many parts of about the same size.
fn split(seeds: u64, parts: u64) -> Vec<Range<u64>> {
    let parts = parts.clamp(1, seeds.max(1));
    let (each, rest) = (seeds / parts, seeds % parts);
    let mut start = 1;
    (0..parts)
        .map(|part| {
            let end = start + each + u64::from(part < rest);
            let range = start..end;
            start = end;
            range
        })
        .collect()
}

/// A failure as a document, so that it outlives the meaning of its seed.
fn stored(failing: &Failing, policy: &Document<ReleasePolicy>, command: &str) -> SweepFailure {
    let name = format!("seed-{}", failing.seed);
    let scenario = Scenario {
        api_version: ApiVersion::V1Alpha1,
        kind: ScenarioKind::Scenario,
        metadata: Metadata {
            // A word and a number always make a name.
            name: name.parse().unwrap_or_else(|_| Name::from_static("seed")),
            namespace: policy.value.metadata.namespace.clone(),
        },
        spec: ScenarioSpec {
            description: failing
                .found
                .first()
                .map_or_else(String::new, |first| format!("Found by a sweep: {first}")),
            faults: failing.plan.faults.clone(),
            expect: None,
        },
    };
    // A run that fails without any fault needs no file.
    let what = match failing.plan.faults.as_slice() {
        [] => "--fault none".to_owned(),
        [_, ..] => format!("--scenario {name}.yaml"),
    };
    let replay = format!("{command} {what} --seed {}", failing.seed);
    SweepFailure { seed: failing.seed, found: failing.found.clone(), scenario, replay }
}

#[cfg(test)]
mod tests {
    use backout_core::document::{self, Limits};
    use backout_sim::faults::catalogue;

    use super::*;
    use crate::report::json::yaml;

    #[test]
    fn every_seed_is_in_one_part() {
        for (seeds, parts) in [(1, 2), (2, 2), (7, 3), (50, 4), (10_000, 7)] {
            let ranges = split(seeds, parts);
            let all: Vec<u64> = ranges.into_iter().flatten().collect();
            assert_eq!(all, (1..=seeds).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_stored_failure_can_be_read_again() {
        for named in catalogue() {
            let scenario = Scenario {
                api_version: ApiVersion::V1Alpha1,
                kind: ScenarioKind::Scenario,
                metadata: Metadata {
                    name: Name::from_static("seed-17"),
                    namespace: Name::from_static("shop"),
                },
                spec: ScenarioSpec {
                    description: String::new(),
                    faults: backout_sim::scenario::FaultPlan::from(&named).faults,
                    expect: None,
                },
            };
            let text = yaml(&scenario).unwrap();
            let read = document::read::<Scenario>("s", text.as_bytes(), &Limits::default());
            let read = read.unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(read.value, scenario);
        }
    }

    #[test]
    fn never_claims_more_than_it_knows() {
        let words = NOT_MODELLED.join(" ").to_lowercase();
        for claim in ["safe", "guarantee", "proven"] {
            assert!(!words.contains(claim));
        }
    }
}
