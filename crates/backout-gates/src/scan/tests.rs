use std::fmt::Write as _;

use proptest::prelude::*;

use super::vex::Identifier;
use super::*;

/// A fixture by name.
macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("fixtures/", $name)).as_slice()
    };
}

fn load(name: &str, bytes: &[u8]) -> Report {
    read(name, bytes, &Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(bytes: &[u8]) -> Unusable {
    read("r.json", bytes, &Limits::default()).unwrap_err()
}

fn joined(texts: impl IntoIterator<Item = impl fmt::Display>) -> String {
    texts.into_iter().map(|text| text.to_string()).collect::<Vec<_>>().join(" ")
}

/// Everything that was read of a report, on few lines.
fn told(report: &Report) -> String {
    let day = |time: Option<Time>| time.map_or("-".to_owned(), moment::day);
    let scanner = report.scanner.as_ref().map(ToString::to_string);
    let mut text = format!(
        "{} by {} made {} database {} support ended {:?} looked {} exploitation {} ignored {}\n",
        report.format,
        scanner.unwrap_or_default(),
        day(report.created),
        day(report.database),
        report.end_of_support,
        report.looked_at_packages,
        report.states_exploitation,
        report.ignored,
    );
    let artifact = &report.artifact;
    let _ = writeln!(text, "names {}", joined(&artifact.names));
    let short = |digests: &BTreeSet<Digest>| joined(digests.iter().map(Digest::short));
    let _ =
        writeln!(text, "digests {} ids {}", short(&artifact.digests), short(&artifact.image_ids));
    for found in &report.findings {
        let _ = writeln!(
            text,
            "{} | {} | {} ({}) | {:?} {} | {:?} of {:?} | cvss {:?} epss {:?} | {:?} | {:?}",
            joined(&found.ids),
            joined(&found.advisories),
            found.package,
            found.package.kind,
            found.fix,
            joined(&found.fixed_in),
            found.severity,
            found.severity_source,
            found.cvss_tenths,
            found.epss.map(|epss| epss.to_string()),
            found.exploited.map(|known| (known.due.map(moment::day), known.ransomware)),
            found.analysis.as_ref().map(|analysis| (analysis.sets_aside, analysis.state.as_str())),
        );
    }
    text
}

#[test]
fn every_format_is_read() {
    let mut text = String::new();
    for (name, bytes) in [
        ("image.trivy.json", fixture!("image.trivy.json")),
        ("image.grype.json", fixture!("image.grype.json")),
        ("image.cdx.json", fixture!("image.cdx.json")),
        ("image.trivy.sarif", fixture!("image.trivy.sarif")),
        ("image.grype.sarif", fixture!("image.grype.sarif")),
    ] {
        let _ = writeln!(text, "== {name}\n{}", told(&load(name, bytes)));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_older_place_of_the_database_date_is_read() {
    let report = load("old", fixture!("image.grype-0.87.json"));
    assert_eq!(report.database.map(moment::day).as_deref(), Some("2024-05-01"));
    assert_eq!(report.scanner.unwrap().to_string(), "grype 0.87.0");
}

#[test]
fn what_is_no_report_has_its_own_reason() {
    for (bytes, cause) in [
        (fixture!("bill.cdx.json"), Cause::BillOfMaterials),
        (fixture!("statements.openvex.json"), Cause::Statements),
        (fixture!("known-exploited.json"), Cause::UnknownFormat),
        (b"SPDXVersion: SPDX-2.3\n", Cause::BillOfMaterials),
        (br#"{"spdxVersion": "SPDX-2.3", "packages": []}"#, Cause::BillOfMaterials),
        (
            br#"{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"}"#,
            Cause::BillOfMaterials,
        ),
        (br#"{"bomFormat": "CycloneDX", "specVersion": "1.6"}"#, Cause::BillOfMaterials),
        (b"<?xml version=\"1.0\"?><bom/>", Cause::Unsupported),
        (
            br#"{"predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1"}"#,
            Cause::Unsupported,
        ),
        (b"[]", Cause::UnknownFormat),
        (b"{}", Cause::UnknownFormat),
        (b"\xff\xfe{\0}\0", Cause::Malformed),
        (b"", Cause::Malformed),
        (b"2 vulnerabilities", Cause::Malformed),
    ] {
        let refused = refused(bytes);
        assert_eq!(refused.cause, cause, "{refused}");
        assert!(!refused.help.is_empty() && !refused.message.is_empty());
    }
}

#[test]
fn broken_reports_say_where() {
    let trivy = |inside: &str| {
        format!("{{\n\"SchemaVersion\": 2,\n\"Results\": [{{\"Vulnerabilities\": [{inside}]}}]}}")
    };
    for (text, says) in [
        (trivy("{\"VulnerabilityID\": 7}"), "r.json:3:"),
        (trivy("{\"PkgName\": \"x\"}"), "missing field `VulnerabilityID`"),
        (trivy("{\"VulnerabilityID\": \"CVE-1\", \"CVSS\": {\"nvd\": {\"V3Score\": NaN}}}"), "expected value"),
        (trivy("{\"VulnerabilityID\": \"CVE-1\", \"CVSS\": {\"nvd\": {\"V3Score\": 11}}}"), "score from 0 to 10"),
        (trivy("{\"VulnerabilityID\": \"CVE-1\", \"CVSS\": {\"nvd\": {\"V3Score\": 1e999}}}"), "number out of range"),
        (trivy("{\"VulnerabilityID\": \" \", \"PkgName\": \"x\"}"), "names no vulnerability"),
        (trivy("{\"VulnerabilityID\": \"CVE-1\"}"), "the finding on CVE-1 names no package"),
        (
            "{\"bomFormat\": \"CycloneDX\", \"vulnerabilities\": [{\"id\": \"CVE-1\"}]}".to_owned(),
            "CVE-1 names no component",
        ),
        (trivy("").replace("2,", "1,"), "schema 1 of Trivy's"),
        ("{\"SchemaVersion\": 2, \"Results\": 7}".to_owned(), "expected a list"),
        (
            "{\"matches\": [{\"vulnerability\": {\"id\": \"CVE-1\", \"epss\": [{\"epss\": 2}]}}], \"descriptor\": {}}"
                .to_owned(),
            "probability from 0 to 1",
        ),
        ("{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"2.0\"}".to_owned(), "only 1.4 to 1.7"),
        ("{\"runs\": [{\"tool\": {\"driver\": {\"name\": \"codeql\"}}}]}".to_owned(), "SARIF is of codeql"),
        (format!("{{\"SchemaVersion\": 2, \"Results\": {}", "[".repeat(100_000)), "r.json:1:"),
        (format!("{{\"runs\": {}", "{\"a\":".repeat(100_000)), "r.json:1:"),
    ] {
        let error = refused(text.as_bytes());
        assert_eq!(error.cause, Cause::Malformed, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.place.location.is_some(), "{error}");
    }
}

#[test]
fn cut_off_reports_are_refused_everywhere() {
    for bytes in [
        fixture!("image.trivy.json"),
        fixture!("image.grype.json"),
        fixture!("image.cdx.json"),
        fixture!("image.trivy.sarif"),
        fixture!("image.grype.sarif"),
    ] {
        let end = bytes.trim_ascii_end().len();
        for length in (0..end).step_by(37) {
            let error = refused(&bytes[..length]);
            assert_eq!(error.cause, Cause::Malformed, "{error}");
        }
    }
}

/// A Trivy report of so many findings.
fn large(findings: usize) -> String {
    let mut text = String::from(
        "{\"SchemaVersion\":2,\"ArtifactName\":\"x\",\"Results\":[{\"Class\":\"os-pkgs\",\"Vulnerabilities\":[",
    );
    for index in 0..findings {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(
            text,
            "{comma}{{\"VulnerabilityID\":\"CVE-2026-{index}\",\"PkgName\":\"p{index}\",\"PkgIdentifier\":\
             {{\"PURL\":\"pkg:deb/debian/p{index}@1\"}},\"InstalledVersion\":\"1\",\"Severity\":\"HIGH\"}}"
        );
    }
    text.push_str("]}]}");
    text
}

#[test]
fn a_report_of_300_000_findings_ends_in_a_clear_error() {
    let text = large(300_000);
    let error = refused(text.as_bytes());
    assert_eq!(error.cause, Cause::TooManyFindings);
    assert!(error.message.contains("more than 200000 findings"), "{error}");
    let few = large(5_000);
    let most = Limits { max_findings: 5_000, ..Limits::default() };
    assert_eq!(read("r", few.as_bytes(), &most).unwrap().findings.len(), 5_000);
    let most = Limits { max_findings: 4_999, ..most };
    assert_eq!(read("r", few.as_bytes(), &most).unwrap_err().cause, Cause::TooManyFindings);
    let small = Limits { max_bytes: 1_000, ..Limits::default() };
    assert_eq!(read("r", text.as_bytes(), &small).unwrap_err().cause, Cause::TooLarge);
}

fn image() -> Image {
    Image {
        name: "checkout".to_owned(),
        repository: "registry.shop.example/shop/checkout".to_owned(),
        tag: "1.42.0".to_owned(),
        digests: BTreeSet::from([format!("sha256:{}", "1".repeat(64)).parse().unwrap()]),
    }
}

#[test]
fn reports_are_bound_by_digest_and_never_by_hope() {
    let mut report = load("t", fixture!("image.trivy.json"));
    assert_eq!(bind(&report, &image()), Binding::Digest);
    let other = Image { digests: BTreeSet::new(), ..image() };
    assert!(matches!(bind(&report, &other), Binding::OtherDigest(_)));
    report.artifact.digests.clear();
    assert_eq!(bind(&report, &image()), Binding::Tag);
    // The configuration's digest binds as well, once somebody knows it.
    let known = Image { digests: report.artifact.image_ids.clone(), ..image() };
    assert_eq!(bind(&report, &known), Binding::Digest);
    let moved = Image { tag: "1.43.0".to_owned(), ..image() };
    assert!(matches!(bind(&report, &moved), Binding::OtherName(_)));
    report.artifact.names.clear();
    assert_eq!(bind(&report, &image()), Binding::Nothing);
}

fn statements(name: &str, bytes: &[u8]) -> vex::Statements {
    vex::read(name, bytes, &Limits::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn statements_are_about_products_and_parts() {
    let document = statements("v", fixture!("statements.openvex.json"));
    let report = load("t", fixture!("image.trivy.json"));
    let now = moment::read("2026-03-11").unwrap();
    let says = |image: &Image, id: &str, now: Time| {
        let found = report.findings.iter().find(|found| found.ids.contains(id)).unwrap();
        let said = vex::say([&document], image, &found.ids, found, now);
        said.map(|statement| statement.analysis.sets_aside)
    };
    let other = Image { digests: BTreeSet::new(), ..image() };
    assert_eq!(says(&image(), "CVE-2026-10003", now), Some(true));
    assert_eq!(says(&other, "CVE-2026-10003", now), None, "the statement is on one digest");
    assert_eq!(says(&other, "CVE-2026-10001", now), Some(false), "by package, in any image");
    assert_eq!(says(&other, "CVE-2024-10002", now), Some(true), "by repository, for every part");
    assert_eq!(says(&image(), "CVE-2026-10003", Time::ZERO), None, "it is not made yet");
    let unexplained = &document.statements[3];
    assert!(!unexplained.analysis.sets_aside, "not affected needs a reason");
    let old = statements("o", fixture!("statements-0.0.openvex.json"));
    assert!(matches!(old.statements[0].products[0].identifiers[0], Identifier::Purl(_)));
    let found = &report.findings[0];
    let both = vex::say([&old, &document], &image(), &found.ids, found, now).unwrap();
    assert_eq!(both.analysis.state, "under_investigation", "the later statement counts");
    let mut latest = old.clone();
    latest.statements[0].at = Some(now);
    let both = vex::say([&document, &latest], &image(), &found.ids, found, now).unwrap();
    assert_eq!(both.analysis.state, "fixed", "the later statement counts");
    latest.statements[0].at = document.statements[1].at;
    let both = vex::say([&document, &latest], &image(), &found.ids, found, now).unwrap();
    assert_eq!(both.analysis.state, "under_investigation", "of the same date the worse one");
}

#[test]
fn broken_statements_say_where() {
    let text = "{\"@context\": \"https://openvex.dev/ns/v0.2.0\",\n\
                \"statements\": [{\"vulnerability\": 7, \"status\": \"fixed\"}]}";
    let error = vex::read("v.json", text.as_bytes(), &Limits::default()).unwrap_err();
    assert!(error.to_string().starts_with("v.json:2:"), "{error}");
    assert!(error.message.contains("expected the name of a vulnerability"), "{error}");
}

#[test]
fn analyses_of_cyclonedx_are_statements_too() {
    let document = statements("v", fixture!("image.cdx.json"));
    assert_eq!(document.statements.len(), 1);
    assert!(document.statements[0].analysis.sets_aside);
    assert_eq!(document.statements[0].products[0].identifiers.len(), 1, "of this image alone");
    let none = vex::read("v", fixture!("image.trivy.json"), &Limits::default()).unwrap_err();
    assert_eq!(none.cause, Cause::NoStatements);
}

#[test]
fn the_catalogue_is_read() {
    let read = |bytes: &[u8]| known_exploited::read("kev.json", bytes, &Limits::default());
    let catalogue = read(fixture!("known-exploited.json")).unwrap();
    assert_eq!(catalogue.released.map(moment::day).as_deref(), Some("2026-03-09"));
    let now = moment::read("2026-03-18T12:00:00Z").unwrap();
    assert!(!catalogue.entries["CVE-2026-10003"].is_pressing(now), "the day is not over");
    assert!(catalogue.entries["CVE-2025-10007"].is_pressing(Time::ZERO), "ransomware uses it");
    assert_eq!(read(b"{}").unwrap_err().cause, Cause::UnknownFormat);
    assert_eq!(read(b"{\"vulnerabilities\": [{}]}").unwrap_err().cause, Cause::Malformed);
}

fn all(report: &Report) -> Vec<&Vulnerability> {
    report.findings.iter().collect()
}

#[test]
fn scanners_agree_over_aliases() {
    let trivy = load("t", fixture!("image.trivy.json"));
    let grype = load("g", fixture!("image.grype.json"));
    let sarif = load("s", fixture!("image.grype.sarif"));
    let difference = compare(&all(&trivy), &all(&grype));
    assert_eq!(joined(difference.carried.iter().map(Entry::name)), "CVE-2026-10001 CVE-2026-10003");
    assert_eq!(
        joined(difference.new.iter().map(Entry::name)),
        "CVE-2024-10002 TEMP-0841856-B18BAF"
    );
    assert_eq!(joined(difference.shed.iter().map(Entry::name)), "CVE-2026-10004 CVE-2026-10005");
    // SARIF knows the GHSA and the bare name only.
    let difference = compare(&all(&sarif), &all(&trivy));
    assert_eq!((difference.new.len(), difference.carried.len()), (0, 1));
    let difference = compare(&all(&trivy), &all(&sarif));
    assert_eq!(joined(difference.carried.iter().map(Entry::name)), "CVE-2026-10003");
    assert!(difference.shed.is_empty());
}

fn vulnerability() -> impl Strategy<Value = Vulnerability> {
    let ids = prop::collection::btree_set(
        prop_oneof![
            (0..6_u8).prop_map(|n| format!("CVE-{n}")),
            (0..6_u8).prop_map(|n| format!("GHSA-{n}"))
        ],
        1..3,
    );
    (ids, 0..3_u8, any::<bool>()).prop_map(|(ids, package, keyed)| {
        let purl = format!("pkg:npm/p{package}@1");
        Vulnerability {
            ids,
            advisories: BTreeSet::new(),
            package: Package::new(
                keyed.then_some(purl.as_str()),
                &format!("p{package}"),
                "npm",
                "1",
            ),
            fixed_in: Vec::new(),
            fix: Fix::Unknown,
            severity: None,
            severity_source: None,
            cvss_tenths: None,
            epss: None,
            exploited: None,
            analysis: None,
        }
    })
}

fn vulnerabilities() -> impl Strategy<Value = Vec<Vulnerability>> {
    prop::collection::vec(vulnerability(), 0..8)
}

/// What a difference says, without the order of findings.
fn shape(difference: &Difference<'_>) -> Vec<BTreeSet<(BTreeSet<String>, String)>> {
    let of = |entries: &[Entry<'_>]| {
        let package = |entry: &Entry<'_>| {
            entry.package().map_or(String::new(), |package| package.name.clone())
        };
        entries.iter().map(|entry| (entry.names.clone(), package(entry))).collect()
    };
    vec![of(&difference.new), of(&difference.carried), of(&difference.shed)]
}

proptest! {
    #[test]
    fn the_closure_does_not_depend_on_order(found in vulnerabilities(), other in vulnerabilities()) {
        let (a, b): (Vec<_>, Vec<_>) = (found.iter().collect(), other.iter().collect());
        let (ra, rb): (Vec<_>, Vec<_>) = (found.iter().rev().collect(), other.iter().rev().collect());
        prop_assert_eq!(shape(&compare(&a, &b)), shape(&compare(&ra, &rb)));
        for finding in &found {
            let (forward, aliases) = (Aliases::of(&found), Aliases::of(found.iter().rev()));
            prop_assert_eq!(forward.names(finding), aliases.names(finding));
            prop_assert!(finding.ids.is_subset(aliases.names(finding)));
        }
    }

    #[test]
    fn nothing_is_new_against_itself(found in vulnerabilities()) {
        let all: Vec<_> = found.iter().collect();
        let difference = compare(&all, &all);
        prop_assert!(difference.new.is_empty() && difference.shed.is_empty());
        prop_assert_eq!(difference.carried.is_empty(), found.is_empty());
    }

    #[test]
    fn swapping_the_releases_swaps_new_and_shed(found in vulnerabilities(), other in vulnerabilities()) {
        let (a, b): (Vec<_>, Vec<_>) = (found.iter().collect(), other.iter().collect());
        let (forward, back) = (compare(&a, &b), compare(&b, &a));
        prop_assert_eq!(&shape(&forward)[0], &shape(&back)[2]);
        prop_assert_eq!(&shape(&forward)[2], &shape(&back)[0]);
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes: Vec<u8>) {
        let _ = read("r", &bytes, &Limits::default());
        let _ = vex::read("r", &bytes, &Limits::default());
    }

    #[test]
    fn any_change_of_a_report_is_refused_or_read(at in 0..6_000_usize, byte: u8, which in 0..4_usize) {
        let fixtures = [
            fixture!("image.trivy.json"),
            fixture!("image.grype.json"),
            fixture!("image.cdx.json"),
            fixture!("image.trivy.sarif"),
        ];
        let mut bytes = fixtures[which].to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read("r", &bytes, &Limits::default());
        let _ = vex::read("r", &bytes, &Limits::default());
    }
}
