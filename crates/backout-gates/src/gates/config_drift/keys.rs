//! Keys that the chart needs, refuses or does not read.

use std::collections::BTreeSet;

use backout_core::document::{FieldPath, Location, nearest};
use backout_core::finding::{Finding, Place, Subject};
use backout_core::policy::gate::ConfigDrift;
use serde_json::Value;

use super::super::found::helped;
use super::{KEY_MISSING, Known, REFUSED, Sheet, UNREAD, UNSEEN, path_of};
use crate::chart::{Chart, Reads, schema};

/// How deep charts in charts are looked into.
const DEEPEST: usize = 4;

/// A chart with the values that it gets: the environment's chart, or one that it is made of.
struct Part<'a> {
    target: &'a Known<'a>,
    chart: &'a Chart,
    /// The keys that lead to its values, with a dot behind each; nothing for the chart itself.
    prefix: String,
    all: Value,
}

pub(super) fn judge(config: &ConfigDrift, target: &Known<'_>, sheet: &mut Sheet) {
    let all = target.chart.merged(target.values);
    judge_unread(config, target, &all, sheet);
    Part { target, chart: target.chart, prefix: String::new(), all }.judge(DEEPEST, sheet);
}

impl Part<'_> {
    fn judge(&self, deeper: usize, sheet: &mut Sheet) {
        let mut told = BTreeSet::new();
        let templates = self.chart.needs(&self.all);
        for need in templates.unmet(&self.all) {
            let reader = format!("{}:{} reads it", need.file, need.line);
            sheet.findings.push(self.missing(&need.key, &reader));
            told.insert(need.key);
        }
        for failing in templates.failing() {
            let place = Place {
                file: failing.file,
                location: Some(Location { line: failing.line, column: 1, length: 1 }),
            };
            let (title, name) = (self.title(), self.target.name);
            let message = format!("{title} refuses the values of {name}: {}", failing.message);
            sheet.findings.push(KEY_MISSING.found(Subject::File(place), message));
        }
        if let Some(schema) = &self.chart.schema {
            self.judge_schema(schema, &told, sheet);
        }
        if deeper == 0 {
            return;
        }
        for (chart, key, all) in self.chart.parts(&self.all) {
            let prefix = format!("{}{key}.", self.prefix);
            Part { target: self.target, chart, prefix, all }.judge(deeper - 1, sheet);
        }
    }

    fn title(&self) -> String {
        format!("chart {} {}", self.chart.name, self.chart.version)
    }

    fn missing(&self, key: &str, reader: &str) -> Finding {
        let target = self.target;
        let key = format!("{}{key}", self.prefix);
        let message = format!("{} gives no `{key}`, which {} needs", target.name, self.title());
        let file = target.values.last().unwrap_or(&target.chart.values);
        let file = &file.source.name;
        let path = path_of(key.split('.'));
        helped(
            KEY_MISSING.found(target.subject(&path), message),
            format!("add `{key}` to {file}: {reader}"),
        )
    }

    fn judge_schema(&self, schema: &Value, told: &BTreeSet<String>, sheet: &mut Sheet) {
        let target = self.target;
        let checked = schema::check(schema, &self.all);
        for violation in checked.violations {
            let key = violation.path.to_string();
            let is_told = |told: &String| {
                told.strip_prefix(&key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if violation.message != schema::REQUIRED {
                let above = path_of(self.prefix.split('.').filter(|key| !key.is_empty()));
                let path: FieldPath =
                    above.segments().iter().chain(violation.path.segments()).cloned().collect();
                let message = format!("`{path}` of {}: {}", target.name, violation.message);
                sheet.findings.push(REFUSED.found(target.subject(&path), message));
            } else if !told.iter().any(is_told) {
                sheet.findings.push(self.missing(&key, "the schema requires it"));
            }
        }
        if !checked.skipped.is_empty() {
            let skipped: Vec<String> = checked.skipped.into_iter().collect();
            let file = format!("{}/values.schema.json", self.chart.folder);
            let message = format!("of the schema, this was not evaluated: {}", skipped.join(", "));
            sheet.findings.push(helped(
                UNSEEN.found(Subject::File(Place { file, location: None }), message),
                "Helm evaluates it when it renders the chart",
            ));
        }
    }
}

fn judge_unread(config: &ConfigDrift, target: &Known<'_>, all: &Value, sheet: &mut Sheet) {
    let reads = target.chart.reads(all);
    if reads.is_everything() {
        let message = format!(
            "{} hands on its values as a whole, so that nobody can tell which keys it reads",
            target.chart_title()
        );
        let place = target.chart.place("name");
        sheet.findings.push(helped(
            UNSEEN.found(Subject::File(place), message),
            "a values.schema.json with additionalProperties: false finds misspelt keys",
        ));
        return;
    }
    let mut search =
        Search { target, reads: &reads, allowed: &config.unread, found: BTreeSet::new() };
    for file in target.values {
        search.walk(&file.value, &mut Vec::new());
    }
    for path in &search.found {
        let key = path.join(".");
        let mut finding = UNREAD.found(
            target.subject(&path_of(path.iter().map(String::as_str))),
            format!("nobody reads `{key}` of {}", target.name),
        );
        if let Some(near) = search.near(path) {
            finding.help = format!("did you mean `{near}`?");
        }
        sheet.findings.push(finding);
    }
}

/// Looks for keys that nobody reads.
struct Search<'a> {
    target: &'a Known<'a>,
    reads: &'a Reads,
    allowed: &'a [String],
    found: BTreeSet<Vec<String>>,
}

impl Search<'_> {
    fn walk(&mut self, value: &Value, path: &mut Vec<String>) {
        let Value::Object(fields) = value else { return };
        for (key, value) in fields {
            path.push(key.clone());
            if self.is_known(path) {
                self.walk(value, path);
            } else {
                self.found.insert(path.clone());
            }
            path.pop();
        }
    }

    fn is_known(&self, path: &[String]) -> bool {
        let key = path.join(".");
        let is_allowed = self.allowed.iter().any(|allowed| {
            key == *allowed
                || key.strip_prefix(allowed.as_str()).is_some_and(|rest| rest.starts_with('.'))
                || allowed.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('.'))
        });
        is_allowed
            || self.reads.may_read(path)
            || path.split_last().is_some_and(|(last, above)| self.schema_keys(above).contains(last))
    }

    fn schema_keys(&self, path: &[String]) -> BTreeSet<String> {
        let schema = self.target.chart.schema.as_ref();
        schema.map(|schema| schema::known_keys(schema, path)).unwrap_or_default()
    }

    /// The key that was probably meant.
    fn near(&self, path: &[String]) -> Option<String> {
        let (last, above) = path.split_last()?;
        let known = self.schema_keys(above);
        let candidates = self.reads.below(above).chain(known.iter().map(String::as_str));
        let near = nearest(last, candidates)?;
        Some(above.iter().map(String::as_str).chain([near]).collect::<Vec<_>>().join("."))
    }
}
