//! Gate `config-drift`: the environment's values have every key that the chart needs and were
//! written for this version of it, and environments do not differ where they must not.
//!
//! Messages name keys and places, and never a value: values can be secrets.

mod environments;
mod keys;
mod normal;
mod rendered;
mod versions;

#[cfg(test)]
mod tests;

use backout_core::document::{FieldPath, Segment};
use backout_core::finding::{Finding, Level, Place, Subject};
use backout_core::judgement::Verdict;
use backout_core::manifest::Manifest;
use backout_core::policy::gate::ConfigDrift;
use backout_core::units::{Digest, Time};

use super::{About, Explained};
use crate::chart::{Chart, Values};
use crate::{Outcome, Recorded};

/// What this gate is for.
pub const ABOUT: About = About {
    name: "config-drift",
    mode: "F3",
    what: "The environment's values have every key that the chart needs and were written for this \
           version of it; environments do not differ where they must not.",
    reads: "Chart, values files, schema and template references of every environment, manifests as \
            files hold them and as Helm renders them, the records of both releases, and when chart \
            and values were changed last.",
    findings: &[
        KEY_MISSING,
        OTHER_CHART,
        OTHER_VALUES,
        REFUSED,
        UNREAD,
        NOT_SAME,
        SKEW,
        OUT_OF_DATE,
        OLD,
        UNSEEN,
    ],
};

const KEY_MISSING: Explained = Explained {
    code: "BO340",
    level: Level::Error,
    title: "key missing",
    means: "The chart needs a key that the environment's values do not give: a template reads it \
            and it has no default, or the schema or `required` asks for it. Often the chart's new \
            version brought the key, and only another environment got it.",
    next: "add the key to the environment's values",
};

const OTHER_CHART: Explained = Explained {
    code: "BO341",
    level: Level::Error,
    title: "another chart",
    means: "The chart on disk is not the one that the release was recorded with: another version, \
            or other files under the same version.",
    next: "check out the configuration that the release was recorded with, or record it again",
};

const OTHER_VALUES: Explained = Explained {
    code: "BO342",
    level: Level::Error,
    title: "other values",
    means: "The values files on disk are not those that the release was recorded with.",
    next: "check out the configuration that the release was recorded with, or record it again",
};

const REFUSED: Explained = Explained {
    code: "BO343",
    level: Level::Error,
    title: "schema refuses values",
    means: "A value does not fit the chart's values.schema.json. Helm refuses to install it.",
    next: "correct the value",
};

const UNREAD: Explained = Explained {
    code: "BO344",
    level: Level::Warning,
    title: "nobody reads it",
    means: "A key of the values is read by no template, no schema and no subchart: it is misspelt, \
            or it was written for another version of the chart. What it was meant to change has \
            its default.",
    next: "correct or remove the key, or name it in the gate's `unread`",
};

const NOT_SAME: Explained = Explained {
    code: "BO345",
    level: Level::Error,
    title: "environments differ",
    means: "A value that the policy wants to be the same in all environments is not.",
    next: "make the values the same, or take the key out of the gate's `same`",
};

const SKEW: Explained = Explained {
    code: "BO346",
    level: Level::Warning,
    title: "environments are apart",
    means: "Environments use different versions of the chart, or different images. What was tried in \
            one says little about the other.",
    next: "bring the environments to the same version, one after the other",
};

const OUT_OF_DATE: Explained = Explained {
    code: "BO347",
    level: Level::Warning,
    title: "rendered manifests are out of date",
    means: "The manifests on disk differ from what Helm makes of chart and values now. Checks of \
            the files then say little about what is installed.",
    next: "render the manifests again",
};

const OLD: Explained = Explained {
    code: "BO348",
    level: Level::Note,
    title: "values older than the chart",
    means: "The chart was changed after the values that it is used with, or the values are still \
            those of an older version of the chart.",
    next: "look through what the chart changed for keys that this environment needs",
};

const UNSEEN: Explained = Explained {
    code: "BO349",
    level: Level::Note,
    title: "not seen",
    means: "Something could not be looked into, such as packed subcharts, or what only Helm can tell \
            by rendering.",
    next: "install Helm, or give the rendered manifests",
};

/// What the gate judges by.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The environment that is released to.
    pub environment: &'a str,
    /// All environments of the policy.
    pub environments: &'a [Environment],
    /// The record of the release.
    pub record: &'a Recorded,
    /// The record of the release that serves, when there is one.
    pub stable: Option<&'a Recorded>,
    /// The present, for ages; nothing when they are of no interest.
    pub now: Option<Time>,
}

/// What was read of one environment. Each part is known, or there is a reason why not.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Its chart.
    pub chart: Result<Chart, String>,
    /// Its values files; later ones win.
    pub values: Result<Vec<Values>, String>,
    /// SHA-256 over its values files, as [`crate::chart::digest_of_values`] makes it.
    pub values_digest: Option<Digest>,
    /// Its manifests.
    pub rendered: Rendered,
    /// When the chart was last changed in Git; nothing in it when it is in no commit.
    pub chart_changed: Result<Option<Time>, String>,
    /// When the values files were last changed in Git; likewise.
    pub values_changed: Result<Option<Time>, String>,
}

/// The manifests of an environment.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// As Helm renders them now, or why it did not.
    pub by_helm: Result<Vec<Manifest>, String>,
    /// As files hold them, when the policy or the release names files.
    pub in_files: Option<Result<Vec<Manifest>, String>>,
}

impl Rendered {
    /// What is installed: what files hold, otherwise what Helm renders.
    ///
    /// # Errors
    /// Says why there is neither.
    pub fn manifests(&self) -> Result<&[Manifest], &str> {
        let chosen = self.in_files.as_ref().unwrap_or(&self.by_helm);
        chosen.as_deref().map_err(String::as_str)
    }
}

/// An environment whose chart and values are known.
#[derive(Clone, Copy)]
struct Known<'a> {
    name: &'a str,
    chart: &'a Chart,
    values: &'a [Values],
    environment: &'a Environment,
}

impl<'a> Known<'a> {
    fn of(environment: &'a Environment) -> Result<Self, String> {
        let name = environment.name.as_str();
        let reason =
            |what: &str, reason: &String| format!("{what} of {name} cannot be read: {reason}");
        Ok(Self {
            name,
            chart: environment.chart.as_ref().map_err(|error| reason("the chart", error))?,
            values: environment.values.as_ref().map_err(|error| reason("the values", error))?,
            environment,
        })
    }

    /// The place that decides a key: in the last values file that has it, in the chart's own
    /// values, or where it belongs in the last values file.
    fn place(&self, path: &FieldPath) -> Place {
        let keys: Vec<&str> = path
            .segments()
            .iter()
            .map_while(|segment| match segment {
                Segment::Key(key) => Some(key.as_str()),
                Segment::Index(_) => None,
            })
            .collect();
        let holder = self.values.iter().rev().find(|file| file.has(&keys));
        let own = Some(&self.chart.values).filter(|own| own.has(&keys));
        match holder.or(own).or(self.values.last()) {
            Some(file) => file.place(path),
            None => self.chart.values.place(path),
        }
    }

    fn subject(&self, path: &FieldPath) -> Subject {
        Subject::File(self.place(path))
    }

    /// `chart checkout 0.10.0`.
    fn chart_title(&self) -> String {
        format!("chart {} {}", self.chart.name, self.chart.version)
    }
}

/// A path of keys, as people write it.
fn path_of<'k>(keys: impl IntoIterator<Item = &'k str>) -> FieldPath {
    keys.into_iter().map(|key| Segment::Key(key.to_owned())).collect()
}

/// Judges the configuration of an environment.
#[must_use]
pub fn judge(config: &ConfigDrift, evidence: &Evidence<'_>) -> Outcome {
    let name = evidence.environment;
    let Some(target) = evidence.environments.iter().find(|one| one.name == name) else {
        return Outcome::not_evaluated(format!("the policy has no environment {name}"));
    };
    let target = match Known::of(target) {
        Ok(target) => target,
        Err(reason) => return Outcome::not_evaluated(reason),
    };
    let mut sheet = Sheet::default();
    versions::judge(&target, evidence, &mut sheet);
    keys::judge(config, &target, &mut sheet);
    environments::judge(config, &target, evidence, &mut sheet);
    rendered::judge(&target, &mut sheet);
    let title = target.chart_title();
    let passed = format!("values of {name} fit {title}{}", ages(evidence));
    let mut outcome = Outcome::of(sheet.findings, passed);
    if let (Verdict::Pass, Some(reason)) = (outcome.verdict, sheet.unknown.into_iter().next()) {
        outcome.verdict = Verdict::NotEvaluated;
        outcome.message = reason;
    }
    outcome
}

/// What was found, and what could not be judged.
#[derive(Default)]
struct Sheet {
    findings: Vec<Finding>,
    /// Reasons for which the gate cannot pass.
    unknown: Vec<String>,
}

/// How old the values of each environment are, where that is known.
fn ages(evidence: &Evidence<'_>) -> String {
    let Some(now) = evidence.now else { return String::new() };
    let ages: Vec<String> = evidence
        .environments
        .iter()
        .filter_map(|environment| {
            let changed = environment.values_changed.as_ref().ok()?.as_ref()?;
            Some(format!("{} {}", environment.name, days(now.since(*changed))))
        })
        .collect();
    if ages.is_empty() { String::new() } else { format!("; values changed: {}", ages.join(", ")) }
}

/// A span in words that tell its size.
fn days(span: backout_core::units::Span) -> String {
    let hours = span.as_secs() / 3600;
    match hours {
        0 => "within the hour".to_owned(),
        1..48 => format!("{hours} h ago"),
        _ => format!("{} days ago", hours / 24),
    }
}
