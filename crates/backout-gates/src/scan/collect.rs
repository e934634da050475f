//! Gathering findings up to the limit.

use std::collections::BTreeSet;

use backout_core::policy::gate::Severity;
use backout_core::units::Share;

use super::vulnerability::{Analysis, Exploited, Fix, Vulnerability, names};
use super::{Cause, Limits, Package, Unusable, tidy};

/// The most fixed versions that are kept of a finding.
const MOST_VERSIONS: usize = 8;

/// Findings so far, and how many there may be.
#[derive(Debug)]
pub(super) struct Collector {
    most: usize,
    full: bool,
    findings: Vec<Vulnerability>,
}

/// What a format knows of a finding, before its ids are sorted.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) id: &'a str,
    pub(super) others: Vec<&'a str>,
    pub(super) package: Option<Package>,
    pub(super) fixed_in: Vec<&'a str>,
    pub(super) fix: Fix,
    pub(super) severity: Option<Severity>,
    pub(super) severity_source: Option<&'a str>,
    pub(super) cvss_tenths: Option<u16>,
    pub(super) epss: Option<Share>,
    pub(super) exploited: Option<Exploited>,
    pub(super) analysis: Option<Analysis>,
}

impl Collector {
    pub(super) const fn new(limits: &Limits) -> Self {
        Self { most: limits.max_findings, full: false, findings: Vec::new() }
    }

    /// Adds a finding; one on several vulnerabilities is as many findings.
    ///
    /// # Errors
    /// When there are more than the limit, or it has no id or no package.
    pub(super) fn add(&mut self, found: &Found<'_>) -> Result<(), String> {
        let named = |package: &&Package| package.key.is_some() || !package.name.is_empty();
        let Some(package) = found.package.as_ref().filter(named) else {
            return Err(format!("the finding on {} names no package", tidy(found.id)));
        };
        let names = names(found.id, found.others.iter().copied());
        if names.is_empty() {
            return Err("a finding names no vulnerability".to_owned());
        }
        for (ids, advisories) in names {
            if self.findings.len() >= self.most {
                self.full = true;
                return Err(format!("the report has more than {} findings", self.most));
            }
            self.findings.push(found.as_vulnerability(ids, advisories, package.clone()));
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.findings.len()
    }

    /// The findings from one on, to add what stands later in the file.
    pub(super) fn since(&mut self, start: usize) -> &mut [Vulnerability] {
        self.findings.get_mut(start..).unwrap_or_default()
    }

    pub(super) fn findings(self) -> Vec<Vulnerability> {
        self.findings
    }

    /// Says why reading ended.
    pub(super) fn refuse(&self, name: &str, error: &serde_json::Error) -> Unusable {
        let mut refused = Unusable::json(name, error);
        if self.full {
            refused.cause = Cause::TooManyFindings;
            "scan one image at a time, or leave out the lowest severities (`--severity` of trivy)"
                .clone_into(&mut refused.help);
        }
        refused
    }
}

impl Found<'_> {
    fn as_vulnerability(
        &self,
        ids: BTreeSet<String>,
        advisories: BTreeSet<String>,
        package: Package,
    ) -> Vulnerability {
        let versions = self.fixed_in.iter().map(|version| tidy(version));
        Vulnerability {
            ids,
            advisories,
            package,
            fixed_in: versions.filter(|text| !text.is_empty()).take(MOST_VERSIONS).collect(),
            fix: self.fix,
            severity: self.severity,
            severity_source: self.severity_source.map(tidy).filter(|source| !source.is_empty()),
            cvss_tenths: self.cvss_tenths,
            epss: self.epss,
            exploited: self.exploited,
            analysis: self.analysis.clone(),
        }
    }
}
