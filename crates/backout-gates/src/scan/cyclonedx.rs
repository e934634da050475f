//! CycloneDX JSON, 1.4 to 1.7: what Trivy, Grype and others write with `vulnerabilities`, and the
//! analyses (VEX) in it.
//!
//! A file is read twice: components first, because vulnerabilities name them by reference.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess};

use super::collect::{Collector, Found};
use super::streaming::{Fields, Items, Object, Probability, Score, nullable};
use super::vex::{Identifier, Product, Statement};
use super::vulnerability::{Analysis, Exploited, Fix, id, severity, severity_of_score};
use super::{Format, Package, Report, moment, tidy};

/// Analyses that set a finding aside.
const SETS_ASIDE: &[&str] =
    &["not_affected", "false_positive", "resolved", "resolved_with_pedigree"];

/// Versions of the specification that are read.
const VERSIONS: &[&str] = &["1.4", "1.5", "1.6", "1.7"];

/// Reads the findings.
pub(super) fn read(
    name: &str,
    bytes: &[u8],
    collector: &mut Collector,
) -> Result<Report, serde_json::Error> {
    let document = document(name, bytes)?;
    let components = &document.components;
    each_vulnerability(bytes, |known| {
        if known.affects.is_empty() {
            return Err(format!("{} names no component that it affects", tidy(&known.id)));
        }
        for affected in &known.affects {
            let package = components.get(&affected.component).map(Component::package);
            // Some tools refer to components of another document, by their package URL.
            let package =
                package.unwrap_or_else(|| Package::new(Some(&affected.purl()), "", "", ""));
            collector.add(&known.found(affected, package))?;
        }
        Ok(())
    })?;
    Ok(document.report)
}

/// Reads the analyses as statements. A document about an image by digest speaks of that image alone.
pub(super) fn statements(
    name: &str,
    bytes: &[u8],
    most: usize,
) -> Result<Vec<Statement>, serde_json::Error> {
    let document = document(name, bytes)?;
    let mut statements = Vec::new();
    each_vulnerability(bytes, |known| {
        let Some(analysis) = known.analysis() else { return Ok(()) };
        if statements.len() >= most {
            return Err(format!("the document has more than {most} statements"));
        }
        let at = known.updated.as_deref().or(known.published.as_deref()).and_then(moment::read);
        let ids =
            [&known.id].into_iter().chain(known.references.iter().flat_map(|other| &other.id));
        statements.push(Statement {
            ids: ids.map(|text| id(text)).collect(),
            analysis,
            at: at.or(document.report.created),
            products: known.affects.iter().map(|affected| document.product(affected)).collect(),
        });
        Ok(())
    })?;
    Ok(statements)
}

/// Everything but the vulnerabilities.
struct Document {
    report: Report,
    components: BTreeMap<String, Component>,
}

impl Document {
    fn product(&self, affected: &Affected) -> Product {
        let component = self.components.get(&affected.component);
        let purl = component.and_then(|component| component.purl.clone());
        let purl = purl.unwrap_or_else(|| affected.purl());
        let meant: Vec<Identifier> = Identifier::read(&purl).into_iter().collect();
        let subject = &self.report.artifact.digests;
        if subject.is_empty() {
            return Product { identifiers: meant, subcomponents: Vec::new() };
        }
        let identifiers = subject.iter().cloned().map(Identifier::Digest).collect();
        // An analysis of the image itself speaks of whatever is in it.
        let about_image = component.is_some_and(Component::is_image);
        let subcomponents = if about_image { Vec::new() } else { vec![meant] };
        Product { identifiers, subcomponents }
    }
}

fn document(name: &str, bytes: &[u8]) -> Result<Document, serde_json::Error> {
    let report = Report::new(name, Format::CycloneDx);
    let mut top = Top { document: Document { report, components: BTreeMap::new() } };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Object(&mut top).deserialize(&mut json)?;
    Ok(top.document)
}

struct Top {
    document: Document,
}

impl<'de> Fields<'de> for Top {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "specVersion" => {
                let version: String = map.next_value()?;
                if !VERSIONS.contains(&version.as_str()) {
                    return Err(A::Error::custom(format!(
                        "the document is CycloneDX {}, and only 1.4 to 1.7 are read",
                        tidy(&version)
                    )));
                }
            }
            "metadata" => {
                let metadata: Option<Metadata> = map.next_value()?;
                self.metadata(metadata.unwrap_or_default());
            }
            "components" => {
                let components = &mut self.document.components;
                map.next_value_seed(Items::new(|component: Component| {
                    component.enter(components);
                    Ok(())
                }))?;
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

impl Top {
    fn metadata(&mut self, metadata: Metadata) {
        let report = &mut self.document.report;
        report.created = metadata.timestamp.as_deref().and_then(moment::read);
        let tools = metadata.tools.map(Tools::all).unwrap_or_default();
        let known = |tool: &&Tool| matches!(tool.name.to_lowercase().as_str(), "trivy" | "grype");
        if let Some(tool) = tools.iter().find(known).or(tools.first()) {
            report.scanner = Some(super::grype::scanner(&tool.name, tool.version.as_deref()));
            report.states_exploitation = tool.name.eq_ignore_ascii_case("grype");
        }
        let Some(component) = metadata.component else { return };
        let artifact = &mut report.artifact;
        artifact.name(&component.name);
        artifact.name(component.purl.as_deref().unwrap_or_default());
        artifact.digest(component.version.as_deref().unwrap_or_default());
        for hash in &component.hashes {
            let algorithm = hash.algorithm.to_ascii_lowercase().replace('-', "");
            artifact.digest(&format!("{algorithm}:{}", hash.content.to_ascii_lowercase()));
        }
        for property in &component.properties {
            let value = property.value.as_deref().unwrap_or_default();
            match property.name.as_str() {
                "aquasecurity:trivy:RepoDigest" | "aquasecurity:trivy:RepoTag" => {
                    artifact.name(value);
                }
                "aquasecurity:trivy:ImageID" => artifact.image_id(value),
                _ => {}
            }
        }
        component.enter(&mut self.document.components);
    }
}

/// Hands over every vulnerability.
fn each_vulnerability(
    bytes: &[u8],
    take: impl FnMut(Known) -> Result<(), String>,
) -> Result<(), serde_json::Error> {
    struct Pass<F>(F);
    impl<'de, F: FnMut(Known) -> Result<(), String>> Fields<'de> for Pass<F> {
        fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
            if key == "vulnerabilities" {
                map.next_value_seed(Items::new(&mut self.0))
            } else {
                map.next_value::<IgnoredAny>().map(|IgnoredAny| ())
            }
        }
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Object(&mut Pass(take)).deserialize(&mut json)
}

#[derive(Default, Deserialize)]
struct Metadata {
    timestamp: Option<String>,
    tools: Option<Tools>,
    component: Option<Component>,
}

/// A list up to CycloneDX 1.4, an object of lists since.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a list of tools, or an object with `components`")]
enum Tools {
    List(Vec<Tool>),
    Object {
        #[serde(default)]
        components: Vec<Tool>,
    },
}

impl Tools {
    fn all(self) -> Vec<Tool> {
        match self {
            Self::List(tools) | Self::Object { components: tools } => tools,
        }
    }
}

#[derive(Deserialize)]
struct Tool {
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    version: Option<String>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "bom-ref")]
    reference: Option<String>,
    #[serde(rename = "type", default, deserialize_with = "nullable")]
    kind: String,
    group: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    version: Option<String>,
    purl: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    hashes: Vec<Hash>,
    #[serde(default, deserialize_with = "nullable")]
    properties: Vec<Property>,
    #[serde(default, deserialize_with = "nullable")]
    components: Vec<Component>,
}

impl Component {
    /// Enters it and what it consists of.
    fn enter(mut self, components: &mut BTreeMap<String, Self>) {
        for part in std::mem::take(&mut self.components) {
            part.enter(components);
        }
        self.hashes.clear();
        self.properties.retain(|property| property.name == "syft:package:type");
        let reference = self.reference.take().or_else(|| self.purl.clone());
        if let Some(reference) = reference {
            components.insert(reference, self);
        }
    }

    fn is_image(&self) -> bool {
        self.kind == "container"
    }

    fn package(&self) -> Package {
        let kind = self.properties.first().and_then(|property| property.value.as_deref());
        let name = match self.group.as_deref() {
            Some(group) if !group.is_empty() => format!("{group}/{}", self.name),
            Some(_) | None => self.name.clone(),
        };
        let version = self.version.as_deref().unwrap_or_default();
        Package::new(self.purl.as_deref(), &name, kind.unwrap_or_default(), version)
    }
}

#[derive(Deserialize)]
struct Hash {
    #[serde(rename = "alg")]
    algorithm: String,
    content: String,
}

#[derive(Deserialize)]
struct Property {
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    value: Option<String>,
}

#[derive(Deserialize)]
struct Known {
    id: String,
    source: Option<Source>,
    #[serde(default, deserialize_with = "nullable")]
    references: Vec<Reference>,
    #[serde(default, deserialize_with = "nullable")]
    ratings: Vec<Rating>,
    recommendation: Option<String>,
    published: Option<String>,
    updated: Option<String>,
    analysis: Option<AnalysisField>,
    #[serde(default, deserialize_with = "nullable")]
    affects: Vec<Affected>,
}

#[derive(Deserialize)]
struct Source {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    id: Option<String>,
}

#[derive(Deserialize)]
struct Rating {
    source: Option<Source>,
    score: Option<f64>,
    severity: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    method: String,
}

impl Rating {
    fn source(&self) -> &str {
        self.source.as_ref().and_then(|source| source.name.as_deref()).unwrap_or_default()
    }

    fn score(&self) -> Option<u16> {
        let counts = self.method.starts_with("CVSSv3") || self.method.starts_with("CVSSv4");
        self.score.filter(|_| counts).and_then(Score::of).map(|score| score.0)
    }
}

#[derive(Deserialize)]
struct AnalysisField {
    #[serde(default, deserialize_with = "nullable")]
    state: String,
    justification: Option<String>,
    detail: Option<String>,
}

#[derive(Deserialize)]
struct Affected {
    #[serde(rename = "ref")]
    component: String,
    #[serde(default, deserialize_with = "nullable")]
    versions: Vec<AffectedVersion>,
}

#[derive(Deserialize)]
struct AffectedVersion {
    version: Option<String>,
    range: Option<String>,
    status: Option<String>,
}

impl Affected {
    /// The package URL that the reference is or ends with: `urn:cdx:.../1#pkg:npm/x@1`.
    fn purl(&self) -> String {
        let start = self.component.find("pkg:").unwrap_or_default();
        self.component.get(start..).unwrap_or_default().to_owned()
    }

    fn fixed_in(&self) -> Vec<&str> {
        let unaffected = self.versions.iter().filter(|v| v.status.as_deref() == Some("unaffected"));
        unaffected
            .filter_map(|v| {
                let lowest =
                    |range: &'_ str| range.rsplit_once(">=").map_or(0, |(from, _)| from.len() + 2);
                v.version.as_deref().or_else(|| {
                    let range = v.range.as_deref()?;
                    range.get(lowest(range)..)
                })
            })
            .collect()
    }
}

impl Known {
    fn analysis(&self) -> Option<Analysis> {
        let analysis = self.analysis.as_ref().filter(|analysis| !analysis.state.is_empty())?;
        let why = analysis.justification.as_deref().or(analysis.detail.as_deref());
        Some(Analysis {
            sets_aside: SETS_ASIDE.contains(&analysis.state.as_str()),
            state: tidy(&analysis.state),
            justification: why.map(tidy),
        })
    }

    /// The rating of whoever published the vulnerability, or else the worst.
    fn rating(&self) -> (Option<backout_core::policy::gate::Severity>, Option<&str>) {
        let publisher = self.source.as_ref().and_then(|source| source.name.as_deref());
        let rated = self.ratings.iter().filter_map(|rating| {
            let word = rating.severity.as_deref().and_then(severity);
            let level = word.or_else(|| rating.score().and_then(severity_of_score))?;
            Some((level, rating.source()))
        });
        let own = rated.clone().find(|(_, source)| Some(*source) == publisher);
        own.or_else(|| rated.max_by_key(|(level, _)| *level))
            .map_or((None, None), |(level, source)| (Some(level), Some(source)))
    }

    fn found<'a>(&'a self, affected: &'a Affected, package: Package) -> Found<'a> {
        let mut fixed_in = affected.fixed_in();
        let advice = self.recommendation.as_deref().unwrap_or_default();
        if fixed_in.is_empty() {
            // Trivy: `Upgrade libpay1 to version 2.1-4`.
            fixed_in.extend(
                advice
                    .split(';')
                    .filter_map(|part| part.split_once(" to version "))
                    .map(|(_, v)| v),
            );
        }
        let (severity, severity_source) = self.rating();
        let of = |name: &'static str| {
            self.ratings.iter().find(move |rating| rating.source().contains(name))
        };
        Found {
            id: &self.id,
            others: self.references.iter().filter_map(|other| other.id.as_deref()).collect(),
            package: Some(package),
            fix: if fixed_in.is_empty() { Fix::Unknown } else { Fix::Fixed },
            fixed_in,
            severity,
            severity_source,
            cvss_tenths: self.ratings.iter().filter_map(Rating::score).max(),
            epss: of("FIRST").and_then(|r| r.score).and_then(Probability::of).map(|share| share.0),
            exploited: of("KEV").map(|_| Exploited::default()),
            analysis: self.analysis(),
        }
    }
}
