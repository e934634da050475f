//! What a file is, told by its content.

use serde::de::{IgnoredAny, MapAccess};

use super::streaming::{Fields, Object};
use super::{Cause, Unusable};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Trivy,
    Grype,
    CycloneDx,
    Sarif,
    OpenVex,
    Csaf,
    Spdx,
    /// A format that is known and not read, by name.
    Other(&'static str),
}

/// The fields at the top of a file that tell formats apart.
#[derive(Debug, Default)]
struct Top {
    keys: Vec<String>,
    context: String,
}

/// No format needs more fields at the top to be told apart, and a file with more need not be kept.
const MOST_KEYS: usize = 64;

impl<'de> Fields<'de> for Top {
    fn field<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        if self.keys.len() < MOST_KEYS {
            self.keys.push(key.chars().take(MOST_KEYS).collect());
        }
        if key == "@context" {
            let value: OneOrMany = map.next_value()?;
            self.context = value.first();
        } else {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// JSON-LD writes a context as one text or as a list.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
    Else(IgnoredAny),
}

impl OneOrMany {
    fn first(self) -> String {
        match self {
            Self::One(text) => text,
            Self::Many(texts) => texts.into_iter().next().unwrap_or_default(),
            Self::Else(IgnoredAny) => String::new(),
        }
    }
}

/// Tells what a file is.
pub(super) fn kind(name: &str, bytes: &[u8]) -> Result<Kind, Unusable> {
    let start = bytes.trim_ascii_start();
    if start.starts_with(b"<") {
        return Err(unsupported(name, "XML"));
    }
    if start.starts_with(b"SPDXVersion:") {
        return Ok(Kind::Spdx);
    }
    if start.starts_with(b"[") {
        return Err(unknown(name));
    }
    let mut top = Top::default();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde::de::DeserializeSeed::deserialize(Object(&mut top), &mut json)
        .and_then(|()| json.end())
        .map_err(|error| Unusable::json(name, &error))?;
    let has = |key: &str| top.keys.iter().any(|known| known == key);
    Ok(match () {
        () if has("bomFormat") => Kind::CycloneDx,
        () if top.context.contains("openvex.dev") => Kind::OpenVex,
        () if has("spdxVersion") || top.context.contains("spdx.org") => Kind::Spdx,
        () if has("SchemaVersion") && (has("ArtifactName") || has("Results")) => Kind::Trivy,
        () if has("matches") && has("descriptor") => Kind::Grype,
        () if has("runs") => Kind::Sarif,
        () if has("document") && has("product_tree") => Kind::Csaf,
        () if has("predicateType") || has("payloadType") => {
            Kind::Other("an in-toto attestation around a report")
        }
        () if has("vulnerabilities") && has("packageManager") => Kind::Other("Snyk JSON"),
        () if has("results") && has("experimental_config") => Kind::Other("OSV-Scanner JSON"),
        () if has("artifacts") && has("descriptor") => Kind::Other("Syft's own JSON"),
        () => return Err(unknown(name)),
    })
}

/// The formats that are read, for messages.
const READ: &str = "JSON of Trivy or Grype, CycloneDX with vulnerabilities, or SARIF";

fn unknown(name: &str) -> Unusable {
    Unusable::new(
        name,
        Cause::UnknownFormat,
        "nothing in the file says that it is a report of a vulnerability scanner",
        format!("give {READ}"),
    )
}

/// A format that is known and not read.
pub(super) fn unsupported(name: &str, what: &str) -> Unusable {
    Unusable::new(
        name,
        Cause::Unsupported,
        format!("the file is {what}, which is not read"),
        format!("give {READ}"),
    )
}

/// Statements where a report was asked for.
pub(super) fn statements(name: &str, what: &str) -> Unusable {
    Unusable::new(
        name,
        Cause::Statements,
        format!("the file has {what} statements, and no scanner's findings"),
        "name it under `vex` of the gate, and name a scanner's report in the release",
    )
}

/// Components where findings were asked for.
pub(super) fn bill_of_materials(name: &str, what: &str) -> Unusable {
    Unusable::new(
        name,
        Cause::BillOfMaterials,
        format!(
            "the file is a {what} bill of materials that lists no vulnerability, which does not say \
             that none was found"
        ),
        "scan it, with `grype sbom:FILE -o json` or `trivy sbom --format json FILE`, and name that report",
    )
}
