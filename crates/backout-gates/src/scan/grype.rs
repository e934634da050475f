//! Grype's JSON, whose fields are those of `grype/presenter/models` of anchore/grype.
//!
//! It states known exploitation, probability of exploitation, and the age of its database: as
//! `descriptor.db.built` before version 0.88, and as `descriptor.db.status.built` since.

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess};

use super::collect::{Collector, Found};
use super::streaming::{Fields, Items, Object, Probability, Score, nullable};
use super::vulnerability::{Exploited, Fix, severity};
use super::{Format, Package, Report, Scanner, moment, tidy};

/// Reads a report.
pub(super) fn read(
    name: &str,
    bytes: &[u8],
    collector: &mut Collector,
) -> Result<Report, serde_json::Error> {
    let mut report = Report::new(name, Format::Grype);
    report.states_exploitation = true;
    report.scanner = Some(scanner("grype", None));
    let mut top = Top { report, collector };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Object(&mut top).deserialize(&mut json)?;
    Ok(top.report)
}

/// A scanner by its name and version as a report writes them.
pub(super) fn scanner(name: &str, version: Option<&str>) -> Scanner {
    let version = version.map(|text| tidy(text).trim_start_matches('v').to_owned());
    // A build without a version says so in brackets.
    let version = version.filter(|text| !text.is_empty() && !text.starts_with('['));
    Scanner { name: tidy(name).to_lowercase(), version }
}

struct Top<'a> {
    report: Report,
    collector: &'a mut Collector,
}

impl<'de> Fields<'de> for Top<'_> {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "matches" => {
                let collector = &mut *self.collector;
                map.next_value_seed(Items::new(|item: Match| item.add(collector)))?;
            }
            "ignoredMatches" => {
                let ignored = &mut self.report.ignored;
                map.next_value_seed(Items::new(|_: IgnoredAny| {
                    *ignored += 1;
                    Ok(())
                }))?;
            }
            "source" => {
                let source: Option<Source> = map.next_value()?;
                if let Some(Target::Image(image)) = source.and_then(|source| source.target) {
                    image.describe(&mut self.report);
                }
            }
            "descriptor" => {
                let descriptor: Option<Descriptor> = map.next_value()?;
                self.descriptor(&descriptor.unwrap_or_default());
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl Top<'_> {
    fn descriptor(&mut self, descriptor: &Descriptor) {
        let name = descriptor.name.as_deref().unwrap_or("grype");
        self.report.scanner = Some(scanner(name, descriptor.version.as_deref()));
        self.report.created = descriptor.timestamp.as_deref().and_then(moment::read);
        let database = descriptor.db.as_ref();
        let built = database.and_then(|db| {
            db.status.as_ref().and_then(|status| status.built.as_deref()).or(db.built.as_deref())
        });
        self.report.database = built.and_then(moment::read);
    }
}

#[derive(Deserialize)]
struct Source {
    target: Option<Target>,
}

/// An image is an object; a folder or a bill of materials is a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Target {
    Image(Box<ImageTarget>),
    Else(IgnoredAny),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageTarget {
    user_input: Option<String>,
    #[serde(rename = "imageID")]
    image_id: Option<String>,
    manifest_digest: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    repo_digests: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    tags: Vec<String>,
}

impl ImageTarget {
    fn describe(&self, report: &mut Report) {
        let artifact = &mut report.artifact;
        for name in self.user_input.iter().chain(&self.repo_digests).chain(&self.tags) {
            artifact.name(name);
        }
        // Grype works this one out itself when it reads from a Docker daemon, so it may differ from
        // the registry's; the other names then still bind.
        artifact.digest(self.manifest_digest.as_deref().unwrap_or_default());
        artifact.image_id(self.image_id.as_deref().unwrap_or_default());
    }
}

#[derive(Default, Deserialize)]
struct Descriptor {
    name: Option<String>,
    version: Option<String>,
    timestamp: Option<String>,
    db: Option<Database>,
}

#[derive(Deserialize)]
struct Database {
    built: Option<String>,
    status: Option<DatabaseStatus>,
}

#[derive(Deserialize)]
struct DatabaseStatus {
    built: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Match {
    vulnerability: Known,
    #[serde(default, deserialize_with = "nullable")]
    related_vulnerabilities: Vec<Known>,
    artifact: Artifact,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Known {
    id: String,
    data_source: Option<String>,
    namespace: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    severity: String,
    #[serde(default, deserialize_with = "nullable")]
    cvss: Vec<Cvss>,
    #[serde(default, deserialize_with = "nullable")]
    fix: FixField,
    #[serde(default, deserialize_with = "nullable")]
    epss: Vec<Epss>,
    #[serde(default, deserialize_with = "nullable")]
    known_exploited: Vec<KnownExploited>,
}

#[derive(Deserialize)]
struct Cvss {
    #[serde(default, deserialize_with = "nullable")]
    version: String,
    metrics: Option<Metrics>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    base_score: Option<Score>,
}

#[derive(Default, Deserialize)]
struct FixField {
    #[serde(default, deserialize_with = "nullable")]
    versions: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    state: String,
}

#[derive(Deserialize)]
struct Epss {
    epss: Probability,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KnownExploited {
    due_date: Option<String>,
    known_ransomware_campaign_use: Option<String>,
}

#[derive(Deserialize)]
struct Artifact {
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    version: String,
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    kind: String,
    purl: Option<String>,
}

impl Match {
    fn add(&self, collector: &mut Collector) -> Result<(), String> {
        let found = &self.vulnerability;
        let all = || [found].into_iter().chain(&self.related_vulnerabilities);
        let scores = all()
            .flat_map(|known| &known.cvss)
            .filter(|cvss| !cvss.version.starts_with('2'))
            .filter_map(|cvss| cvss.metrics.as_ref().and_then(|metrics| metrics.base_score));
        let fix = match found.fix.state.as_str() {
            "fixed" => Fix::Fixed,
            "wont-fix" => Fix::WillNotFix,
            "not-fixed" => Fix::NotFixed,
            _ => Fix::Unknown,
        };
        let source = found.namespace.as_deref().or(found.data_source.as_deref());
        let artifact = &self.artifact;
        let purl = artifact.purl.as_deref();
        let exploited = all().flat_map(|known| &known.known_exploited).map(KnownExploited::read);
        collector.add(&Found {
            id: &found.id,
            others: self.related_vulnerabilities.iter().map(|known| known.id.as_str()).collect(),
            package: Some(Package::new(purl, &artifact.name, &artifact.kind, &artifact.version)),
            fixed_in: found.fix.versions.iter().map(String::as_str).collect(),
            fix,
            severity: severity(&found.severity),
            severity_source: source,
            cvss_tenths: scores.map(|score| score.0).max(),
            epss: all().flat_map(|known| &known.epss).map(|epss| epss.epss.0).max(),
            exploited: exploited.reduce(Exploited::and),
            analysis: None,
        })
    }
}

impl KnownExploited {
    fn read(&self) -> Exploited {
        let ransomware = self.known_ransomware_campaign_use.as_deref();
        Exploited {
            due: self.due_date.as_deref().and_then(moment::read),
            ransomware: ransomware.is_some_and(|text| text.eq_ignore_ascii_case("known")),
        }
    }
}
