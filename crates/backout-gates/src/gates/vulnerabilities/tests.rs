use std::collections::BTreeSet;

use backout_core::policy::gate::Severity;
use backout_core::units::{Share, Span};
use proptest::prelude::*;

use super::*;
use crate::scan::vex::{Identifier, Product, Statement, Statements};
use crate::scan::{
    self, Analysis, Cause, Fix, Format, Image, Limits, Package, Report, Unusable, moment,
};
use crate::waivers::{self, WaiverFile};

const TRIVY: &[u8] = include_bytes!("../../scan/fixtures/image.trivy.json");
const GRYPE: &[u8] = include_bytes!("../../scan/fixtures/image.grype.json");
const CATALOGUE: &[u8] = include_bytes!("../../scan/fixtures/known-exploited.json");
const VEX: &[u8] = include_bytes!("../../scan/fixtures/statements.openvex.json");

fn load(file: &str, bytes: &[u8]) -> Result<Report, Unusable> {
    scan::read(file, bytes, &Limits::default())
}

fn scanned(version: &str, reports: Vec<Result<Report, Unusable>>) -> Scanned {
    let image = Image {
        name: "checkout".to_owned(),
        repository: "registry.shop.example/shop/checkout".to_owned(),
        tag: version.to_owned(),
        digests: BTreeSet::from([format!("sha256:{}", "1".repeat(64)).parse().unwrap()]),
    };
    Scanned { version: version.to_owned(), images: vec![ScannedImage { image, reports }] }
}

/// The release has what Trivy found, and the one that serves has nothing.
fn evidence() -> Evidence {
    let nothing = Report { findings: Vec::new(), file: "1.41.0.json".to_owned(), ..trivy() };
    Evidence {
        now: moment::read("2026-03-11T12:00:00Z").unwrap(),
        direction: Direction::Forward,
        release: scanned("1.42.0", vec![Ok(trivy())]),
        against: Some(scanned("1.41.0", vec![Ok(nothing)])),
        vex: Vec::new(),
        waivers: None,
        known_exploited: Some(scan::known_exploited::read(
            "kev.json",
            CATALOGUE,
            &Limits::default(),
        )),
    }
}

fn trivy() -> Report {
    Report { end_of_support: None, ignored: 0, ..load("1.42.0.json", TRIVY).unwrap() }
}

fn grype() -> Report {
    Report { ignored: 0, ..load("1.42.0.grype.json", GRYPE).unwrap() }
}

fn waivers(expires: &str) -> WaiverFile {
    let text = format!(
        "apiVersion: backout.dev/v1alpha1\nkind: Waivers\nmetadata: {{name: checkout}}\nspec:\n  waivers:\n  \
         - {{vulnerability: GHSA-aaaa-bbbb-cccc, package: \"pkg:npm/@shop\", reason: not reachable, \
         expires: {expires}}}\n  \
         - {{vulnerability: CVE-1999-1, reason: old, expires: 2030-01-01}}\n"
    );
    waivers::read("waivers.yaml", text.as_bytes()).unwrap()
}

/// The whole outcome as text.
fn told(outcome: &Outcome) -> String {
    let mut text = format!("{}: {}\n", outcome.verdict, outcome.message);
    for finding in &outcome.findings {
        let subject = match &finding.subject {
            Subject::File(place) => place.to_string(),
            Subject::Object(object) => object.clone(),
            Subject::Policy(path) => path.to_string(),
        };
        text.push_str(&format!(
            "{} {} {subject}: {}\n",
            finding.level, finding.code, finding.message
        ));
        text.push_str(&format!("    [{}] {}\n", finding.label, finding.help));
    }
    text
}

fn judged(evidence: &Evidence) -> Outcome {
    judge(&Vulnerabilities::default(), evidence)
}

fn codes(outcome: &Outcome, level: Level) -> Vec<&'static str> {
    outcome
        .findings
        .iter()
        .filter(|finding| finding.level == level)
        .map(|finding| finding.code.0)
        .collect()
}

#[test]
fn what_is_new_blocks() {
    let mut evidence = evidence();
    evidence.waivers = Some(Ok(waivers("2026-03-01")));
    insta::assert_snapshot!(told(&judged(&evidence)));
}

#[test]
fn what_is_carried_does_not() {
    let mut evidence = evidence();
    evidence.against = Some(scanned("1.41.0", vec![Ok(grype())]));
    insta::assert_snapshot!(told(&judged(&evidence)));
}

#[test]
fn a_way_back_is_judged_by_what_would_come_back() {
    let mut evidence = evidence();
    evidence.direction = Direction::Back;
    evidence.release = scanned("1.40.0", vec![Ok(grype())]);
    evidence.known_exploited = None;
    insta::assert_snapshot!(told(&judged(&evidence)));
}

#[test]
fn the_line_is_the_policys() {
    let evidence = evidence();
    let fails = |config: &Vulnerabilities| codes(&judge(config, &evidence), Level::Error);
    let default = Vulnerabilities::default();
    assert_eq!(fails(&default), ["BO321", "BO320"]);
    // What is known to be exploited blocks in any case.
    let lenient = Vulnerabilities { fail_on: Severity::Critical, ..default.clone() };
    assert_eq!(fails(&lenient), ["BO321"]);
    let mut low = evidence.clone();
    for finding in low.release.images[0].reports.iter_mut().flatten().flat_map(|r| &mut r.findings)
    {
        (finding.severity, finding.fix) = (Some(Severity::Low), Fix::NotFixed);
    }
    let config = Vulnerabilities { only_fixable: true, ..default.clone() };
    assert_eq!(codes(&judge(&config, &low), Level::Error), ["BO321"]);
    let strict = Vulnerabilities { fail_on: Severity::Low, ..default.clone() };
    assert_eq!(fails(&strict), ["BO321", "BO320", "BO320"]);
    let fixable = Vulnerabilities { only_fixable: true, ..strict };
    assert_eq!(fails(&fixable), ["BO321", "BO320"]);
}

#[test]
fn a_probability_over_the_line_blocks_and_a_missing_one_is_unknown() {
    let mut evidence = evidence();
    evidence.known_exploited = None;
    let config = |share: &str| Vulnerabilities {
        fail_on: Severity::Critical,
        epss: Some(share.parse::<Share>().unwrap()),
        ..Vulnerabilities::default()
    };
    let mut report = trivy();
    for finding in &mut report.findings {
        finding.severity = Some(Severity::Low);
    }
    evidence.release = scanned("1.42.0", vec![Ok(report.clone())]);
    let outcome = judge(&config("50%"), &evidence);
    assert_eq!(
        (outcome.verdict, codes(&outcome, Level::Error)),
        (Verdict::NotEvaluated, vec!["BO325"])
    );
    report.findings[0].epss = Some("60%".parse().unwrap());
    evidence.release = scanned("1.42.0", vec![Ok(report)]);
    assert_eq!(judge(&config("50%"), &evidence).verdict, Verdict::Fail);
    assert_eq!(judge(&config("70%"), &evidence).verdict, Verdict::Pass);
}

#[test]
fn statements_and_waivers_set_aside() {
    let mut evidence = evidence();
    evidence.vex = vec![scan::vex::read("vex.json", VEX, &Limits::default())];
    let outcome = judged(&evidence);
    assert_eq!(codes(&outcome, Level::Error), ["BO320"], "the statement is on CVE-2026-10003");
    evidence.vex.clear();
    evidence.waivers = Some(Ok(waivers("2026-03-11")));
    let outcome = judged(&evidence);
    assert_eq!(codes(&outcome, Level::Error), ["BO320"], "it is waived to the end of today");
    assert!(told(&outcome).contains("CVE-1999-1 is about nothing"), "{}", told(&outcome));
    evidence.waivers = Some(Ok(waivers("2026-03-10")));
    let outcome = judged(&evidence);
    assert_eq!(codes(&outcome, Level::Error), ["BO321", "BO320"]);
    assert!(told(&outcome).contains("waivers.yaml:6:5: the waiver of GHSA"), "{}", told(&outcome));
    let broken = waivers::read("waivers.yaml", b"kind: Waivers").unwrap_err();
    evidence.waivers = Some(Err(broken));
    let outcome = judged(&evidence);
    assert_eq!(codes(&outcome, Level::Error), ["BO321", "BO320"]);
    assert!(codes(&outcome, Level::Warning).contains(&"BO329"));
}

#[test]
fn what_cannot_be_trusted_never_passes() {
    let clean = || Report { findings: Vec::new(), ..trivy() };
    let old = moment::read("2026-03-01").unwrap();
    let other: backout_core::units::Digest = format!("sha256:{}", "2".repeat(64)).parse().unwrap();
    let with = |change: &dyn Fn(&mut Report)| {
        let mut report = clean();
        change(&mut report);
        vec![Ok(report)]
    };
    let no_file = || Err(Unusable::not_read("scan.json", "there is no such file"));
    type Reports = Vec<Result<Report, Unusable>>;
    let cases: Vec<(&str, Verdict, &str, Reports)> = vec![
        ("no report", Verdict::NoData, "BO324", Vec::new()),
        ("unreadable", Verdict::NotEvaluated, "BO324", vec![no_file()]),
        ("one of two", Verdict::NotEvaluated, "BO324", vec![Ok(clean()), no_file()]),
        ("nothing seen", Verdict::NotEvaluated, "BO324", with(&|r| r.looked_at_packages = false)),
        ("old report", Verdict::NotEvaluated, "BO325", with(&|r| r.created = Some(old))),
        ("old database", Verdict::NotEvaluated, "BO325", with(&|r| r.database = Some(old))),
        ("no date", Verdict::NotEvaluated, "BO325", with(&|r| r.created = None)),
        (
            "future",
            Verdict::NotEvaluated,
            "BO325",
            with(&|r| r.created = moment::read("2026-03-12")),
        ),
        (
            "other",
            Verdict::NotEvaluated,
            "BO326",
            with(&|r| r.artifact.digests = BTreeSet::from([other.clone()])),
        ),
        (
            "no subject",
            Verdict::NotEvaluated,
            "BO326",
            with(&|r| r.artifact = scan::Artifact::default()),
        ),
    ];
    for (case, verdict, code, reports) in cases {
        let mut evidence = evidence();
        evidence.release = scanned("1.42.0", reports);
        let outcome = judged(&evidence);
        assert_eq!(
            (outcome.verdict, codes(&outcome, Level::Error)),
            (verdict, vec![code]),
            "{case}"
        );
        assert_eq!(outcome.message, outcome.findings[0].message, "{case}");
    }
    let mut evidence = evidence();
    evidence.release = scanned("1.42.0", vec![Ok(clean())]);
    assert_eq!(judged(&evidence).verdict, Verdict::Pass, "the control");
    evidence.known_exploited = Some(Err(Unusable::not_read("kev.json", "there is no such file")));
    assert_eq!(judged(&evidence).verdict, Verdict::NotEvaluated);
    evidence.known_exploited = None;
    let named = Vulnerabilities {
        known_exploited: Some("kev.json".to_owned()),
        ..Vulnerabilities::default()
    };
    assert_eq!(judge(&named, &evidence).verdict, Verdict::NotEvaluated, "named, and not read");
    evidence.release.images.clear();
    assert_eq!(judged(&evidence).verdict, Verdict::NoData);
}

#[test]
fn scanners_can_be_distrusted() {
    let mut evidence = evidence();
    let mut report = Report { findings: Vec::new(), ..trivy() };
    report.scanner.as_mut().unwrap().version = Some("0.69.5".to_owned());
    evidence.release = scanned("1.42.0", vec![Ok(report)]);
    let outcome = judged(&evidence);
    assert_eq!(outcome.verdict, Verdict::Pass);
    assert!(
        told(&outcome).contains("warning BO327 1.42.0.json: trivy 0.69.5 is a malicious build")
    );
    for (entry, verdict) in [
        ("trivy v0.69.5", Verdict::NotEvaluated),
        ("Trivy", Verdict::NotEvaluated),
        ("trivy 0.69.4", Verdict::Pass),
        ("grype 0.69.5", Verdict::Pass),
    ] {
        let distrusted_scanners = vec![entry.to_owned()];
        let config = Vulnerabilities { distrusted_scanners, ..Vulnerabilities::default() };
        assert_eq!(judge(&config, &evidence).verdict, verdict, "{entry}");
    }
}

#[test]
fn without_a_report_of_the_other_release_everything_is_new() {
    let mut evidence = evidence();
    let bom = Unusable::new("1.41.0.cdx.json", Cause::BillOfMaterials, "it is a bill", "scan it");
    for against in [
        Some(scanned("1.41.0", Vec::new())),
        Some(scanned("1.41.0", vec![Err(bom)])),
        Some(Scanned { version: "1.41.0".to_owned(), images: Vec::new() }),
        None,
    ] {
        evidence.against = against;
        let outcome = judged(&evidence);
        assert_eq!(codes(&outcome, Level::Error), ["BO321", "BO320"]);
        assert!(told(&outcome).contains("counts as new"), "{}", told(&outcome));
    }
}

#[test]
fn old_or_excused_findings_of_the_other_release_are_told_apart() {
    let mut evidence = evidence();
    let mut other = Report { created: moment::read("2026-02-01"), ..trivy() };
    evidence.against = Some(scanned("1.41.0", vec![Ok(other.clone())]));
    let outcome = judged(&evidence);
    assert_eq!(outcome.verdict, Verdict::Pass);
    assert!(told(&outcome).contains("not up to date"), "{}", told(&outcome));
    let not_affected =
        Analysis { sets_aside: true, state: "not_affected".to_owned(), justification: None };
    other.findings[0].analysis = Some(not_affected);
    evidence.against = Some(scanned("1.41.0", vec![Ok(other)]));
    assert_eq!(codes(&judged(&evidence), Level::Error), ["BO320"]);
}

#[test]
fn at_most_twenty_are_shown() {
    let mut evidence = evidence();
    evidence.release =
        scanned("1.42.0", vec![Ok(report(&(0..50).map(|n| (n, 0, 4)).collect::<Vec<_>>()))]);
    let outcome = judged(&evidence);
    assert_eq!(codes(&outcome, Level::Error).len(), SHOWN + 1);
    assert!(
        outcome
            .message
            .starts_with("50 new vulnerabilities at or above high: the worst is CVE-0 in")
    );
    assert!(told(&outcome).contains("30 vulnerabilities more that block"), "{}", told(&outcome));
}

#[test]
fn the_age_of_data_is_told_with_what_it_is_of() {
    let now = evidence().now;
    assert_eq!(data_age(&grype(), now), "vulnerability database of 2026-03-09, 2 days old");
    let report = trivy();
    assert_eq!(
        data_age(&report, now),
        "report of 2026-03-10, 22 hours old; it does not date its database"
    );
    assert!(data_age(&report, moment::read("2026-03-09").unwrap()).contains("in the future"));
    let undated = Report { created: None, ..report };
    assert_eq!(data_age(&undated, now), "neither the report nor its database is dated");
}

#[test]
fn every_code_is_explained_once() {
    let codes: Vec<&str> = ABOUT.findings.iter().map(|finding| finding.code).collect();
    let expected: Vec<String> = (320..330).map(|number| format!("BO{number}")).collect();
    assert_eq!(codes, expected);
}

/// A report of vulnerabilities, each a number, a package and a severity.
fn report(found: &[(u8, u8, u8)]) -> Report {
    let levels =
        [Severity::Negligible, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
    let findings = found.iter().map(|(number, package, level)| Vulnerability {
        ids: BTreeSet::from([format!("CVE-{number}"), format!("GHSA-{}", number / 2)]),
        advisories: BTreeSet::new(),
        package: Package::new(Some(&format!("pkg:npm/p{package}@1")), "", "npm", "1"),
        fixed_in: Vec::new(),
        fix: Fix::Unknown,
        severity: levels.get(usize::from(*level)).copied(),
        severity_source: None,
        cvss_tenths: None,
        epss: None,
        exploited: None,
        analysis: None,
    });
    let mut findings: Vec<_> = findings.collect();
    if found.len() > 20 {
        // Many of them are to be counted, so none may share a name.
        for (finding, (number, ..)) in findings.iter_mut().zip(found) {
            finding.ids = BTreeSet::from([format!("CVE-{number}")]);
        }
    }
    Report { findings, format: Format::Trivy, ..trivy() }
}

fn found() -> impl Strategy<Value = Vec<(u8, u8, u8)>> {
    prop::collection::vec((0..8_u8, 0..3_u8, 0..6_u8), 0..6)
}

fn vex(statements: &[(u8, u8, bool)]) -> Statements {
    let statements = statements.iter().map(|(number, package, sets_aside)| Statement {
        ids: BTreeSet::from([format!("CVE-{number}")]),
        analysis: Analysis { sets_aside: *sets_aside, state: String::new(), justification: None },
        at: None,
        products: vec![Product {
            identifiers: Identifier::read(&format!("pkg:npm/p{package}")).into_iter().collect(),
            subcomponents: Vec::new(),
        }],
    });
    Statements { file: "vex.json".to_owned(), statements: statements.collect() }
}

fn blockers(outcome: &Outcome) -> BTreeSet<String> {
    let blocks = |finding: &&Finding| finding.level == Level::Error;
    outcome.findings.iter().filter(blocks).map(|finding| finding.message.clone()).collect()
}

proptest! {
    #[test]
    fn what_is_carried_never_blocks(ours in found()) {
        let mut evidence = evidence();
        evidence.release = scanned("1.42.0", vec![Ok(report(&ours))]);
        evidence.against = Some(scanned("1.41.0", vec![Ok(report(&ours))]));
        let outcome = judged(&evidence);
        prop_assert_eq!(outcome.verdict, Verdict::Pass, "{}", told(&outcome));
    }

    #[test]
    fn more_in_the_other_release_never_blocks_more(ours in found(), theirs in found(), more in found()) {
        let mut evidence = evidence();
        evidence.release = scanned("1.42.0", vec![Ok(report(&ours))]);
        evidence.against = Some(scanned("1.41.0", vec![Ok(report(&theirs))]));
        let before = blockers(&judged(&evidence)).len();
        let theirs: Vec<_> = theirs.into_iter().chain(more).collect();
        evidence.against = Some(scanned("1.41.0", vec![Ok(report(&theirs))]));
        prop_assert!(blockers(&judged(&evidence)).len() <= before);
    }

    #[test]
    fn statements_never_add_blockers(
        ours in found(),
        theirs in found(),
        stated in prop::collection::vec((0..8_u8, 0..3_u8, any::<bool>()), 0..6),
    ) {
        let mut evidence = evidence();
        evidence.release = scanned("1.42.0", vec![Ok(report(&ours))]);
        evidence.against = Some(scanned("1.41.0", vec![Ok(report(&theirs))]));
        let before = blockers(&judged(&evidence)).len();
        evidence.vex = vec![Ok(vex(&stated))];
        prop_assert!(blockers(&judged(&evidence)).len() <= before);
    }

    #[test]
    fn a_report_that_does_not_count_never_passes(ours in found(), theirs in found(), age_h in 169..10_000_u64) {
        let mut evidence = evidence();
        evidence.against = Some(scanned("1.41.0", vec![Ok(report(&theirs))]));
        let mut old = report(&ours);
        let now = evidence.now.as_millis() - Span::from_hours(age_h).as_millis();
        old.created = Some(backout_core::units::Time::from_millis(now));
        for reports in [Vec::new(), vec![Err(Unusable::not_read("r", "gone"))], vec![Ok(old)]] {
            evidence.release = scanned("1.42.0", reports);
            prop_assert_ne!(judged(&evidence).verdict, Verdict::Pass);
        }
    }

    #[test]
    fn the_order_of_reports_does_not_matter(ours in found(), other in found(), theirs in found()) {
        let mut evidence = evidence();
        evidence.against = Some(scanned("1.41.0", vec![Ok(report(&theirs))]));
        evidence.release = scanned("1.42.0", vec![Ok(report(&ours)), Ok(report(&other))]);
        let one = judged(&evidence);
        evidence.release = scanned("1.42.0", vec![Ok(report(&other)), Ok(report(&ours))]);
        let two = judged(&evidence);
        prop_assert_eq!(blockers(&one), blockers(&two));
        prop_assert_eq!(one.message, two.message);
    }
}

/// A file of the example project.
macro_rules! example {
    ($name:literal) => {
        include_bytes!(concat!("../../../../../examples/checkout/security/", $name)).as_slice()
    };
}

#[test]
fn the_example_passes_and_sheds() {
    let side = |version: &str, bytes: &[u8], digest: &str| {
        let mut scanned = scanned(version, vec![load(version, bytes)]);
        scanned.images[0].image.digests = BTreeSet::from([digest.parse().unwrap()]);
        scanned
    };
    let old = "sha256:300530181695c9885f702902bc7fed7f2cc510a936d4a73bd8014daedf200f3b";
    let new = "sha256:bb28a2473dc5a2bf65c6fbe91e228ee8eba6677ee6022787a60b005cdfd6676e";
    let mut evidence = evidence();
    evidence.release = side("1.42.0", example!("1.42.0.trivy.json"), new);
    evidence.against = Some(side("1.41.0", example!("1.41.0.trivy.json"), old));
    assert_eq!(blockers(&judged(&evidence)).len(), 1, "the statement is needed");
    let vex = scan::vex::read("vex.openvex.json", example!("vex.openvex.json"), &Limits::default());
    evidence.vex = vec![vex];
    evidence.waivers = Some(waivers::read("waivers.yaml", example!("waivers.yaml")));
    insta::assert_snapshot!(told(&judged(&evidence)));
    let bill = load("1.42.0.cdx.json", example!("1.42.0.cdx.json")).unwrap_err();
    assert_eq!(bill.cause, Cause::BillOfMaterials);
}
