//! `Waivers`: vulnerabilities that a team lives with for a while. Each has a reason and an end.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use backout_core::document::{self, FieldPath, Location, Unreadable};
use backout_core::policy::{ApiVersion, Metadata};
use backout_core::units::Time;
use packageurl::PackageUrl;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::scan::{Package, id, moment};

/// The kind of a file of waivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WaiversKind {
    /// The only value.
    #[default]
    Waivers,
}

/// Vulnerabilities that a team lives with for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Waivers {
    /// Always `backout.dev/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `Waivers`.
    pub kind: WaiversKind,
    /// Name and namespace.
    pub metadata: Metadata,
    /// The waivers.
    pub spec: WaiversSpec,
}

/// The body of a file of waivers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WaiversSpec {
    /// The waivers, in any order.
    pub waivers: Vec<Waiver>,
}

/// One vulnerability that does not block for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Waiver {
    /// Any name of the vulnerability, such as a CVE or GHSA id.
    #[schemars(length(min = 1))]
    pub vulnerability: String,
    /// The package that it is waived in: a package URL, the beginning of one (`pkg:npm/@shop`), or a
    /// name. With a version, only that version is meant. Default: every package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Why the team can live with it.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// The last day on which it counts, in UTC.
    pub expires: Expiry,
    /// Who decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A day such as `2027-01-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry(moment::Day);

impl Expiry {
    /// Whether the day is over.
    #[must_use]
    pub fn is_over(self, now: Time) -> bool {
        self.0.start().is_none_or(|start| moment::end_of_day(start) <= now)
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Expiry {
    fn schema_name() -> Cow<'static, str> {
        "Expiry".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Expiry").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date",
            "description": "A day, such as 2027-01-31.",
            "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$",
            "examples": ["2027-01-31"],
        })
    }
}

/// A file of waivers that was read, each with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaiverFile {
    /// The file, as its user would write it.
    pub file: String,
    /// Each waiver, and where it stands.
    pub waivers: Vec<(Waiver, Location)>,
}

/// Reads a file of waivers.
///
/// # Errors
/// With every problem of its structure, or each waiver that has no reason or no vulnerability.
pub fn read(name: &str, bytes: &[u8]) -> Result<WaiverFile, Unreadable> {
    let read = document::read::<Waivers>(name, bytes, &document::Limits::default())?;
    let path = |index: usize| FieldPath::root().key("spec").key("waivers").index(index);
    let waivers = read.value.spec.waivers;
    let mut problems = Vec::new();
    for (index, waiver) in waivers.iter().enumerate() {
        for (field, text) in [("vulnerability", &waiver.vulnerability), ("reason", &waiver.reason)]
        {
            if text.trim().is_empty() {
                let path = path(index).key(field);
                problems.push(document::Problem {
                    location: Some(read.map.nearest(&path)),
                    path: Some(path),
                    message: format!("a waiver has an empty {field}"),
                    expected: None,
                    help: Some(
                        match field {
                            "reason" => "say why the team can live with it",
                            _ => "name it, such as CVE-2026-1234",
                        }
                        .to_owned(),
                    ),
                });
            }
        }
    }
    if !problems.is_empty() {
        let (source_name, source) = (name.to_owned(), Some(read.source));
        return Err(Unreadable { source_name, source, problems });
    }
    let place = |index| read.map.nearest(&path(index));
    let placed = waivers.into_iter().enumerate().map(|(index, waiver)| (waiver, place(index)));
    Ok(WaiverFile { file: name.to_owned(), waivers: placed.collect() })
}

impl Waiver {
    /// Whether the waiver is about a vulnerability, known by all its names, of a package.
    #[must_use]
    pub fn is_about(&self, names: &BTreeSet<String>, package: &Package) -> bool {
        names.contains(&id(&self.vulnerability))
            && self.package.as_deref().is_none_or(|meant| means(meant, package))
    }
}

fn means(meant: &str, package: &Package) -> bool {
    let meant = meant.trim();
    if !meant.starts_with("pkg:") {
        return package.names().contains(&meant.to_lowercase().replace(':', "/"));
    }
    if let Ok(purl) = meant.parse::<PackageUrl<'static>>()
        && package.is_meant_by(&purl)
    {
        return true;
    }
    let beginning = meant.trim_end_matches('/');
    let rest = package.key.as_deref().and_then(|key| key.strip_prefix(beginning));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(waivers: &str) -> String {
        format!(
            "apiVersion: backout.dev/v1alpha1\nkind: Waivers\nmetadata: {{name: checkout}}\nspec:\n  \
             waivers:\n{waivers}"
        )
    }

    #[test]
    fn a_waiver_needs_reason_and_end() {
        let good = file(
            "  - {vulnerability: CVE-2026-1, reason: behind the proxy, expires: 2027-01-31}\n",
        );
        let load = |text: &str| read("w.yaml", text.as_bytes());
        assert_eq!(load(&good).unwrap().waivers[0].1.line, 6);
        for (bad, says) in [
            (good.replace("behind the proxy", "''"), "w.yaml:6:41: a waiver has an empty reason"),
            (good.replace(", expires: 2027-01-31", ""), "expires"),
            (good.replace("2027-01-31", "2027-02-30"), "expected a day"),
            (good.replace("2027-01-31", "2027-01-31T10:00:00Z"), "expected a day"),
            (good.replace("reason", "raeson"), "raeson"),
        ] {
            let error = load(&bad).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_last_day_still_counts() {
        let expiry: Expiry = serde_json::from_str("\"2027-01-31\"").unwrap();
        assert!(!expiry.is_over(moment::read("2027-01-31T23:59:59Z").unwrap()));
        assert!(expiry.is_over(moment::read("2027-02-01").unwrap()));
    }

    #[test]
    fn packages_are_meant_by_url_beginning_or_name() {
        let package = Package::new(Some("pkg:npm/%40shop/money@1.2.3"), "", "", "1.2.3");
        for (meant, is_meant) in [
            ("pkg:npm/%40shop/money", true),
            ("pkg:npm/@shop", true),
            ("pkg:npm/@sho", false),
            ("pkg:npm/%40shop/money@1.2.4", false),
            ("@shop/money", true),
            ("money", true),
            ("mone", false),
        ] {
            assert_eq!(means(meant, &package), is_meant, "{meant}");
        }
    }
}
