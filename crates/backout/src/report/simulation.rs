//! What a rehearsal found: the document that the table and every report are made of.
//!
//! Every number says its unit in its name. Nothing in the document depends on when or how fast it
//! was made, so that the same inputs give the same bytes.

use backout_core::document::Document;
use backout_core::finding::{Code, Finding, Level, Subject};
use backout_core::machine::Outcome;
use backout_core::plan::{Cause, Pattern};
use backout_core::policy::{ApiVersion, ReleasePolicy};
use backout_core::units::{Span, Time};
use backout_sim::faults::SeenBy;
use backout_sim::rehearse::{Class, Project, Rehearsed};
use serde::Serialize;

use crate::cli::Output;
use crate::error::Failure;
use crate::render::words::{count, span};
use crate::report::json::{document, line};

/// What is rehearsed, as far as a reader must know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Setting {
    /// Name of the policy.
    pub(crate) policy: String,
    /// Its file.
    pub(crate) file: String,
    /// Environment.
    pub(crate) environment: String,
    /// Version of the release that serves.
    pub(crate) stable: String,
    /// Version of the release on its way.
    pub(crate) candidate: String,
    /// How traffic is shifted, in words.
    pub(crate) strategy: String,
    /// Bad windows in a row that make a signal fail.
    pub(crate) consecutive_windows: u32,
    /// Length of a window.
    pub(crate) window_ms: u64,
    /// Bad requests that one release may cost.
    pub(crate) harm_budget: u64,
    /// The command that shows the same again.
    pub(crate) command: String,
}

impl Setting {
    /// What a project is about.
    pub(crate) fn new(project: &Project, policy: &Document<ReleasePolicy>, command: &str) -> Self {
        let brief = &project.brief;
        let spec = &brief.policy.spec;
        Self {
            policy: brief.policy.metadata.name.to_string(),
            file: policy.source.name.clone(),
            environment: brief.environment.to_string(),
            stable: brief.stable.spec.version.clone(),
            candidate: brief.candidate.spec.version.clone(),
            strategy: brief.strategy_in_words(),
            consecutive_windows: spec.triggers.consecutive,
            window_ms: spec.triggers.window.as_millis(),
            harm_budget: spec.rollback.harm_budget,
            command: command.to_owned(),
        }
    }

    /// The subject in one line, such as `checkout 1.41.0 -> 1.42.0`.
    pub(crate) fn releases(&self) -> String {
        format!("{} {} -> {}", self.policy, self.stable, self.candidate)
    }

    /// How it is released, such as `canary 5 > 25 > 100, 2 windows of 1m`.
    pub(crate) fn manner(&self) -> String {
        let windows = count(self.consecutive_windows, "window");
        let length = Span::from_millis(self.window_ms);
        format!("{}, {windows} of {length}", self.strategy)
    }
}

/// What a rehearsal found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SimulationReport {
    pub(crate) api_version: ApiVersion,
    pub(crate) kind: &'static str,
    pub(crate) verdict: Verdict,
    pub(crate) setting: Setting,
    pub(crate) seed: u64,
    pub(crate) rows: Vec<Row>,
    pub(crate) findings: Vec<Found>,
}

/// The verdict over all rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Verdict {
    /// In words.
    pub(crate) text: String,
    /// Whether every row is as expected.
    pub(crate) as_expected: bool,
    /// Rows.
    pub(crate) rehearsals: usize,
    /// Rows that are not as expected.
    pub(crate) not_as_expected: usize,
}

/// One rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    /// Name of the fault or scenario.
    pub(crate) name: String,
    /// Whether everything is as expected.
    pub(crate) as_expected: bool,
    /// What is not as expected.
    pub(crate) unexpected: Vec<String>,
    /// How it ended: an outcome, or `wedged`.
    pub(crate) outcome: &'static str,
    /// The way back that was taken.
    pub(crate) pattern: Option<Pattern>,
    /// What the outcome adds, such as why it is held.
    pub(crate) reason: Option<String>,
    /// The class that the run is counted in.
    pub(crate) class: Class,
    /// What kind of notice was taken.
    pub(crate) seen_by: Option<SeenBy>,
    /// What was noticed.
    pub(crate) cause: Option<String>,
    /// The same, shorter, for a column.
    #[serde(skip)]
    pub(crate) cause_in_short: Option<String>,
    /// Whether it was noticed before any user traffic.
    pub(crate) noticed_before_traffic: bool,
    /// From the moment that something was wrong until it was noticed.
    pub(crate) noticed_after_ms: Option<u64>,
    /// From the decision to go back until no user was served badly.
    pub(crate) back_in_ms: Option<u64>,
    /// Bad requests that the release cost users.
    pub(crate) bad_requests: u64,
    /// Effects that the engine asked for.
    pub(crate) effects: u32,
    /// Virtual time from the first event to the outcome.
    pub(crate) ended_after_ms: Option<u64>,
    /// The command that shows this row again.
    pub(crate) replay: String,
}

/// A finding, with its place in the policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Found {
    /// Stable code.
    pub(crate) code: Code,
    /// How bad it is.
    pub(crate) level: Level,
    /// What is wrong.
    pub(crate) message: String,
    /// What showed it.
    pub(crate) label: String,
    /// What to do.
    pub(crate) help: String,
    /// The field or the object.
    pub(crate) subject: String,
    /// The policy's file, for a field.
    pub(crate) file: Option<String>,
    /// Line of the field, counted from one.
    pub(crate) line: Option<u32>,
    /// Column of the field, counted from one.
    pub(crate) column: Option<u32>,
    /// The command that shows it again.
    pub(crate) replay: Option<String>,
}

impl SimulationReport {
    /// What these runs found, each with the arguments that show it again. `command` is what comes
    /// before those arguments.
    pub(crate) fn new(
        setting: Setting,
        seed: u64,
        rows: &[(Rehearsed, String)],
        findings: &[Finding],
        policy: &Document<ReleasePolicy>,
        command: &str,
    ) -> Self {
        let rows: Vec<Row> =
            rows.iter().map(|(row, replay)| Row::new(row, format!("{command} {replay}"))).collect();
        let findings =
            findings.iter().map(|finding| Found::new(finding, policy, command)).collect();
        Self {
            api_version: ApiVersion::V1Alpha1,
            kind: "SimulationReport",
            verdict: Verdict::over(&rows),
            setting,
            seed,
            rows,
            findings,
        }
    }

    /// The document in one of the forms for programs; nothing for people.
    pub(crate) fn written(&self, output: Output) -> Result<Option<String>, Failure> {
        match output {
            Output::Jsonl => {
                let verdict = line("verdict", &self.verdict)?;
                let rows = self.rows.iter().map(|row| line("row", row));
                let findings = self.findings.iter().map(|found| line("finding", found));
                let lines: Result<String, Failure> =
                    std::iter::once(Ok(verdict)).chain(rows).chain(findings).collect();
                lines.map(Some)
            }
            Output::Human | Output::Json | Output::Yaml => document(self, output),
        }
    }
}

impl Verdict {
    fn over(rows: &[Row]) -> Self {
        let rehearsals = rows.len();
        let not_as_expected = rows.iter().filter(|row| !row.as_expected).count();
        let text = if not_as_expected == 0 {
            format!("{rehearsals} of {rehearsals} rehearsals as expected")
        } else {
            format!("{not_as_expected} of {rehearsals} rehearsals NOT as expected")
        };
        Self { text, as_expected: not_as_expected == 0, rehearsals, not_as_expected }
    }
}

impl Row {
    fn new(row: &Rehearsed, replay: String) -> Self {
        let record = &row.record;
        let (outcome, reason) = outcome(record.outcome.as_ref());
        Self {
            name: row.name.clone(),
            as_expected: row.is_as_expected(),
            unexpected: row.unexpected.clone(),
            outcome,
            pattern: record.pattern(),
            reason,
            class: row.class,
            seen_by: record.cause.as_ref().map(SeenBy::of),
            cause: record.cause.as_ref().map(ToString::to_string),
            cause_in_short: record.cause.as_ref().map(in_short),
            noticed_before_traffic: record.triggered.is_some() && !record.exposed_before,
            noticed_after_ms: row.noticed_after().map(Span::as_millis),
            back_in_ms: row.back_in().map(Span::as_millis),
            bad_requests: record.bad_requests,
            effects: record.effects,
            ended_after_ms: record.ended.map(Time::as_millis),
            replay,
        }
    }

    /// The way back, or how it ended otherwise.
    pub(crate) fn ending(&self) -> String {
        match self.pattern {
            Some(pattern) => pattern.to_string(),
            None => self.outcome.trim_start_matches("rollback-").to_owned(),
        }
    }

    /// How long noticing took, in words.
    pub(crate) fn after(&self) -> String {
        match self.noticed_after_ms {
            _ if self.noticed_before_traffic => "before".to_owned(),
            Some(millis) => span(Span::from_millis(millis)),
            None => "-".to_owned(),
        }
    }

    /// How long going back took, in words.
    pub(crate) fn back_in(&self) -> String {
        self.back_in_ms.map_or_else(|| "-".to_owned(), |millis| span(Span::from_millis(millis)))
    }
}

fn outcome(outcome: Option<&Outcome>) -> (&'static str, Option<String>) {
    match outcome {
        Some(Outcome::Promoted) => ("promoted", None),
        Some(Outcome::Cancelled) => ("cancelled", None),
        Some(Outcome::RolledBack(_)) => ("rolled-back", None),
        Some(Outcome::Held(why)) => ("held", Some(why.clone())),
        Some(Outcome::RolledForward) => ("rolled-forward", None),
        Some(Outcome::RollbackFailed(why)) => ("rollback-failed", Some(why.clone())),
        None => ("wedged", None),
    }
}

/// A cause in as few words as a column has room for.
fn in_short(cause: &Cause) -> String {
    match cause {
        Cause::Gate { message, .. } => format!("gate: {message}"),
        Cause::Impossible { message, .. } => message.clone(),
        Cause::Deadline { waiting_for, within, .. } => {
            format!("deadline of {within}: {waiting_for}")
        }
        Cause::NotFlipped { asked, hits, probes, .. } => {
            format!("probes: {hits} of {probes}, not {asked}")
        }
        Cause::Signal { signal, message, windows } => {
            // A signal is often called by its quantile, which its measurement names as well.
            let measured = match message.split_once(' ') {
                Some((quantile, rest)) if signal.as_str().ends_with(quantile) => rest,
                _ => message,
            };
            format!("{signal} {measured}, {}", count(*windows, "window"))
        }
        Cause::SharedCause { signal, message } => format!("both alike: {signal} {message}"),
        Cause::NoData { signal, after, .. } => format!("no data: {signal} for {}", span(*after)),
        Cause::Inconclusive { signal, after, .. } => {
            format!("inconclusive: {signal} for {after}")
        }
        Cause::Planned | Cause::NotApproved { .. } | Cause::Operator { .. } => cause.to_string(),
    }
}

impl Found {
    fn new(finding: &Finding, policy: &Document<ReleasePolicy>, command: &str) -> Self {
        let (subject, file, place) = match &finding.subject {
            Subject::Policy(path) => {
                (path.to_string(), Some(&policy.source.name), Some(policy.map.nearest(path)))
            }
            Subject::File(place) => (place.to_string(), Some(&place.file), place.location),
            Subject::Object(object) => (object.clone(), None, None),
        };
        Self {
            code: finding.code,
            level: finding.level,
            message: finding.message.clone(),
            label: finding.label.clone(),
            help: finding.help.clone(),
            subject,
            file: file.cloned(),
            line: place.map(|place| place.line),
            column: place.map(|place| place.column),
            replay: finding.replay.as_ref().map(|replay| format!("{command} {replay}")),
        }
    }

    /// Where it points to: a place in a file, or an object.
    pub(crate) fn place(&self) -> String {
        match (&self.file, self.line, self.column) {
            (Some(file), Some(line), Some(column)) => format!("{file}:{line}:{column}"),
            _ => self.subject.clone(),
        }
    }
}

#[cfg(test)]
pub(crate) mod samples;
