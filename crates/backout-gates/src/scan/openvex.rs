//! OpenVEX JSON, 0.0.x and 0.2.0 of its specification.

use std::collections::BTreeMap;

use backout_core::units::Time;
use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess};

use super::streaming::{Fields, Items, Object, nullable};
use super::vex::{Identifier, Product, Statement};
use super::{Analysis, id, moment, tidy};

/// Reads the statements of a document.
pub(super) fn statements(bytes: &[u8], most: usize) -> Result<Vec<Statement>, serde_json::Error> {
    let mut top = Top { most, at: None, statements: Vec::new() };
    let mut json = serde_json::Deserializer::from_slice(bytes);
    Object(&mut top).deserialize(&mut json)?;
    let at = top.at;
    // The document's time may stand behind its statements.
    let dated = |statement: Statement| Statement { at: statement.at.or(at), ..statement };
    Ok(top.statements.into_iter().map(dated).collect())
}

struct Top {
    most: usize,
    at: Option<Time>,
    statements: Vec<Statement>,
}

impl<'de> Fields<'de> for Top {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "timestamp" | "last_updated" => {
                let text: Option<String> = map.next_value()?;
                self.at = self.at.max(text.as_deref().and_then(moment::read));
            }
            "statements" => {
                let (most, statements) = (self.most, &mut self.statements);
                map.next_value_seed(Items::new(|field: StatementField| {
                    if statements.len() >= most {
                        return Err(format!("the document has more than {most} statements"));
                    }
                    statements.push(field.read());
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

#[derive(Deserialize)]
struct StatementField {
    vulnerability: VulnerabilityField,
    timestamp: Option<String>,
    last_updated: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    products: Vec<ProductField>,
    status: String,
    justification: Option<String>,
    impact_statement: Option<String>,
}

/// A text before version 0.2.0 of the specification.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the name of a vulnerability, or an object with `name`")]
enum VulnerabilityField {
    Name(String),
    Object {
        #[serde(rename = "@id")]
        at: Option<String>,
        name: Option<String>,
        #[serde(default)]
        aliases: Vec<String>,
    },
}

/// A text before version 0.2.0 of the specification.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected the id of a product, or an object with `@id`")]
enum ProductField {
    Id(String),
    Object(ComponentField),
}

#[derive(Deserialize)]
struct ComponentField {
    #[serde(rename = "@id")]
    at: Option<String>,
    #[serde(default)]
    identifiers: BTreeMap<String, String>,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
    #[serde(default)]
    subcomponents: Vec<ProductField>,
}

impl StatementField {
    fn read(self) -> Statement {
        let mut ids = match self.vulnerability {
            VulnerabilityField::Name(name) => vec![name],
            VulnerabilityField::Object { at, name, mut aliases } => {
                // The id is a page such as `https://nvd.nist.gov/vuln/detail/CVE-2026-1`.
                let last = at.as_deref().and_then(|at| at.rsplit('/').next()).map(str::to_owned);
                aliases.extend(name.or(last));
                aliases
            }
        };
        ids.retain(|id| !id.trim().is_empty());
        let why = self.justification.or(self.impact_statement).filter(|why| !why.trim().is_empty());
        let sets_aside = match self.status.as_str() {
            // The specification wants a justification or an impact statement with it.
            "not_affected" => why.is_some(),
            "fixed" => true,
            _ => false,
        };
        let at = self.last_updated.as_deref().and_then(moment::read);
        Statement {
            ids: ids.iter().map(|text| id(text)).collect(),
            analysis: Analysis {
                sets_aside,
                state: tidy(&self.status),
                justification: why.as_deref().map(tidy),
            },
            at: at.or_else(|| self.timestamp.as_deref().and_then(moment::read)),
            products: self.products.iter().map(ProductField::product).collect(),
        }
    }
}

impl ProductField {
    fn identifiers(&self) -> Vec<Identifier> {
        match self {
            Self::Id(text) => Identifier::read(text).into_iter().collect(),
            Self::Object(component) => component.names(),
        }
    }

    fn product(&self) -> Product {
        let parts: &[Self] = match self {
            Self::Id(_) => &[],
            Self::Object(component) => &component.subcomponents,
        };
        let subcomponents = parts.iter().map(Self::identifiers).collect();
        Product { identifiers: self.identifiers(), subcomponents }
    }
}

impl ComponentField {
    fn names(&self) -> Vec<Identifier> {
        let texts = self.at.iter().chain(self.identifiers.get("purl"));
        let digests = self.hashes.iter().filter_map(|(algorithm, value)| {
            let algorithm = algorithm.to_ascii_lowercase().replace('-', "");
            format!("{algorithm}:{}", value.to_ascii_lowercase()).parse().ok()
        });
        texts
            .filter_map(|text| Identifier::read(text))
            .chain(digests.map(Identifier::Digest))
            .collect()
    }
}
