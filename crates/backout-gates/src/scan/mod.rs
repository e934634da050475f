//! Reports of vulnerability scanners: one format, one file, all read into the same [`Report`].
//!
//! What a file is, is told by its content and never by its name. A file that is not a report has a
//! reason of its own: a bill of materials without vulnerabilities is not a report that found none.

mod aliases;
mod collect;
mod compare;
mod cyclonedx;
mod grype;
pub mod known_exploited;
pub mod moment;
mod openvex;
mod package;
mod recognise;
mod sarif;
mod streaming;
mod subject;
mod trivy;
mod unusable;
pub mod vex;
mod vulnerability;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use backout_core::units::{Digest, Time};
use serde::Serialize;

pub use aliases::Aliases;
pub use compare::{Difference, Entry, Urgency, compare};
pub use package::Package;
pub use subject::{Binding, Image, bind};
pub use unusable::{Cause, Unusable};
pub use vulnerability::{Analysis, Exploited, Fix, Vulnerability, id};

pub(crate) use unusable::tidy;

use collect::Collector;
use recognise::Kind;

/// How much of a report is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest file in bytes.
    pub max_bytes: usize,
    /// The most findings, each a vulnerability of a package.
    pub max_findings: usize,
}

impl Default for Limits {
    /// Far above what scanners write of the largest images: 256 MiB and 200,000 findings.
    fn default() -> Self {
        Self { max_bytes: 256 * 1024 * 1024, max_findings: 200_000 }
    }
}

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Trivy's own JSON, schema 2.
    Trivy,
    /// Grype's own JSON.
    Grype,
    /// CycloneDX JSON with vulnerabilities.
    CycloneDx,
    /// SARIF 2.1.0, which has neither package URLs nor aliases.
    Sarif,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trivy => "Trivy JSON",
            Self::Grype => "Grype JSON",
            Self::CycloneDx => "CycloneDX",
            Self::Sarif => "SARIF",
        })
    }
}

/// Who made a report.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Scanner {
    /// Its name in lower case, such as `trivy`.
    pub name: String,
    /// Its version without a leading `v`, if the report says it.
    pub version: Option<String>,
}

impl fmt::Display for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{} {version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What a report says that it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// Names that the report uses, such as `registry.example/shop/checkout:1.42.0` or a folder.
    pub names: BTreeSet<String>,
    /// Digests of manifests and indexes.
    pub digests: BTreeSet<Digest>,
    /// Digests of image configurations, which name an image as well; they are no digest that a
    /// release records.
    pub image_ids: BTreeSet<Digest>,
}

/// What a scanner found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The file, as its user would write it.
    pub file: String,
    /// Its format.
    pub format: Format,
    /// Who made it, if it says so.
    pub scanner: Option<Scanner>,
    /// What it is about.
    pub artifact: Artifact,
    /// When it was made.
    pub created: Option<Time>,
    /// When the vulnerability database that was used was built. Trivy, CycloneDX and SARIF do not say.
    pub database: Option<Time>,
    /// The distribution, when its makers publish no advisories on it any more.
    pub end_of_support: Option<String>,
    /// Whether the report shows that packages were looked at. Trivy leaves out what it found nothing
    /// in, so that a report without any result does not.
    pub looked_at_packages: bool,
    /// Whether the format and its maker state what is known to be exploited.
    pub states_exploitation: bool,
    /// Findings that the scanner itself left out, because it was told to ignore them.
    pub ignored: u64,
    /// The findings, in the order of the file.
    pub findings: Vec<Vulnerability>,
}

impl Report {
    fn new(file: &str, format: Format) -> Self {
        Self {
            file: file.to_owned(),
            format,
            scanner: None,
            artifact: Artifact::default(),
            created: None,
            database: None,
            end_of_support: None,
            looked_at_packages: true,
            states_exploitation: false,
            ignored: 0,
            findings: Vec::new(),
        }
    }
}

/// Reads a report.
///
/// # Errors
/// When the file is too large, is no report in a known format, or cannot be read to its end.
pub fn read(name: &str, bytes: &[u8], limits: &Limits) -> Result<Report, Unusable> {
    let bytes = text_of(name, bytes, limits)?;
    let kind = recognise::kind(name, bytes)?;
    let mut collector = Collector::new(limits);
    let mut report = match kind {
        Kind::Trivy => trivy::read(name, bytes, &mut collector),
        Kind::Grype => grype::read(name, bytes, &mut collector),
        Kind::CycloneDx => cyclonedx::read(name, bytes, &mut collector),
        Kind::Sarif => sarif::read(name, bytes, &mut collector),
        Kind::OpenVex => return Err(recognise::statements(name, "OpenVEX")),
        Kind::Csaf => return Err(recognise::statements(name, "CSAF")),
        Kind::Spdx => return Err(recognise::bill_of_materials(name, "SPDX")),
        Kind::Other(what) => return Err(recognise::unsupported(name, what)),
    }
    .map_err(|error| collector.refuse(name, &error))?;
    if kind == Kind::CycloneDx && collector.is_empty() {
        return Err(recognise::bill_of_materials(name, "CycloneDX"));
    }
    report.findings = collector.findings();
    Ok(report)
}

/// Checks the size, and takes off a byte order mark.
fn text_of<'a>(name: &str, bytes: &'a [u8], limits: &Limits) -> Result<&'a [u8], Unusable> {
    let (size, most) = (bytes.len(), limits.max_bytes);
    if size > most {
        return Err(Unusable::new(
            name,
            Cause::TooLarge,
            format!("the file has {size} bytes, which is more than {most}"),
            "scan one image at a time, and leave out what is not about vulnerabilities",
        ));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Unusable::new(
            name,
            Cause::Malformed,
            "the file is UTF-16, as PowerShell's `>` writes it",
            "let the scanner write the file itself: `--output` of trivy, `--file` of grype",
        ));
    }
    Ok(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}
