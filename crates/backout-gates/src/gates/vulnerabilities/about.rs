//! What the gate on vulnerabilities is for, and what its findings mean.

use backout_core::finding::{Code, Level};

use super::super::{About, Explained};

/// A vulnerability that only this release has.
pub(super) const NEW: Code = Code("BO320");
/// A known exploited vulnerability that only this release has.
pub(super) const EXPLOITED: Code = Code("BO321");
/// Vulnerabilities that both releases have.
pub(super) const CARRIED: Code = Code("BO322");
/// Vulnerabilities that only the other release has.
pub(super) const SHED: Code = Code("BO323");
/// There is no report, or none that can be read.
pub(super) const NO_REPORT: Code = Code("BO324");
/// The data is too old, or lacks what the policy asks for.
pub(super) const DATA: Code = Code("BO325");
/// The report is not about the image.
pub(super) const SUBJECT: Code = Code("BO326");
/// The scanner is not trusted.
pub(super) const SCANNER: Code = Code("BO327");
/// The comparison is weaker than it looks.
pub(super) const COMPARISON: Code = Code("BO328");
/// Statements and waivers.
pub(super) const SET_ASIDE: Code = Code("BO329");

/// What the gate is for, and what its findings mean.
pub const ABOUT: About = About {
    name: "vulnerabilities",
    mode: "G1, Q1",
    what: "The release adds no vulnerability above the line to those of the release that serves.",
    reads: "Reports of Trivy, Grype, CycloneDX and SARIF that the release records name; OpenVEX and CycloneDX \
            statements, waivers and CISA's catalogue of known exploited vulnerabilities that the policy names. It \
            runs no scanner.",
    findings: &[
        Explained {
            code: NEW.0,
            level: Level::Error,
            title: "NEW_VULNERABILITY",
            means: "The release has a vulnerability that the release which serves does not have, under any of its \
                    names (CVE, GHSA, OSV). Below the line it is only counted.",
            next: "Upgrade the package, or add a statement (VEX) when the product is not affected, or a waiver with \
                   a reason and an end.",
        },
        Explained {
            code: EXPLOITED.0,
            level: Level::Error,
            title: "KNOWN_EXPLOITED",
            means: "The vulnerability is new and known to be exploited, by the report or by CISA's catalogue. It \
                    blocks whatever its severity and whether or not there is a fix.",
            next: "Upgrade the package before the release. When the release is a way back, prefer a newer known-good \
                   one.",
        },
        Explained {
            code: CARRIED.0,
            level: Level::Note,
            title: "CARRIED",
            means: "Both releases have the vulnerability. The release makes nothing worse, so it does not block; one \
                    that is known to be exploited is a warning.",
            next: "Mend it on its own schedule.",
        },
        Explained {
            code: SHED.0,
            level: Level::Note,
            title: "SHED",
            means: "Only the release that serves now has the vulnerability: an argument for this release.",
            next: "Nothing.",
        },
        Explained {
            code: NO_REPORT.0,
            level: Level::Error,
            title: "NO_REPORT",
            means: "An image has no report that can be read: none is named, the file is missing, cut off, too large, \
                    in an unknown format, a bill of materials without vulnerabilities, or shows no package that was \
                    looked at. That is not the same as no vulnerability.",
            next: "Scan the image by its digest, and name the report under `scans` of the release.",
        },
        Explained {
            code: DATA.0,
            level: Level::Error,
            title: "STALE_DATA",
            means: "The report's vulnerability database, or the report when it does not say, is older than `maxAge`, \
                    dated in the future or not dated; or the data lacks what the policy asks for. Of a distribution \
                    past its end of support nothing new is recorded.",
            next: "Scan again with today's database.",
        },
        Explained {
            code: SUBJECT.0,
            level: Level::Error,
            title: "OTHER_IMAGE",
            means: "The report is about another image, or does not say which image it is about. One that names only \
                    the tag is a warning, because tags move.",
            next: "Scan by digest: `trivy image REPOSITORY@sha256:...` or `grype REPOSITORY@sha256:...`.",
        },
        Explained {
            code: SCANNER.0,
            level: Level::Error,
            title: "DISTRUSTED_SCANNER",
            means: "The policy distrusts the scanner, so that its report does not count. Trivy 0.69.4 to 0.69.6 were \
                    malicious builds (CVE-2026-33634), which is a warning unless the policy distrusts them.",
            next: "Scan with a version that is trusted, and change the credentials that the malicious one could reach.",
        },
        Explained {
            code: COMPARISON.0,
            level: Level::Warning,
            title: "WEAK_COMPARISON",
            means: "The release that serves has no report that counts, so that everything is new; or its report is of \
                    another scanner, and some differences are the scanners'.",
            next: "Scan both releases with the same scanner and database.",
        },
        Explained {
            code: SET_ASIDE.0,
            level: Level::Warning,
            title: "SET_ASIDE",
            means: "Statements (VEX) and waivers: which set something aside, and which are expired, unused or \
                    unreadable and do not.",
            next: "Mend what a waiver expired on, or decide anew with a new end; remove what is not used.",
        },
    ],
};
