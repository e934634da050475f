//! Trivy's JSON, schema 2. Its fields are those of `pkg/types/report.go` of aquasecurity/trivy.
//!
//! Trivy writes when the report was made and not how old its database is, nothing of known
//! exploitation, and no probability of exploitation.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess};

use super::collect::{Collector, Found};
use super::streaming::{Fields, Items, Object, Objects, Score, nullable};
use super::vulnerability::{Fix, severity};
use super::{Format, Package, Report, Scanner, moment, tidy};

/// The only schema that is read; Trivy has written it since version 0.20.
const SCHEMA: u64 = 2;

/// Reads a report.
pub(super) fn read(
    name: &str,
    bytes: &[u8],
    collector: &mut Collector,
) -> Result<Report, serde_json::Error> {
    let mut report = Report::new(name, Format::Trivy);
    report.scanner = Some(Scanner { name: "trivy".to_owned(), version: None });
    report.looked_at_packages = false;
    let mut top = Top { report, collector, result: ScanResult::default() };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Object(&mut top).deserialize(&mut json)?;
    Ok(top.report)
}

struct Top<'a> {
    report: Report,
    collector: &'a mut Collector,
    result: ScanResult,
}

impl<'de> Fields<'de> for Top<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "SchemaVersion" => {
                let version: u64 = map.next_value()?;
                if version != SCHEMA {
                    return Err(A::Error::custom(format!(
                        "the report has schema {version} of Trivy's, and only {SCHEMA} is read"
                    )));
                }
            }
            "CreatedAt" => {
                let text: Option<String> = map.next_value()?;
                self.report.created = text.as_deref().and_then(moment::read);
            }
            "ArtifactName" => {
                let name: Option<String> = map.next_value()?;
                self.report.artifact.name(&name.unwrap_or_default());
            }
            "Trivy" => {
                let program: Option<Program> = map.next_value()?;
                let version = program.and_then(|program| program.version);
                self.report.scanner = Some(super::grype::scanner("trivy", version.as_deref()));
            }
            "Metadata" => {
                let metadata: Option<Metadata> = map.next_value()?;
                self.metadata(metadata.unwrap_or_default());
            }
            "Results" => map.next_value_seed(Objects(&mut Results {
                report: &mut self.report,
                collector: &mut *self.collector,
                result: &mut self.result,
            }))?,
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl Top<'_> {
    fn metadata(&mut self, metadata: Metadata) {
        let artifact = &mut self.report.artifact;
        artifact.image_id(&metadata.image_id.unwrap_or_default());
        for name in metadata.repo_tags.iter().chain(&metadata.repo_digests) {
            artifact.name(name);
        }
        if let Some(os) = metadata.os
            && os.end_of_support
        {
            let name = format!("{} {}", os.family.unwrap_or_default(), os.name.unwrap_or_default());
            self.report.end_of_support = Some(tidy(&name));
        }
    }
}

/// One item of `Results`: what was scanned, and what was found in it.
#[derive(Default)]
struct ScanResult {
    kind: String,
    class: String,
    start: Option<usize>,
}

struct Results<'a> {
    report: &'a mut Report,
    collector: &'a mut Collector,
    result: &'a mut ScanResult,
}

impl<'de> Fields<'de> for Results<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let start = *self.result.start.get_or_insert(self.collector.len());
        match key {
            "Type" => self.result.kind = map.next_value::<Option<String>>()?.unwrap_or_default(),
            "Class" => self.result.class = map.next_value::<Option<String>>()?.unwrap_or_default(),
            "Vulnerabilities" => {
                let collector = &mut *self.collector;
                map.next_value_seed(Items::new(|item: Item| item.add(collector)))?;
                self.report.looked_at_packages |= self.collector.len() > start;
            }
            "ExperimentalModifiedFindings" => {
                let ignored = &mut self.report.ignored;
                map.next_value_seed(Items::new(|_: IgnoredAny| {
                    *ignored += 1;
                    Ok(())
                }))?;
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn end<E: Error>(&mut self) -> Result<(), E> {
        let result = std::mem::take(self.result);
        self.report.looked_at_packages |= matches!(result.class.as_str(), "os-pkgs" | "lang-pkgs");
        for finding in self.collector.since(result.start.unwrap_or_default()) {
            finding.package.kind = tidy(&result.kind);
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Program {
    #[serde(rename = "Version")]
    version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(rename = "OS")]
    os: Option<OperatingSystem>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    repo_digests: Vec<String>,
}

#[derive(Deserialize)]
struct OperatingSystem {
    #[serde(rename = "Family")]
    family: Option<String>,
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "EOSL", default, deserialize_with = "nullable")]
    end_of_support: bool,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "VulnerabilityID")]
    id: String,
    #[serde(rename = "VendorIDs", default, deserialize_with = "nullable")]
    vendor_ids: Vec<String>,
    #[serde(rename = "PkgName", default, deserialize_with = "nullable")]
    name: String,
    #[serde(rename = "PkgIdentifier", default, deserialize_with = "nullable")]
    identifier: Identifier,
    #[serde(rename = "InstalledVersion", default, deserialize_with = "nullable")]
    installed: String,
    #[serde(rename = "FixedVersion", default, deserialize_with = "nullable")]
    fixed: String,
    #[serde(rename = "Status", default, deserialize_with = "nullable")]
    status: String,
    #[serde(rename = "Severity", default, deserialize_with = "nullable")]
    severity: String,
    #[serde(rename = "SeveritySource")]
    severity_source: Option<String>,
    #[serde(rename = "CVSS", default, deserialize_with = "nullable")]
    cvss: BTreeMap<String, Cvss>,
}

#[derive(Default, Deserialize)]
struct Identifier {
    #[serde(rename = "PURL")]
    purl: Option<String>,
}

#[derive(Deserialize)]
struct Cvss {
    #[serde(rename = "V3Score")]
    v3: Option<Score>,
    #[serde(rename = "V40Score")]
    v4: Option<Score>,
}

impl Item {
    fn add(&self, collector: &mut Collector) -> Result<(), String> {
        let fixed_in: Vec<&str> =
            self.fixed.split(',').filter(|text| !text.trim().is_empty()).collect();
        let fix = match self.status.as_str() {
            "will_not_fix" | "end_of_life" => Fix::WillNotFix,
            _ if !fixed_in.is_empty() => Fix::Fixed,
            "affected" | "fix_deferred" | "under_investigation" => Fix::NotFixed,
            _ => Fix::Unknown,
        };
        let scores = self.cvss.values().flat_map(|cvss| [cvss.v3, cvss.v4]).flatten();
        let purl = self.identifier.purl.as_deref();
        collector.add(&Found {
            id: &self.id,
            others: self.vendor_ids.iter().map(String::as_str).collect(),
            package: Some(Package::new(purl, &self.name, "", &self.installed)),
            fixed_in,
            fix,
            severity: severity(&self.severity),
            severity_source: self.severity_source.as_deref(),
            cvss_tenths: scores.map(|score| score.0).max(),
            ..Found::default()
        })
    }
}
