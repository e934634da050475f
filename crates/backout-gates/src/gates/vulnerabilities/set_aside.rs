//! What statements and waivers take out of the judgement.

use std::collections::BTreeSet;

use backout_core::document::Location;
use backout_core::finding::{Finding, Level, Place, Subject};
use backout_core::units::Time;

use super::about::SET_ASIDE;
use super::evidence::Evidence;
use super::reports::of_file;
use crate::scan::vex::{Statements, say};
use crate::scan::{Entry, Image};
use crate::waivers::{Waiver, WaiverFile};

/// Statements and waivers, and what they were used for.
pub(super) struct SetAside<'a> {
    now: Time,
    statements: Vec<&'a Statements>,
    waivers: Option<&'a WaiverFile>,
    findings: Vec<Finding>,
    stated: BTreeSet<String>,
    /// Waivers of something that would block.
    waived: BTreeSet<usize>,
    /// Waivers of something that the release has, whether or not it would block today.
    matched: BTreeSet<usize>,
}

impl<'a> SetAside<'a> {
    pub(super) fn new(evidence: &'a Evidence) -> Self {
        let mut findings = Vec::new();
        for unusable in evidence.vex.iter().filter_map(|read| read.as_ref().err()) {
            let message = format!("the statements do not count: {}", unusable.message);
            let subject = Subject::File(unusable.place.clone());
            let finding = of_file(SET_ASIDE, Level::Warning, "", message, &unusable.help);
            findings.push(Finding { subject, ..finding });
        }
        if let Some(Err(unreadable)) = &evidence.waivers {
            for problem in &unreadable.problems {
                let place =
                    Place { file: unreadable.source_name.clone(), location: problem.location };
                let message = format!("the waivers do not count: {}", problem.message);
                let help = problem
                    .help
                    .as_deref()
                    .or(problem.expected.as_deref())
                    .unwrap_or("correct the file");
                let finding = of_file(SET_ASIDE, Level::Warning, "", message, help);
                findings.push(Finding { subject: Subject::File(place), ..finding });
            }
        }
        let statements: Vec<&Statements> = evidence.vex.iter().flatten().collect();
        for document in &statements {
            findings.extend(from_the_future(document, evidence.now));
        }
        let waivers = evidence.waivers.as_ref().and_then(|read| read.as_ref().ok());
        Self {
            now: evidence.now,
            statements,
            waivers,
            findings,
            stated: BTreeSet::new(),
            waived: BTreeSet::new(),
            matched: BTreeSet::new(),
        }
    }

    /// Takes out of a vulnerability what statements set aside; nothing is left when they set aside
    /// all of it.
    pub(super) fn keep(&mut self, image: &Image, mut entry: Entry<'a>) -> Option<Entry<'a>> {
        let names = &entry.names;
        let statements = &self.statements;
        let now = self.now;
        entry.findings.retain(|finding| {
            let own = finding.analysis.as_ref();
            let stated = say(statements.iter().copied(), image, names, finding, now);
            // A statement that the policy names overrides what the report says itself.
            let analysis = stated.map(|statement| &statement.analysis).or(own);
            !analysis.is_some_and(|analysis| analysis.sets_aside)
        });
        if entry.findings.is_empty() {
            self.stated.insert(entry.name().to_owned());
            return None;
        }
        Some(entry)
    }

    /// Whether a waiver that is not expired is about a vulnerability that would block.
    pub(super) fn waives(&mut self, entry: &Entry<'_>) -> bool {
        let meant = self.meant(entry);
        self.waived.extend(meant.iter().map(|(index, _)| *index));
        meant.iter().any(|(_, waiver)| !waiver.expires.is_over(self.now))
    }

    /// Keeps waivers of what the release has from being called unused: a vulnerability that is
    /// carried, or below the line, blocks again when the other release or its rating changes.
    pub(super) fn notice(&mut self, entry: &Entry<'_>) {
        let meant = self.meant(entry);
        self.matched.extend(meant.iter().map(|(index, _)| *index));
    }

    /// The waivers of a vulnerability, by their place in the file.
    fn meant(&self, entry: &Entry<'_>) -> Vec<(usize, &'a Waiver)> {
        let Some(file) = self.waivers else { return Vec::new() };
        let about = |waiver: &Waiver| {
            entry.findings.iter().all(|finding| waiver.is_about(&entry.names, &finding.package))
        };
        let waivers = file.waivers.iter().map(|(waiver, _)| waiver).enumerate();
        waivers.filter(|(_, waiver)| about(waiver)).collect()
    }

    /// What is to be said of statements and waivers.
    pub(super) fn told(self) -> Vec<Finding> {
        let mut findings = self.findings;
        if let (Some(first), false) = (self.statements.first(), self.stated.is_empty()) {
            let names: Vec<&str> =
                self.stated.iter().take(super::SHOWN).map(String::as_str).collect();
            let count = self.stated.len();
            let message = format!(
                "{} set aside by statements: {}",
                super::wording::count(count),
                names.join(", ")
            );
            findings.push(of_file(
                SET_ASIDE,
                Level::Note,
                &first.file,
                message,
                "read why in the statements",
            ));
        }
        let Some(file) = self.waivers else { return findings };
        for (index, (waiver, location)) in file.waivers.iter().enumerate() {
            let used = if self.waived.contains(&index) {
                Use::Blocker
            } else if self.matched.contains(&index) {
                Use::Other
            } else {
                Use::Nothing
            };
            let finding = of_waiver(waiver, used, self.now);
            findings.extend(finding.map(|finding| at(file, *location, finding)));
        }
        findings
    }
}

fn at(file: &WaiverFile, location: Location, finding: Finding) -> Finding {
    let place = Place { file: file.file.clone(), location: Some(location) };
    Finding { subject: Subject::File(place), ..finding }
}

/// What a waiver is about in this release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Something that would block without it.
    Blocker,
    /// Something that does not block anyway.
    Other,
    /// Nothing.
    Nothing,
}

fn of_waiver(waiver: &Waiver, used: Use, now: Time) -> Option<Finding> {
    let id = &waiver.vulnerability;
    let finding =
        |level, message: String, help: &str| Some(of_file(SET_ASIDE, level, "", message, help));
    if waiver.expires.is_over(now) {
        let consequence = if used == Use::Blocker { ", so that it blocks again" } else { "" };
        return finding(
            Level::Warning,
            format!("the waiver of {id} expired on {}{consequence}", waiver.expires),
            "mend it, or decide anew with a new end",
        );
    }
    match used {
        Use::Blocker => finding(
            Level::Note,
            format!("{id} is waived until {}: {}", waiver.expires, waiver.reason.trim()),
            "mend it before the waiver ends",
        ),
        Use::Other => None,
        Use::Nothing => finding(
            Level::Note,
            format!("the waiver of {id} is about nothing that this release has"),
            "remove it, unless another release needs it",
        ),
    }
}

fn from_the_future(document: &Statements, now: Time) -> Option<Finding> {
    let future =
        document.statements.iter().filter(|statement| statement.at.is_some_and(|at| at > now));
    let count = future.count();
    (count > 0).then(|| {
        let message = format!("{count} statements are dated in the future and do not count yet");
        of_file(SET_ASIDE, Level::Warning, &document.file, message, "correct their timestamps")
    })
}
