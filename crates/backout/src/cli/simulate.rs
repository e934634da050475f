//! `backout simulate`: would we notice a bad release, and would the way back work?

mod choice;
mod journals;
mod report;
mod sweep;

use std::path::PathBuf;

use backout_core::document::Document;
use backout_core::finding::{Finding, Level};
use backout_core::policy::ReleasePolicy;
use backout_sim::diagnose::diagnose;
use backout_sim::rehearse::{Options, Project, Rehearsed, rehearse};
use clap::ValueEnum;

use super::Output;
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::project::{self, ProjectArguments};
use crate::render;
use crate::report::simulation::{Setting, SimulationReport};
use crate::terminal::Terminal;
use choice::{Choice, Run};
use report::Report;

/// Rehearses a release and its way back: would we notice, and would the way back work?
///
/// The real engine runs the policy against a virtual world in virtual time: once without a fault,
/// and once for every fault that Backout knows. Each run is held against the fault's answer key and
/// against properties that must hold after every event. Where a run does not come out as it must,
/// the lines of the policy that are to blame are shown. Needs no cluster, no registry and no
/// metrics server.
///
/// The same files and the same seed give the same output and the same journal, byte for byte.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    project: ProjectArguments,
    /// Rehearse only this fault; `none` is the run without one. Can be repeated.
    #[arg(long = "fault", value_name = "NAME", value_parser = choice::names())]
    faults: Vec<String>,
    /// Rehearse only this scenario, a file of kind `Scenario`. Can be repeated.
    #[arg(long = "scenario", value_name = "FILE")]
    scenarios: Vec<PathBuf>,
    /// Rehearse every fault that Backout knows, besides what `--scenario` names. The default when
    /// nothing is named.
    #[arg(long)]
    all: bool,
    /// Seed of the world: of its traffic, its errors and its latencies. Default: 1.
    #[arg(long, value_name = "N", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Sweep over the seeds 1 to N: each draws a fault and when it strikes, and half of them a
    /// crash of the controller at any effect. With `--fault`, only those are drawn from.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(conflicts_with_all = ["scenarios", "journal"])]
    seeds: Option<u64>,
    /// Keep the journal: of one run as this file, of several as NAME.jsonl in this directory.
    /// `backout explain` reads it.
    #[arg(long, value_name = "PATH")]
    journal: Option<PathBuf>,
    /// Write a report: `json`, `markdown` or `junit`. Can be repeated.
    #[arg(long = "report", value_name = "KIND=PATH")]
    reports: Vec<Report>,
    /// Form of the result.
    #[arg(short, long, value_enum, default_value_t = Output::Human)]
    output: Output,
    /// What ends with exit code 10. A rehearsal that is not as expected counts as an error.
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = FailOn::Error)]
    fail_on: FailOn,
}

/// From which level on findings end with exit code 10.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Errors.
    Error,
    /// Errors and warnings.
    Warning,
    /// Nothing does.
    Never,
}

impl FailOn {
    /// How the program ends.
    fn exit(self, as_expected: bool, findings: &[Finding]) -> Exit {
        let counts = |level: Level| match self {
            Self::Error => level >= Level::Error,
            Self::Warning => level >= Level::Warning,
            Self::Never => false,
        };
        let failed = !as_expected && counts(Level::Error);
        if failed || findings.iter().any(|finding| counts(finding.level)) {
            Exit::Findings
        } else {
            Exit::Pass
        }
    }
}

impl Arguments {
    /// The command that works on the same project.
    fn command(&self) -> String {
        format!("backout simulate{}", self.project.selection().arguments())
    }
}

pub(super) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let loaded = project::load(&arguments.project.selection())?;
    match arguments.seeds {
        Some(seeds) => sweep::run(arguments, seeds, &loaded.project, &loaded.policy, terminal),
        None => table(arguments, &loaded.project, &loaded.policy, terminal),
    }
}

/// Rehearses what was chosen, one run per row.
fn table(
    arguments: &Arguments,
    project: &Project,
    policy: &Document<ReleasePolicy>,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let seed = arguments.seed.unwrap_or(1);
    let choice = Choice::new(&arguments.faults, &arguments.scenarios, arguments.all)?;
    let options = Options { seed, journal: arguments.journal.is_some(), forks: true };
    let rows = rehearsed(project, &choice.runs, options)?;
    if let Some(path) = &arguments.journal {
        journals::write(path, &rows)?;
    }
    let findings = choice.replayable(diagnose(project, &choice.named, &rows, options)?);
    let command = arguments.command();
    let again = format!("{command}{} --seed {seed}", choice.arguments);
    let replays = choice.runs.iter().map(|run| format!("{} --seed {seed}", run.arguments));
    let report = SimulationReport::new(
        Setting::new(project, policy, &again),
        seed,
        &rows.into_iter().zip(replays).collect::<Vec<_>>(),
        &findings,
        policy,
        &command,
    );
    for target in &arguments.reports {
        target.write(|kind| kind.simulation(&report))?;
    }
    let text = match report.written(arguments.output)? {
        Some(text) => text,
        None => people(&report, &findings, policy, &command),
    };
    terminal.print(&text)?;
    Ok(arguments.fail_on.exit(report.verdict.as_expected, &findings))
}

fn rehearsed(project: &Project, runs: &[Run], options: Options) -> Result<Vec<Rehearsed>, Failure> {
    runs.iter().map(|run| Ok(rehearse(project, &run.plan, &run.key, options)?)).collect()
}

/// The table, and below it the lines of the policy that are to blame.
fn people(
    report: &SimulationReport,
    findings: &[Finding],
    policy: &Document<ReleasePolicy>,
    command: &str,
) -> String {
    let mut text = render::matrix::render(report);
    for finding in findings {
        text.push('\n');
        text.push_str(&render::diagnostic::finding(finding, policy, command));
    }
    text
}

#[cfg(test)]
mod tests {
    use backout_core::finding::{Code, Subject};

    use super::*;

    fn finding(level: Level) -> Finding {
        Finding {
            code: Code("BO210"),
            level,
            subject: Subject::Object("a".to_owned()),
            message: String::new(),
            label: String::new(),
            help: String::new(),
            replay: None,
        }
    }

    #[test]
    fn fails_from_the_wanted_level_on() {
        let warning = [finding(Level::Warning)];
        for (fail_on, as_expected, findings, exit) in [
            (FailOn::Error, true, &[][..], Exit::Pass),
            (FailOn::Error, true, &warning[..], Exit::Pass),
            (FailOn::Error, false, &[], Exit::Findings),
            (FailOn::Warning, true, &warning, Exit::Findings),
            (FailOn::Warning, false, &[], Exit::Findings),
            (FailOn::Never, false, &warning, Exit::Pass),
        ] {
            assert_eq!(fail_on.exit(as_expected, findings), exit, "{fail_on:?} {findings:?}");
        }
    }
}
