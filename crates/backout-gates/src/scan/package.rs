//! The package that a vulnerability is in.

use std::collections::BTreeSet;
use std::fmt;

use packageurl::PackageUrl;
use serde::Serialize;

use super::unusable::tidy;

/// Package URL types whose namespace is a distribution or a group that other scanners leave out of
/// the name.
const NAMESPACE_IS_NO_NAME: &[&str] = &["deb", "rpm", "apk", "alpm", "maven"];

/// The package that a vulnerability is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// Its package URL as the report writes it; none when it has none, or one that cannot be read.
    pub purl: Option<String>,
    /// The package URL without version, qualifiers and subpath: what makes two findings be about the
    /// same package.
    pub key: Option<String>,
    /// Its name, as the report writes it.
    pub name: String,
    /// What kind of package it is in the scanner's words, such as `npm` or `deb`; may be empty.
    pub kind: String,
    /// The installed version; may be empty.
    pub version: String,
}

impl Package {
    /// A package by what a report says of it. A package URL that cannot be read counts as none.
    #[must_use]
    pub fn new(purl: Option<&str>, name: &str, kind: &str, version: &str) -> Self {
        let parsed = purl.and_then(|text| text.trim().parse::<PackageUrl<'static>>().ok());
        let stated = parsed.as_ref().and_then(|purl| purl.version().map(tidy));
        let version = Some(tidy(version)).filter(|version| !version.is_empty()).or(stated);
        let name = if name.trim().is_empty() {
            parsed.as_ref().map(|purl| tidy(purl.name())).unwrap_or_default()
        } else {
            tidy(name)
        };
        let kind = if kind.is_empty() { parsed.as_ref().map_or("", PackageUrl::ty) } else { kind };
        Self {
            key: parsed.as_ref().map(key_of),
            kind: tidy(kind),
            name,
            version: version.unwrap_or_default(),
            purl: parsed.is_some().then(|| tidy(purl.unwrap_or_default())),
        }
    }

    /// The names under which a scanner that knows no package URLs may write it.
    #[must_use]
    pub fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::from([plain(&self.name)]);
        if let Some(rest) = self.key.as_deref().and_then(|key| key.strip_prefix("pkg:")) {
            let (kind, path) = rest.split_once('/').unwrap_or((rest, ""));
            names.insert(plain(path));
            if NAMESPACE_IS_NO_NAME.contains(&kind) {
                names.extend(path.rsplit('/').next().map(plain));
            }
        }
        names
    }

    /// Whether a package URL, which may name a version and qualifiers, means this package.
    #[must_use]
    pub fn is_meant_by(&self, purl: &PackageUrl<'_>) -> bool {
        if self.key.as_deref() != Some(key_of(purl).as_str()) {
            return false;
        }
        let own = self.purl.as_deref().and_then(|text| text.parse::<PackageUrl<'static>>().ok());
        let own_version = own.as_ref().and_then(PackageUrl::version);
        let version_fits = purl
            .version()
            .is_none_or(|version| own_version == Some(version) || self.version == version);
        // A statement about one processor or distribution says nothing about another.
        let qualifiers_fit = purl.qualifiers().iter().all(|(name, value)| {
            own.as_ref().and_then(|own| own.qualifiers().get(name.as_ref())) == Some(value)
        });
        version_fits && qualifiers_fit
    }
}

/// The package URL without version, qualifiers and subpath.
#[must_use]
pub(crate) fn key_of(purl: &PackageUrl<'_>) -> String {
    let namespace = purl.namespace().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    tidy(&format!("pkg:{}/{namespace}{}", purl.ty(), purl.name()))
}

/// A name in the form in which names are compared.
fn plain(name: &str) -> String {
    name.to_lowercase().replace(':', "/")
}

impl fmt::Display for Package {
    /// Writes `pkg:npm/left-pad 1.2.3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key.as_deref().unwrap_or(&self.name))?;
        if self.version.is_empty() { Ok(()) } else { write!(f, " {}", self.version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_leaves_out_what_changes_with_a_build() {
        let package = Package::new(
            Some("pkg:deb/debian/libpay1@2.1-3?arch=amd64&distro=debian-13"),
            "libpay1",
            "debian",
            "2.1-3",
        );
        assert_eq!(package.to_string(), "pkg:deb/debian/libpay1 2.1-3");
        assert!(package.names().contains("libpay1"));
        let same = |text: &str| package.is_meant_by(&text.parse().unwrap());
        assert!(same("pkg:deb/debian/libpay1") && same("pkg:deb/debian/libpay1@2.1-3?arch=amd64"));
        assert!(!same("pkg:deb/debian/libpay1@2.1-4") && !same("pkg:deb/ubuntu/libpay1"));
        assert!(!same("pkg:deb/debian/libpay1?arch=arm64"));
    }

    #[test]
    fn what_is_no_package_url_is_a_name() {
        let package = Package::new(Some("left-pad@1"), "left-pad", "npm", "1");
        assert_eq!((package.key.clone(), package.to_string()), (None, "left-pad 1".to_owned()));
        let scoped = Package::new(Some("pkg:npm/%40shop/money@1.0.0"), "", "", "");
        assert_eq!(scoped.to_string(), "pkg:npm/@shop/money 1.0.0");
        assert_eq!(scoped.name, "money");
    }
}
