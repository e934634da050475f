//! SARIF 2.1.0 as Trivy and Grype write it. It has no package URLs, no aliases and no known
//! exploitation; packages and versions stand in the text of messages. The last resort.
//!
//! A file is read twice: rules first, because results name them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess};

use super::collect::{Collector, Found};
use super::streaming::{Fields, Items, Object, Objects, Score, nullable};
use super::vulnerability::{Fix, severity, severity_of_score};
use super::{Artifact, Format, Package, Report, Scanner, moment, tidy};

/// Reads a report.
pub(super) fn read(
    name: &str,
    bytes: &[u8],
    collector: &mut Collector,
) -> Result<Report, serde_json::Error> {
    let report = Report::new(name, Format::Sarif);
    let mut first = Runs { report, rules: Vec::new(), run: Rules::new() };
    pass(bytes, &mut first)?;
    let mut report = first.report;
    let mut second = Results { rules: first.rules, at: 0, collector, report: &mut report };
    pass(bytes, &mut second)?;
    Ok(report)
}

fn pass<'de, T: Fields<'de>>(bytes: &'de [u8], runs: &mut T) -> Result<(), serde_json::Error> {
    struct Top<'a, T>(&'a mut T);
    impl<'de, T: Fields<'de>> Fields<'de> for Top<'_, T> {
        fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
            if key == "runs" {
                map.next_value_seed(Objects(&mut *self.0))
            } else {
                map.next_value::<IgnoredAny>().map(|IgnoredAny| ())
            }
        }
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Object(&mut Top(runs)).deserialize(&mut json)
}

/// The rules of a run, by id.
type Rules = BTreeMap<String, Rule>;

/// The first pass.
struct Runs {
    report: Report,
    rules: Vec<Rules>,
    run: Rules,
}

impl<'de> Fields<'de> for Runs {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "tool" => {
                let tool: Tool = map.next_value()?;
                self.tool(tool).map_err(A::Error::custom)?;
            }
            "invocations" => {
                let ended: Option<Vec<Invocation>> = map.next_value()?;
                let ends = ended.unwrap_or_default().into_iter().filter_map(|run| run.end);
                self.report.created = ends.filter_map(|text| moment::read(&text)).min();
            }
            "properties" => {
                let properties: Option<RunProperties> = map.next_value()?;
                self.describe(&properties.unwrap_or_default());
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn end<E: Error>(&mut self) -> Result<(), E> {
        self.rules.push(std::mem::take(&mut self.run));
        Ok(())
    }
}

impl Runs {
    fn tool(&mut self, tool: Tool) -> Result<(), String> {
        let driver = tool.driver;
        let version = driver.version.or(driver.semantic_version);
        let scanner: Scanner = super::grype::scanner(&driver.name, version.as_deref());
        if !matches!(scanner.name.as_str(), "trivy" | "grype") {
            return Err(format!(
                "the SARIF is of {scanner}, and only that of trivy and grype is read"
            ));
        }
        self.report.scanner = Some(scanner);
        self.run = driver.rules.into_iter().map(|rule| (rule.id.clone(), rule)).collect();
        Ok(())
    }

    fn describe(&mut self, properties: &RunProperties) {
        let artifact = &mut self.report.artifact;
        let names = properties.repo_digests.iter().chain(&properties.repo_tags);
        for name in names.chain(&properties.image_name) {
            artifact.name(name);
        }
        artifact.image_id(properties.image_id.as_deref().unwrap_or_default());
    }
}

/// The second pass.
struct Results<'a> {
    rules: Vec<Rules>,
    at: usize,
    collector: &'a mut Collector,
    report: &'a mut Report,
}

impl<'de> Fields<'de> for Results<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if key != "results" {
            return map.next_value::<IgnoredAny>().map(|IgnoredAny| ());
        }
        let none = Rules::new();
        let rules = self.rules.get(self.at).unwrap_or(&none);
        let collector = &mut *self.collector;
        let artifact = &mut self.report.artifact;
        map.next_value_seed(Items::new(|result: ResultItem| {
            result.describe(artifact);
            result.add(rules, collector)
        }))
    }

    fn end<E: Error>(&mut self) -> Result<(), E> {
        self.at += 1;
        Ok(())
    }
}

#[derive(Deserialize)]
struct Tool {
    driver: Driver,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: String,
    version: Option<String>,
    semantic_version: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct Rule {
    id: String,
    help: Option<Text>,
    #[serde(default, deserialize_with = "nullable")]
    properties: RuleProperties,
}

#[derive(Default, Deserialize)]
struct RuleProperties {
    #[serde(rename = "security-severity")]
    score: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    tags: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Text {
    #[serde(default, deserialize_with = "nullable")]
    text: String,
}

#[derive(Deserialize)]
struct Invocation {
    #[serde(rename = "endTimeUtc")]
    end: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunProperties {
    image_name: Option<String>,
    #[serde(rename = "imageID")]
    image_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    repo_digests: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    repo_tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultItem {
    rule_id: String,
    message: Text,
    #[serde(default, deserialize_with = "nullable")]
    locations: Vec<Location>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(default, deserialize_with = "nullable")]
    logical_locations: Vec<LogicalLocation>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    fully_qualified_name: Option<String>,
}

impl ResultItem {
    /// Grype says which image it looked at in the place of each result:
    /// `registry.example/checkout@sha256:...:/path/in/the/image`.
    fn describe(&self, artifact: &mut Artifact) {
        for location in self.locations.iter().flat_map(|location| &location.logical_locations) {
            let name = location.fully_qualified_name.as_deref().unwrap_or_default();
            if let Some((reference, _)) = name.split_once(":/") {
                artifact.digest(reference.rsplit_once('@').map_or("", |(_, digest)| digest));
            }
        }
    }

    fn add(&self, rules: &Rules, collector: &mut Collector) -> Result<(), String> {
        let Some(rule) = rules.get(&self.rule_id) else {
            return Err(format!("no rule `{}` is in the report", tidy(&self.rule_id)));
        };
        let tags = &rule.properties.tags;
        // Trivy's misconfigurations, secrets and licences stand beside its vulnerabilities.
        if !tags.is_empty() && !tags.iter().any(|tag| tag == "vulnerability") {
            return Ok(());
        }
        let help = rule.help.as_ref().map(|help| help.text.as_str()).unwrap_or_default();
        // Trivy writes a rule for each vulnerability, and the package in the result; Grype writes a
        // rule for each vulnerability of a package. The result therefore comes first.
        let texts = [self.message.text.as_str(), help];
        let named = |name: &str| texts.into_iter().find_map(|text| line(text, name));
        let Some(package) = named("Package:") else {
            return Err(format!("the result on `{}` names no package", tidy(&self.rule_id)));
        };
        let version = named("Installed Version:").or_else(|| named("Version:")).unwrap_or_default();
        let fixed = named("Fixed Version:").or_else(|| named("Fix Version:")).unwrap_or_default();
        let fixed_in: Vec<&str> = fixed.split(',').filter(|text| !text.trim().is_empty()).collect();
        let score = rule.properties.score.as_deref().and_then(Score::of_text).map(|score| score.0);
        let word = named("Severity:")
            .or_else(|| tags.iter().map(String::as_str).find(|tag| severity(tag).is_some()));
        collector.add(&Found {
            id: named("Vulnerability ").unwrap_or(&self.rule_id),
            package: Some(Package::new(None, package, named("Type:").unwrap_or_default(), version)),
            fix: if fixed_in.is_empty() { Fix::Unknown } else { Fix::Fixed },
            fixed_in,
            severity: word.and_then(severity).or_else(|| score.and_then(severity_of_score)),
            cvss_tenths: score.filter(|tenths| *tenths > 0),
            ..Found::default()
        })
    }
}

/// What a text says after a word at the start of a line.
fn line<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    let value = text.lines().find_map(|line| line.trim_start().strip_prefix(start))?;
    Some(value.trim()).filter(|value| !value.is_empty())
}
