//! Which reports count.

use backout_core::finding::{Finding, Level, Place, Subject};
use backout_core::judgement::Verdict;
use backout_core::policy::gate::Vulnerabilities;
use backout_core::units::{Span, Time};

use super::about::{COMPARISON, DATA, NO_REPORT, SCANNER, SUBJECT};
use super::evidence::{Scanned, ScannedImage};
use crate::scan::{Binding, Report, Scanner, bind, moment};

/// How far clocks of a build machine and of whoever judges may differ.
const CLOCK_SKEW: Span = Span::from_mins(10);

/// Malicious builds of Trivy, published on 2026-03-19 (CVE-2026-33634, aquasecurity/trivy-action#541).
const MALICIOUS: &[&str] = &["0.69.4", "0.69.5", "0.69.6"];

/// What is wrong with the reports, and what that makes of the verdict.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// The worst reason why the gate cannot pass, if there is one.
    pub(super) unknown: Option<Verdict>,
}

impl Checked {
    /// Adds a reason why the gate cannot pass.
    pub(super) fn unknown(&mut self, verdict: Verdict, finding: Finding) {
        // No data is only said when nothing else is wrong, because it means that there is nothing.
        self.unknown = Some(match self.unknown {
            None => verdict,
            Some(known) if known == verdict => known,
            Some(_) => Verdict::NotEvaluated,
        });
        self.findings.push(finding);
    }
}

/// A finding about a file.
pub(super) fn of_file(
    code: backout_core::finding::Code,
    level: Level,
    file: &str,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Finding {
    Finding {
        code,
        level,
        subject: Subject::File(Place { file: file.to_owned(), location: None }),
        message: message.into(),
        label: String::new(),
        help: help.into(),
        replay: None,
    }
}

/// The reports on an image of the release that is to serve whose findings count. Whatever is wrong
/// with any of them keeps the gate from passing; findings of data that is too old still block.
pub(super) fn of_release<'a>(
    scanned: &'a ScannedImage,
    config: &Vulnerabilities,
    now: Time,
    checked: &mut Checked,
) -> Vec<&'a Report> {
    let name = &scanned.image.name;
    if scanned.reports.is_empty() {
        let subject = Subject::Object(format!("image {name}"));
        let finding = of_file(
            NO_REPORT,
            Level::Error,
            "",
            format!("no scanner's report on image {name} is named"),
            "scan it by its digest, and name the report under `scans` of the release",
        );
        checked.unknown(Verdict::NoData, Finding { subject, ..finding });
    }
    let mut counted = Vec::new();
    for report in &scanned.reports {
        let report = match report {
            Ok(report) => report,
            Err(unusable) => {
                let finding = Finding {
                    subject: Subject::File(unusable.place.clone()),
                    ..of_file(NO_REPORT, Level::Error, "", &unusable.message, &unusable.help)
                };
                checked.unknown(Verdict::NotEvaluated, finding);
                continue;
            }
        };
        let refused = wrong(report, scanned, config);
        let counts = refused.is_empty();
        for finding in refused.into_iter().chain(stale(report, config, now)) {
            checked.unknown(Verdict::NotEvaluated, finding);
        }
        checked.findings.extend(doubts(report, scanned));
        if counts {
            counted.push(report);
        }
    }
    counted
}

/// The reports on the same image of the release that serves. What is wrong with them does not keep
/// the gate from passing: it only makes more count as new.
pub(super) fn of_other<'a>(
    against: &'a Scanned,
    name: &str,
    config: &Vulnerabilities,
    now: Time,
    checked: &mut Checked,
) -> Vec<&'a Report> {
    let version = &against.version;
    let Some(scanned) = against.images.iter().find(|scanned| scanned.image.name == name) else {
        let message = format!("{version} has no image {name}, so everything in it counts as new");
        let help = "mend what blocks, or waive it for a while";
        let subject = Subject::Object(format!("image {name}"));
        let finding = of_file(COMPARISON, Level::Note, "", message, help);
        checked.findings.push(Finding { subject, ..finding });
        return Vec::new();
    };
    let mut counted = Vec::new();
    let mut reasons = Vec::new();
    for report in &scanned.reports {
        match report {
            Ok(report) => match wrong(report, scanned, config).first() {
                Some(wrong) => reasons.push((report.file.clone(), wrong.message.clone())),
                None => {
                    checked.findings.extend(older(report, version, config, now));
                    counted.push(report);
                }
            },
            Err(unusable) => reasons.push((unusable.place.to_string(), unusable.message.clone())),
        }
    }
    if scanned.reports.is_empty() {
        reasons.push((format!("release {version}"), "no report is named".to_owned()));
    }
    let consequence = if counted.is_empty() {
        format!("everything in image {name} counts as new")
    } else {
        format!("what only this report knows of {version} counts as new")
    };
    for (file, reason) in reasons {
        checked.findings.push(of_file(
            COMPARISON,
            Level::Warning,
            &file,
            format!("the report on {version} does not count: {reason}; {consequence}"),
            "scan the release that serves as well, with the same scanner",
        ));
    }
    counted
}

/// Old data of the release that serves makes more look new, and hides nothing.
fn older(report: &Report, version: &str, config: &Vulnerabilities, now: Time) -> Option<Finding> {
    let stale = stale(report, config, now)?;
    let message = format!(
        "the report on {version} is not up to date, so that what was published since counts as new: {}",
        stale.message
    );
    Some(Finding { code: COMPARISON, level: Level::Note, message, ..stale })
}

/// Why the findings of a report do not count.
fn wrong(report: &Report, scanned: &ScannedImage, config: &Vulnerabilities) -> Vec<Finding> {
    let error = |code, message: String, help: &str| {
        of_file(code, Level::Error, &report.file, message, help)
    };
    let mut wrong = Vec::new();
    if let Some(scanner) = &report.scanner
        && config.distrusted_scanners.iter().any(|entry| is_named(scanner, entry))
    {
        wrong.push(error(
            SCANNER,
            format!("the policy distrusts {scanner}, which made this report"),
            "scan with a version that is trusted",
        ));
    }
    let image = &scanned.image;
    let by_digest = "scan the image by the digest that the release records";
    match bind(report, image) {
        Binding::Digest | Binding::Tag => {}
        Binding::OtherDigest(other) => wrong.push(error(
            SUBJECT,
            format!("the report is about {other}, which is no digest of image {}", image.name),
            by_digest,
        )),
        Binding::OtherName(other) => wrong.push(error(
            SUBJECT,
            format!(
                "the report is about `{other}` and names no digest, so nothing says that it is about image {}",
                image.name
            ),
            by_digest,
        )),
        Binding::Nothing => wrong.push(error(
            SUBJECT,
            "the report does not say what it is about".to_owned(),
            by_digest,
        )),
    }
    if !report.looked_at_packages {
        wrong.push(error(
            NO_REPORT,
            "the report shows no package that was looked at for vulnerabilities".to_owned(),
            "scan with `--scanners vuln --list-all-pkgs`, which shows what was looked at",
        ));
    }
    wrong
}

/// Whether an entry such as `trivy 0.69.4` means a scanner; without a version it means every one.
fn is_named(scanner: &Scanner, entry: &str) -> bool {
    let mut words = entry.split_whitespace();
    let name = words.next().is_some_and(|name| name.eq_ignore_ascii_case(&scanner.name));
    let version = words.next().map(|version| version.trim_start_matches('v'));
    name && version.is_none_or(|version| scanner.version.as_deref() == Some(version))
}

/// Whether the data of a report is too old, from the future, or not dated.
fn stale(report: &Report, config: &Vulnerabilities, now: Time) -> Option<Finding> {
    let again = "scan again with today's database";
    let error = |message: String| of_file(DATA, Level::Error, &report.file, message, again);
    let Some((at, what)) = data(report) else {
        return Some(error("neither the report nor its database is dated".to_owned()));
    };
    if at > now + CLOCK_SKEW {
        return Some(error(format!("{what} is of {}, which is in the future", moment::day(at))));
    }
    let age = now.since(at);
    (age > config.max_age).then(|| {
        error(format!(
            "{what} is of {}, {} ago, and the policy wants {} at most",
            moment::day(at),
            moment::age(age),
            moment::age(config.max_age),
        ))
    })
}

/// How old the data of a report is, and what says so.
pub(super) fn data(report: &Report) -> Option<(Time, &'static str)> {
    let database = report.database.map(|at| (at, "the vulnerability database"));
    database
        .or_else(|| report.created.map(|at| (at, "the report, which does not date its database,")))
}

/// What is worth a word about a report that counts.
fn doubts(report: &Report, scanned: &ScannedImage) -> Vec<Finding> {
    let warning = |code, message: String, help: &str| {
        of_file(code, Level::Warning, &report.file, message, help)
    };
    let mut doubts = Vec::new();
    let image = &scanned.image;
    if bind(report, image) == Binding::Tag {
        doubts.push(warning(
            SUBJECT,
            format!(
                "the report names {}:{} and no digest; a tag can be moved",
                image.repository, image.tag
            ),
            "scan the image by the digest that the release records",
        ));
    }
    let trivy = report.scanner.as_ref().filter(|scanner| scanner.name == "trivy");
    if let Some(scanner) = trivy
        && scanner.version.as_deref().is_some_and(|version| MALICIOUS.contains(&version))
    {
        doubts.push(warning(
            SCANNER,
            format!("{scanner} is a malicious build (CVE-2026-33634)"),
            "scan with another version, and change every credential that it could reach",
        ));
    }
    if report.scanner.as_ref().is_none_or(|scanner| scanner.version.is_none()) {
        let message = "the report does not say which version of the scanner made it".to_owned();
        doubts.push(warning(SCANNER, message, "scan with a current version, which says it"));
    }
    if let Some(distribution) = &report.end_of_support {
        doubts.push(warning(
            DATA,
            format!("{distribution} is past its end of support, so that new vulnerabilities are not recorded"),
            "move the image to a distribution that is supported",
        ));
    }
    if report.ignored > 0 {
        let message = format!("the scanner was told to ignore {} findings", report.ignored);
        let help = "what should not count is better stated here, in VEX or as a waiver";
        doubts.push(Finding {
            level: Level::Note,
            ..warning(super::about::SET_ASIDE, message, help)
        });
    }
    doubts
}
