//! The gate on vulnerabilities.
//!
//! What is already in production does not block a release that makes nothing worse. So the gate
//! looks at what is new against the release that serves. For a way back it is the same function with
//! the roles swapped: what would come back, and what would be shed.
//!
//! The image is not blamed: what is known of it changes with the data, and a waiver may follow.

mod about;
mod evidence;
mod reports;
mod set_aside;
#[cfg(test)]
mod tests;
mod wording;

use std::collections::{BTreeMap, BTreeSet};

use backout_core::finding::{Finding, Level, Subject};
use backout_core::judgement::Verdict;
use backout_core::policy::gate::Vulnerabilities;

pub use about::ABOUT;
pub use evidence::{Direction, Evidence, Scanned, ScannedImage};
pub use wording::data_age;

use self::about::{CARRIED, COMPARISON, DATA, EXPLOITED, NEW, SHED};
use self::reports::{Checked, of_file};
use self::set_aside::SetAside;
use crate::Outcome;
use crate::scan::{Difference, Entry, Exploited, Report, Urgency, Vulnerability, compare};

/// How many vulnerabilities are shown one by one; the rest is counted.
pub const SHOWN: usize = 20;

/// Judges a release by the reports on it.
#[must_use]
pub fn judge(config: &Vulnerabilities, evidence: &Evidence) -> Outcome {
    let mut checked = Checked::default();
    let exploited = catalogue(config, evidence, &mut checked);
    let mut set_aside = SetAside::new(evidence);
    let mut tally = Tally::default();
    for scanned in &evidence.release.images {
        let counted = reports::of_release(scanned, config, evidence.now, &mut checked);
        let name = &scanned.image.name;
        let other = evidence
            .against
            .as_ref()
            .map(|against| reports::of_other(against, name, config, evidence.now, &mut checked))
            .unwrap_or_default();
        checked.findings.extend(other_scanner(&counted, &other));
        // What the other release's own report sets aside is no excuse for this release.
        let mut others = findings(&other);
        others.retain(|found| !found.analysis.as_ref().is_some_and(|analysis| analysis.sets_aside));
        let difference = compare(&findings(&counted), &others);
        let mut image = ImageJudgement {
            config,
            evidence,
            scanned,
            counted,
            exploited: &exploited,
            tally: &mut tally,
        };
        image.take(difference, &mut set_aside, &mut checked);
    }
    if evidence.release.images.is_empty() {
        checked.unknown(Verdict::NoData, wording::no_image(&evidence.release.version));
    }
    if evidence.against.is_none() {
        checked.findings.push(wording::nothing_serves(&evidence.release.version));
    }
    checked.findings.extend(set_aside.told());
    conclude(config, evidence, tally, checked)
}

fn findings<'a>(reports: &[&'a Report]) -> Vec<&'a Vulnerability> {
    reports.iter().flat_map(|report| &report.findings).collect()
}

/// What is known to be exploited, by the catalogue that the policy names.
fn catalogue(
    config: &Vulnerabilities,
    evidence: &Evidence,
    checked: &mut Checked,
) -> BTreeMap<String, Exploited> {
    match &evidence.known_exploited {
        Some(Ok(catalogue)) => {
            checked.findings.extend(wording::old_catalogue(catalogue, config, evidence.now));
            catalogue.entries.clone()
        }
        Some(Err(unusable)) => {
            let message =
                format!("the catalogue of known exploited vulnerabilities: {}", unusable.message);
            let finding = of_file(DATA, Level::Error, "", message, &unusable.help);
            let subject = Subject::File(unusable.place.clone());
            checked.unknown(Verdict::NotEvaluated, Finding { subject, ..finding });
            BTreeMap::new()
        }
        None if config.known_exploited.is_some() => {
            checked.unknown(Verdict::NotEvaluated, wording::catalogue_not_read(config));
            BTreeMap::new()
        }
        None => {
            let images = &evidence.release.images;
            let mut reports = images.iter().flat_map(|image| &image.reports).flatten();
            if !reports.any(|report| report.states_exploitation) {
                checked.findings.push(wording::exploitation_unknown(&evidence.release.version));
            }
            BTreeMap::new()
        }
    }
}

/// Says when the two releases were looked at by different scanners.
fn other_scanner(ours: &[&Report], theirs: &[&Report]) -> Option<Finding> {
    let names = |reports: &[&Report]| -> BTreeSet<String> {
        reports
            .iter()
            .filter_map(|report| report.scanner.as_ref())
            .map(|s| s.name.clone())
            .collect()
    };
    let (ours_named, theirs_named) = (names(ours), names(theirs));
    let file = &ours.first()?.file;
    if theirs.is_empty() || ours_named == theirs_named {
        return None;
    }
    let list = |names: BTreeSet<String>| {
        let names: Vec<String> = names.into_iter().collect();
        if names.is_empty() { "an unnamed scanner".to_owned() } else { names.join(" and ") }
    };
    let message = format!(
        "this release was scanned by {}, the other by {}; ids are compared over all their names, and some \
         differences may still be the scanners'",
        list(ours_named),
        list(theirs_named),
    );
    Some(of_file(COMPARISON, Level::Note, file, message, "scan both with the same scanner"))
}

/// What came of all images so far.
#[derive(Default)]
struct Tally<'a> {
    blockers: Vec<Blocker<'a>>,
    below: usize,
    carried: Vec<Blocker<'a>>,
    shed: Vec<Blocker<'a>>,
}

/// A vulnerability that is told of, with what is needed to tell it.
struct Blocker<'a> {
    entry: Entry<'a>,
    file: &'a str,
    urgency: Urgency,
    exploited: Option<Exploited>,
}

/// The judgement of one image.
struct ImageJudgement<'a, 'b> {
    config: &'b Vulnerabilities,
    evidence: &'a Evidence,
    scanned: &'a ScannedImage,
    counted: Vec<&'a Report>,
    exploited: &'b BTreeMap<String, Exploited>,
    tally: &'b mut Tally<'a>,
}

impl<'a> ImageJudgement<'a, '_> {
    fn take(
        &mut self,
        difference: Difference<'a>,
        set_aside: &mut SetAside<'a>,
        checked: &mut Checked,
    ) {
        let mut unrated = BTreeSet::new();
        let mut without_epss = BTreeSet::new();
        for entry in difference.new {
            let Some(entry) = set_aside.keep(&self.scanned.image, entry) else { continue };
            let told = self.told(entry);
            if self.blocks(&told) {
                if !set_aside.waives(&told.entry) {
                    self.tally.blockers.push(told);
                }
                continue;
            }
            set_aside.notice(&told.entry);
            self.tally.below += 1;
            if told.entry.severity().is_none() {
                unrated.insert(told.entry.name().to_owned());
            }
            if told.entry.epss().is_none() {
                without_epss.insert(told.entry.name().to_owned());
            }
        }
        for entry in difference.carried {
            set_aside.notice(&entry);
            let told = self.told(entry);
            self.tally.carried.push(told);
        }
        for entry in difference.shed {
            let told = self.told(entry);
            self.tally.shed.push(told);
        }
        let name = &self.scanned.image.name;
        checked.findings.extend(wording::unrated(name, &unrated));
        if self.config.epss.is_some() && !without_epss.is_empty() {
            let states_any = findings(&self.counted).iter().any(|finding| finding.epss.is_some());
            let finding = wording::without_epss(name, &without_epss, states_any);
            if states_any {
                checked.findings.push(finding);
            } else {
                checked.unknown(Verdict::NotEvaluated, finding);
            }
        }
    }

    fn told(&self, entry: Entry<'a>) -> Blocker<'a> {
        let has = |report: &&&'a Report| {
            let first = entry.findings.first();
            first.is_some_and(|first| {
                report.findings.iter().any(|known| std::ptr::eq(known, *first))
            })
        };
        // Looking for the file is worth it only where there is a choice.
        let report = match self.counted.as_slice() {
            [only] => Some(only),
            several => several.iter().find(has),
        };
        let file = report.map_or("", |report| report.file.as_str());
        let urgency = entry.urgency(self.exploited, self.config.epss, self.evidence.now);
        let exploited = entry.exploited(self.exploited);
        Blocker { entry, file, urgency, exploited }
    }

    fn blocks(&self, told: &Blocker<'_>) -> bool {
        let severe = told.entry.severity().is_some_and(|severity| severity >= self.config.fail_on);
        let mendable = !self.config.only_fixable || told.entry.is_fixable();
        told.exploited.is_some() || (mendable && (severe || told.urgency.epss.is_some()))
    }
}

/// Puts the most urgent first; what is equally urgent in the order of names and packages.
fn rank(told: &mut [Blocker<'_>]) {
    told.sort_by_cached_key(|told| {
        let package = told.entry.package().map(ToString::to_string);
        (std::cmp::Reverse(told.urgency), told.entry.name().to_owned(), package)
    });
}

fn conclude(
    config: &Vulnerabilities,
    evidence: &Evidence,
    mut tally: Tally<'_>,
    checked: Checked,
) -> Outcome {
    rank(&mut tally.blockers);
    rank(&mut tally.carried);
    rank(&mut tally.shed);
    let words = wording::Words { config, evidence };
    let code = |told: &Blocker<'_>| if told.exploited.is_some() { EXPLOITED } else { NEW };
    let shown = tally.blockers.iter().take(SHOWN);
    let mut all: Vec<Finding> = shown.map(|told| words.blocks(code(told), told)).collect();
    if let Some(rest) = tally.blockers.get(SHOWN..).filter(|rest| !rest.is_empty()) {
        all.push(words.more(rest));
    }
    let Checked { mut findings, unknown } = checked;
    all.append(&mut findings);
    all.extend(words.carried(CARRIED, &tally.carried));
    all.extend(words.shed(SHED, &tally.shed));
    all.extend(words.below(NEW, tally.below));
    // What blocks stays before what is not known, and both before warnings and notes.
    all.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    let first_unknown = || {
        let unknown = all.iter().find(|finding| finding.level == Level::Error);
        unknown.map(|finding| finding.message.clone()).unwrap_or_default()
    };
    let (verdict, message) = if tally.blockers.is_empty() {
        match unknown {
            Some(verdict) => (verdict, first_unknown()),
            None => (Verdict::Pass, words.passed(&tally)),
        }
    } else {
        (Verdict::Fail, words.failed(&tally.blockers))
    };
    Outcome { verdict, message, findings: all, blames_image: false }
}
