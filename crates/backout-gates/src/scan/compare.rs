//! What one set of findings has and another has not.

use std::collections::{BTreeMap, BTreeSet};

use backout_core::policy::gate::Severity;
use backout_core::units::{Share, Time};

use super::{Aliases, Exploited, Fix, Package, Vulnerability};

/// The difference of two releases, by vulnerability and package. Versions do not count: a
/// vulnerability that stays through an upgrade is carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference<'a> {
    /// What only this release has: new, or reintroduced when this release is the way back.
    pub new: Vec<Entry<'a>>,
    /// What both have.
    pub carried: Vec<Entry<'a>>,
    /// What only the other release has.
    pub shed: Vec<Entry<'a>>,
}

/// One vulnerability of one package, with everything that was found of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// All its names.
    pub names: BTreeSet<String>,
    /// What reports say of it; at least one finding.
    pub findings: Vec<&'a Vulnerability>,
}

/// Compares this release's findings with those of another release, over all names that both know.
#[must_use]
pub fn compare<'a>(this: &[&'a Vulnerability], against: &[&'a Vulnerability]) -> Difference<'a> {
    let aliases = Aliases::of(this.iter().chain(against).copied());
    // Names are a lot of text, and only needed where a package URL is missing.
    let by_name = this.iter().chain(against).any(|finding| finding.package.key.is_none());
    let ours = Known::of(&aliases, this, by_name);
    let theirs = Known::of(&aliases, against, by_name);
    let (carried, new) = split(&aliases, this, &theirs);
    let (_, shed) = split(&aliases, against, &ours);
    Difference {
        new: entries(&aliases, &new),
        carried: entries(&aliases, &carried),
        shed: entries(&aliases, &shed),
    }
}

/// Splits findings into those that another set has, and the rest.
fn split<'a>(
    aliases: &Aliases,
    findings: &[&'a Vulnerability],
    other: &Known,
) -> (Vec<&'a Vulnerability>, Vec<&'a Vulnerability>) {
    findings.iter().copied().partition(|finding| other.has(aliases, finding))
}

/// The vulnerabilities of packages that a set of findings has. Formats without package URLs are
/// compared by names; two packages that both have a package URL never are.
#[derive(Default)]
struct Known {
    keys: BTreeSet<(usize, String)>,
    names: BTreeSet<(usize, String)>,
    names_without_key: BTreeSet<(usize, String)>,
}

impl Known {
    fn of(aliases: &Aliases, findings: &[&Vulnerability], by_name: bool) -> Self {
        let mut known = Self::default();
        for finding in findings {
            let Some(class) = aliases.class(finding) else { continue };
            if let Some(key) = &finding.package.key {
                known.keys.insert((class, key.clone()));
            }
            if !by_name {
                continue;
            }
            let names: BTreeSet<_> =
                finding.package.names().into_iter().map(|name| (class, name)).collect();
            if finding.package.key.is_none() {
                known.names_without_key.extend(names.iter().cloned());
            }
            known.names.extend(names);
        }
        known
    }

    fn has(&self, aliases: &Aliases, finding: &Vulnerability) -> bool {
        let Some(class) = aliases.class(finding) else { return false };
        let among = |set: &BTreeSet<(usize, String)>| {
            if set.is_empty() {
                return false;
            }
            finding.package.names().into_iter().any(|name| set.contains(&(class, name)))
        };
        match &finding.package.key {
            Some(key) => {
                self.keys.contains(&(class, key.clone())) || among(&self.names_without_key)
            }
            None => among(&self.names),
        }
    }
}

/// Joins what several reports found of the same, in the order of names and packages.
fn entries<'a>(aliases: &Aliases, findings: &[&'a Vulnerability]) -> Vec<Entry<'a>> {
    // Where a package URL is known, a finding without one joins it.
    let mut key_of: BTreeMap<(usize, String), &str> = BTreeMap::new();
    let some_lack_it = findings.iter().any(|finding| finding.package.key.is_none());
    for finding in findings.iter().filter(|_| some_lack_it) {
        if let (Some(class), Some(key)) = (aliases.class(finding), &finding.package.key) {
            for name in finding.package.names() {
                // The least, so that it does not depend on the order of the findings.
                let least = key_of.entry((class, name)).or_insert(key);
                *least = (*least).min(key);
            }
        }
    }
    let mut groups: BTreeMap<(usize, String), Vec<&'a Vulnerability>> = BTreeMap::new();
    for finding in findings {
        let Some(class) = aliases.class(finding) else { continue };
        let known = |name: String| key_of.get(&(class, name)).map(|key| (*key).to_owned());
        let key = finding.package.key.clone();
        let key = key.or_else(|| finding.package.names().into_iter().find_map(known));
        let key = key.unwrap_or_else(|| finding.package.name.to_lowercase());
        groups.entry((class, key)).or_default().push(finding);
    }
    let named = |findings: Vec<&'a Vulnerability>| {
        let names = findings.first().map(|finding| aliases.names(finding).clone());
        Entry { names: names.unwrap_or_default(), findings }
    };
    groups.into_values().map(named).collect()
}

impl Entry<'_> {
    /// The name that people know best: its CVE, otherwise its GHSA, otherwise the first.
    #[must_use]
    pub fn name(&self) -> &str {
        let of = |prefix: &str| self.names.iter().find(|id| id.starts_with(prefix));
        of("CVE-").or_else(|| of("GHSA-")).or(self.names.first()).map_or("", String::as_str)
    }

    /// The package, as the finding that knows it best has it.
    #[must_use]
    pub fn package(&self) -> Option<&Package> {
        let best = self.findings.iter().max_by_key(|finding| finding.package.key.is_some());
        best.map(|finding| &finding.package)
    }

    /// The worst rating; none when nobody rates it.
    #[must_use]
    pub fn severity(&self) -> Option<Severity> {
        self.findings.iter().filter_map(|finding| finding.severity).max()
    }

    /// The highest base score, in tenths.
    #[must_use]
    pub fn cvss_tenths(&self) -> Option<u16> {
        self.findings.iter().filter_map(|finding| finding.cvss_tenths).max()
    }

    /// The highest probability of exploitation.
    #[must_use]
    pub fn epss(&self) -> Option<Share> {
        self.findings.iter().filter_map(|finding| finding.epss).max()
    }

    /// What reports and a catalogue know of its exploitation.
    #[must_use]
    pub fn exploited(&self, catalogue: &BTreeMap<String, Exploited>) -> Option<Exploited> {
        let reported = self.findings.iter().filter_map(|finding| finding.exploited);
        reported
            .chain(self.names.iter().filter_map(|id| catalogue.get(id).copied()))
            .reduce(Exploited::and)
    }

    /// Versions that mend it.
    #[must_use]
    pub fn fixed_in(&self) -> BTreeSet<&str> {
        self.findings.iter().flat_map(|finding| &finding.fixed_in).map(String::as_str).collect()
    }

    /// Whether a newer package mends it.
    #[must_use]
    pub fn is_fixable(&self) -> bool {
        self.findings.iter().any(|finding| finding.fix == Fix::Fixed)
    }

    /// What is more urgent is greater: exploited and pressing, exploited, likely to be exploited, then
    /// severe and mendable, then severe. `likely` is the probability from which on it counts.
    #[must_use]
    pub fn urgency(
        &self,
        catalogue: &BTreeMap<String, Exploited>,
        likely: Option<Share>,
        now: Time,
    ) -> Urgency {
        let exploited = self.exploited(catalogue);
        let epss = self.epss().filter(|epss| likely.is_some_and(|from| *epss >= from));
        Urgency {
            pressing: exploited.is_some_and(|known| known.is_pressing(now)),
            exploited: exploited.is_some(),
            epss,
            fixable: self.severity().filter(|_| self.is_fixable()),
            severity: self.severity(),
            cvss_tenths: self.cvss_tenths(),
        }
    }
}

/// How urgent a vulnerability is; fields that come first decide first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency {
    /// It is exploited, and past the day that the catalogue gives, or ransomware uses it.
    pub pressing: bool,
    /// It is known to be exploited.
    pub exploited: bool,
    /// Its probability of exploitation, when that is over the line.
    pub epss: Option<Share>,
    /// Its severity, when a newer package mends it.
    pub fixable: Option<Severity>,
    /// Its severity.
    pub severity: Option<Severity>,
    /// Its base score, in tenths.
    pub cvss_tenths: Option<u16>,
}
