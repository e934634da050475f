//! Configuration of the gate on vulnerabilities.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::defaults;
use crate::units::{Share, Span};

/// The release adds no vulnerability above the line to those of the release that serves. The
/// reports are named by the release records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Vulnerabilities {
    /// The least severity that a new vulnerability blocks with. One that is known to be exploited
    /// always blocks. Default: high.
    #[serde(default = "defaults::fail_on")]
    pub fail_on: Severity,
    /// Only vulnerabilities that a newer package fixes block. Default: false.
    #[serde(default)]
    pub only_fixable: bool,
    /// The probability of exploitation (EPSS) from which on a new vulnerability blocks, whatever
    /// its severity. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epss: Option<Share>,
    /// The oldest data that counts: of a report's vulnerability database, or of the report when it
    /// does not say. Older data is no pass. Default: 7d.
    #[serde(default = "defaults::scan_max_age")]
    pub max_age: Span,
    /// Statements on which vulnerabilities do not affect the product: OpenVEX or CycloneDX files,
    /// relative to the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vex: Vec<String>,
    /// A file of waivers, relative to the policy: each names a vulnerability, a reason, and when it
    /// expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waivers: Option<String>,
    /// The catalogue of known exploited vulnerabilities (CISA's JSON), relative to the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_exploited: Option<String>,
    /// Scanners whose reports do not count, as `name version`, such as `trivy 0.69.4`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distrusted_scanners: Vec<String>,
}

impl Default for Vulnerabilities {
    fn default() -> Self {
        Self {
            fail_on: defaults::fail_on(),
            only_fixable: false,
            epss: None,
            max_age: defaults::scan_max_age(),
            vex: Vec::new(),
            waivers: None,
            known_exploited: None,
            distrusted_scanners: Vec::new(),
        }
    }
}

/// How severe a vulnerability is, from mild to severe.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum Severity {
    /// Next to none, or not rated.
    Negligible,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Negligible => "negligible",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}
