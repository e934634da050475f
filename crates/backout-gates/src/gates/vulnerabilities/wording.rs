//! How the gate tells what it found.

use std::collections::BTreeSet;

use backout_core::finding::{Code, Finding, Level, Subject};
use backout_core::policy::gate::Vulnerabilities;
use backout_core::units::Time;

use super::about::{COMPARISON, DATA, NEW, NO_REPORT};
use super::evidence::{Direction, Evidence};
use super::reports::{data, of_file};
use super::{Blocker, SHOWN, Tally};
use crate::scan::known_exploited::Catalogue;
use crate::scan::{Entry, Exploited, Fix, Report, moment};

/// Counts vulnerabilities.
pub(super) fn count(number: usize) -> String {
    if number == 1 { "1 vulnerability".to_owned() } else { format!("{number} vulnerabilities") }
}

/// Says how old the data of a report is, and of what: `vulnerability database of 2026-03-09, 2 days
/// old`.
#[must_use]
pub fn data_age(report: &Report, now: Time) -> String {
    let told = |what: &str, at: Time| {
        if at > now {
            return format!("{what} of {}, which is in the future", moment::day(at));
        }
        format!("{what} of {}, {} old", moment::day(at), moment::age(now.since(at)))
    };
    match (report.database, report.created) {
        (Some(at), _) => told("vulnerability database", at),
        (None, Some(at)) => format!("{}; it does not date its database", told("report", at)),
        (None, None) => "neither the report nor its database is dated".to_owned(),
    }
}

fn of_object(code: Code, level: Level, object: String, message: String, help: &str) -> Finding {
    Finding { subject: Subject::Object(object), ..of_file(code, level, "", message, help) }
}

/// A release without images.
pub(super) fn no_image(version: &str) -> Finding {
    let help = "list its images in the release record";
    let message = "the release lists no image".to_owned();
    of_object(NO_REPORT, Level::Error, format!("release {version}"), message, help)
}

/// There is no release to compare with.
pub(super) fn nothing_serves(version: &str) -> Finding {
    let message = "no release serves yet, so everything counts as new".to_owned();
    let help = "mend what blocks, or waive it for a while";
    of_object(COMPARISON, Level::Note, format!("release {version}"), message, help)
}

/// The policy names a catalogue, and nobody read it.
pub(super) fn catalogue_not_read(config: &Vulnerabilities) -> Finding {
    let file = config.known_exploited.as_deref().unwrap_or_default();
    let message = "the catalogue of known exploited vulnerabilities was not read";
    of_file(DATA, Level::Error, file, message, "download it, and name it under `knownExploited`")
}

/// Nothing says what is exploited.
pub(super) fn exploitation_unknown(version: &str) -> Finding {
    let message =
        "neither a report nor the policy says which vulnerabilities are known to be exploited";
    let help = "name CISA's catalogue under `knownExploited`, or use a report of grype";
    of_object(DATA, Level::Note, format!("release {version}"), message.to_owned(), help)
}

/// The catalogue is older than data may be. It still counts: what it lists stays exploited.
pub(super) fn old_catalogue(
    catalogue: &Catalogue,
    config: &Vulnerabilities,
    now: Time,
) -> Option<Finding> {
    let message = match catalogue.released {
        Some(released) if now.since(released) <= config.max_age => return None,
        Some(released) => format!(
            "the catalogue of known exploited vulnerabilities is of {}, {} ago",
            moment::day(released),
            moment::age(now.since(released))
        ),
        None => "the catalogue of known exploited vulnerabilities is not dated".to_owned(),
    };
    Some(of_file(DATA, Level::Warning, &catalogue.file, message, "download it again"))
}

fn list(names: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = names.len().saturating_sub(SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

/// New vulnerabilities that nobody rates, and that therefore are below every line.
pub(super) fn unrated(image: &str, names: &BTreeSet<String>) -> Option<Finding> {
    let message =
        format!("{} not rated, so that no line applies: {}", new(names.len()), list(names));
    let help = "look at them by hand; scan again when they are rated";
    (!names.is_empty())
        .then(|| of_object(NEW, Level::Warning, format!("image {image}"), message, help))
}

/// New vulnerabilities without the probability that the policy limits.
pub(super) fn without_epss(image: &str, names: &BTreeSet<String>, states_any: bool) -> Finding {
    let level = if states_any { Level::Warning } else { Level::Error };
    let message = format!(
        "the policy limits the probability of exploitation (EPSS), which is not stated of {}: {}",
        new(names.len()),
        list(names)
    );
    of_object(
        DATA,
        level,
        format!("image {image}"),
        message,
        "use a report of grype, which states it",
    )
}

fn new(number: usize) -> String {
    if number == 1 {
        "1 new vulnerability".to_owned()
    } else {
        format!("{number} new vulnerabilities")
    }
}

/// The words of one judgement.
pub(super) struct Words<'a> {
    pub(super) config: &'a Vulnerabilities,
    pub(super) evidence: &'a Evidence,
}

impl Words<'_> {
    fn against(&self) -> String {
        let against = self.evidence.against.as_ref();
        against.map_or("no release".to_owned(), |against| against.version.clone())
    }

    /// `critical, known exploited, fixed in 1.2.4`.
    fn facts(&self, told: &Blocker<'_>) -> String {
        let entry = &told.entry;
        let mut facts =
            vec![entry.severity().map_or("not rated".to_owned(), |rated| rated.to_string())];
        facts.extend(told.exploited.map(|known| self.exploitation(known)));
        facts.extend(told.urgency.epss.map(|epss| format!("EPSS {}", epss.display_rounded())));
        facts.push(fix(entry));
        facts.join(", ")
    }

    fn exploitation(&self, known: Exploited) -> String {
        let late = Exploited { ransomware: false, ..known }.is_pressing(self.evidence.now);
        let due = known.due.filter(|_| late).map(|due| format!(", due since {}", moment::day(due)));
        let how = if known.ransomware { " by ransomware" } else { "" };
        format!("known exploited{how}{}", due.unwrap_or_default())
    }

    /// `CVE-2026-1 in pkg:npm/x 1.2.3 (critical, fixed in 1.2.4)`.
    fn line(&self, told: &Blocker<'_>) -> String {
        format!("{} ({})", place(&told.entry), self.facts(told))
    }

    /// A vulnerability that blocks.
    pub(super) fn blocks(&self, code: Code, told: &Blocker<'_>) -> Finding {
        let entry = &told.entry;
        let verb = match self.evidence.direction {
            Direction::Forward => "is new",
            Direction::Back => "would come back",
        };
        let versions: Vec<&str> = entry.fixed_in().into_iter().collect();
        let upgrade = match (versions.as_slice(), self.evidence.direction) {
            (_, Direction::Back) => "go back to a newer known-good release".to_owned(),
            ([], Direction::Forward) => "remove the package, or wait for a fix".to_owned(),
            (versions, Direction::Forward) => format!("upgrade to {}", versions.join(" or ")),
        };
        let help = format!(
            "{upgrade}; state with VEX that it does not affect the product; or waive it for a while"
        );
        let (place, facts) = (place(entry), self.facts(told));
        let message = format!("{place} {verb} against {} ({facts})", self.against());
        let finding = of_file(code, Level::Error, told.file, message, help);
        let others: Vec<&str> =
            entry.names.iter().map(String::as_str).filter(|id| *id != entry.name()).collect();
        let also =
            if others.is_empty() { String::new() } else { format!(", also {}", others.join(", ")) };
        Finding { label: format!("{}{also}", package(entry)), ..finding }
    }

    /// What blocks and is not shown one by one.
    pub(super) fn more(&self, rest: &[Blocker<'_>]) -> Finding {
        let message = format!("{} more that block", count(rest.len()));
        let file = rest.first().map_or("", |told| told.file);
        of_file(NEW, Level::Error, file, message, "mend the ones that are shown first")
    }

    /// What both releases have.
    pub(super) fn carried(&self, code: Code, carried: &[Blocker<'_>]) -> Vec<Finding> {
        let exploited = carried.iter().filter(|told| told.exploited.is_some()).take(SHOWN);
        let warn = |told: &Blocker<'_>| {
            let message = format!("both releases have {}", self.line(told));
            of_file(
                code,
                Level::Warning,
                told.file,
                message,
                "mend it soon: it is in use against others",
            )
        };
        let mut findings: Vec<Finding> = exploited.map(warn).collect();
        if let Some(first) = carried.first() {
            let message = format!("{} in both releases, which do not block", count(carried.len()));
            findings.push(of_file(
                code,
                Level::Note,
                first.file,
                message,
                "mend them on their own schedule",
            ));
        }
        findings
    }

    /// What only the other release has.
    pub(super) fn shed(&self, code: Code, shed: &[Blocker<'_>]) -> Option<Finding> {
        let first = shed.first()?;
        let (release, other) = (&self.evidence.release.version, self.against());
        let worst = self.line(first);
        let message =
            format!("{release} sheds {} of {other}; the worst is {worst}", count(shed.len()));
        let help = match self.evidence.direction {
            Direction::Forward => "an argument for the release",
            Direction::Back => "an argument for going back",
        };
        Some(of_object(code, Level::Note, format!("release {release}"), message, help))
    }

    /// What is new and below the line.
    pub(super) fn below(&self, code: Code, below: usize) -> Option<Finding> {
        let release = &self.evidence.release.version;
        let message = format!("{} below the line", new(below));
        let help = "mend them on their own schedule";
        (below > 0)
            .then(|| of_object(code, Level::Note, format!("release {release}"), message, help))
    }

    /// The line of a failure.
    pub(super) fn failed(&self, blockers: &[Blocker<'_>]) -> String {
        let Some(worst) = blockers.first() else { return String::new() };
        let what = match self.evidence.direction {
            Direction::Forward => new(blockers.len()),
            Direction::Back => format!("{} would come back", count(blockers.len())),
        };
        let by_severity =
            blockers.iter().all(|told| told.entry.severity() >= Some(self.config.fail_on));
        let line = if by_severity {
            format!(" at or above {}", self.config.fail_on)
        } else {
            String::new()
        };
        let first = if blockers.len() > 1 { "the worst is " } else { "" };
        format!("{what}{line}: {first}{}", self.line(worst))
    }

    /// The line of a pass.
    pub(super) fn passed(&self, tally: &Tally<'_>) -> String {
        let reports =
            self.evidence.release.images.iter().flat_map(|image| &image.reports).flatten();
        let oldest = reports.filter_map(data).map(|(at, _)| at).min();
        let age = oldest.map_or(String::new(), |at| {
            let age = moment::age(self.evidence.now.since(at));
            format!("; data of {}, {age} old", moment::day(at))
        });
        format!(
            "no new vulnerability at or above {} against {}; {} below, {} carried, {} shed{age}",
            self.config.fail_on,
            self.against(),
            tally.below,
            tally.carried.len(),
            tally.shed.len(),
        )
    }
}

/// `CVE-2026-1 in pkg:npm/x 1.2.3`.
fn place(entry: &Entry<'_>) -> String {
    format!("{} in {}", entry.name(), package(entry))
}

fn package(entry: &Entry<'_>) -> String {
    entry.package().map(ToString::to_string).unwrap_or_default()
}

fn fix(entry: &Entry<'_>) -> String {
    let versions: Vec<&str> = entry.fixed_in().into_iter().collect();
    if !versions.is_empty() {
        return format!("fixed in {}", versions.join(", "));
    }
    let says = entry.findings.iter().map(|finding| finding.fix).max().unwrap_or_default();
    match says {
        Fix::WillNotFix => "will not be fixed",
        Fix::NotFixed => "not fixed yet",
        Fix::Fixed => "fixed",
        Fix::Unknown => "no fix known",
    }
    .to_owned()
}
