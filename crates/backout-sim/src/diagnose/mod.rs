//! Which line of the policy is to blame when a rehearsal does not come out as it must.
//!
//! A weakness is a field that could be at fault, with a mend. Whether it is at fault is not guessed
//! but shown: the policy is mended everywhere else, this one weakness is planted back, and
//! everything is rehearsed again. A weakness that makes no run fail is not reported.
//!
//! One kind of weakness is one file.

mod blind_query;
mod harm_budget;
mod lax_limit;
mod missing_gate;
mod missing_signal;
mod no_bake;
mod single_window;
mod slow_return;
mod slow_windows;
mod thin_evidence;
mod unbounded_wait;
mod unreachable_evidence;
mod unverified_flip;

use backout_core::document::FieldPath;
use backout_core::finding::{Code, Finding, Level, Subject};
use backout_core::plan::PlanError;
use backout_core::policy::ReleasePolicy;

use crate::faults::Named;
use crate::rehearse::{Options, Project, Rehearsed, rehearse_all};

/// Takes a weakness out of a policy.
pub type Mend = Box<dyn Fn(&mut ReleasePolicy)>;

/// Puts the weakness of the second policy back into the first.
pub type Plant = Box<dyn Fn(&mut ReleasePolicy, &ReleasePolicy)>;

/// A field that could be at fault.
pub struct Weakness {
    /// Stable code.
    pub code: Code,
    /// The field.
    pub path: FieldPath,
    /// What is wrong with it, as a sentence fragment.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Takes the weakness out of a policy.
    pub mend: Mend,
    /// Puts the weakness of the second policy back into the first.
    pub plant: Plant,
}

/// Every weakness that the policy could have.
#[must_use]
pub fn weaknesses(project: &Project) -> Vec<Weakness> {
    let mut list = Vec::new();
    for find in [
        unbounded_wait::find,
        unverified_flip::find,
        blind_query::find,
        thin_evidence::find,
        unreachable_evidence::find,
        single_window::find,
        slow_windows::find,
        missing_gate::find,
        missing_signal::find,
        lax_limit::find,
        no_bake::find,
        harm_budget::find,
        slow_return::find,
    ] {
        find(project, &mut list);
    }
    list
}

/// The field `spec.…` of a policy.
fn spec(keys: &[&str]) -> FieldPath {
    keys.iter().fold(FieldPath::root().key("spec"), |path, key| path.key(*key))
}

/// Explains the runs that did not come out as they must. Findings come in the order of the file's
/// weaknesses, those that nothing explains last.
///
/// # Errors
/// When no plan can be made.
pub fn diagnose(
    project: &Project,
    named: &[Named],
    rows: &[Rehearsed],
    options: Options,
) -> Result<Vec<Finding>, PlanError> {
    if rows.iter().all(Rehearsed::is_as_expected) {
        return Ok(Vec::new());
    }
    let options = Options { journal: false, forks: false, ..options };
    let original = &project.brief.policy;
    let list = weaknesses(project);
    let mut mended = (**original).clone();
    for weakness in &list {
        (weakness.mend)(&mut mended);
    }
    let mut findings = Vec::new();
    for weakness in &list {
        let mut planted = mended.clone();
        (weakness.plant)(&mut planted, original);
        let planted = rehearse_all(&project.with_policy(planted), named, options)?;
        if let Some(worst) = planted.iter().find(|row| !row.is_as_expected()) {
            findings.push(blame(weakness, worst, options.seed));
        }
    }
    let rest = rehearse_all(&project.with_policy(mended), named, options)?;
    findings.extend(rest.iter().filter(|row| !row.is_as_expected()).map(unexplained));
    if findings.is_empty() {
        let failing = rows.iter().filter(|row| !row.is_as_expected());
        findings.extend(failing.map(unexplained));
    }
    Ok(findings)
}

fn blame(weakness: &Weakness, shown_by: &Rehearsed, seed: u64) -> Finding {
    let first = shown_by.unexpected.first().map_or("it did not come out", String::as_str);
    Finding {
        code: weakness.code,
        level: Level::Error,
        subject: Subject::Policy(weakness.path.clone()),
        message: weakness.message.clone(),
        label: in_words(&shown_by.name, first),
        help: weakness.help.clone(),
        replay: Some(replay(&shown_by.name, seed)),
    }
}

fn in_words(fault: &str, what: &str) -> String {
    if fault == "none" {
        format!("without any fault {what}")
    } else {
        format!("with fault `{fault}` {what}")
    }
}

fn replay(fault: &str, seed: u64) -> String {
    format!("--fault {fault} --seed {seed}")
}

/// A run that fails even with every known weakness mended.
fn unexplained(row: &Rehearsed) -> Finding {
    let path = row
        .record
        .waiting_in
        .and_then(|step| row.plan.steps.get(step))
        .map_or_else(|| spec(&["strategy"]), |step| step.origin.clone());
    Finding {
        code: Code("BO210"),
        level: Level::Error,
        subject: Subject::Policy(path),
        message: format!("the rehearsal of `{}` does not come out as it must", row.name),
        label: row.unexpected.first().cloned().unwrap_or_default(),
        help: "replay it, and read its journal with `backout explain`".to_owned(),
        replay: Some(replay(&row.name, row.header.rehearsal.as_ref().map_or(1, |made| made.seed))),
    }
}
