//! `--report KIND=PATH`.

use std::path::PathBuf;
use std::str::FromStr;

use backout_core::document::nearest;

use super::journals;
use crate::cli::Output;
use crate::error::Failure;
use crate::report::simulation::SimulationReport;
use crate::report::sweep::SweepReport;
use crate::report::{junit, markdown};

/// A report that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    kind: Kind,
    path: PathBuf,
}

/// The kinds of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Markdown,
    Junit,
}

/// The kinds by the names that users write.
const KINDS: [(&str, Kind); 3] =
    [("json", Kind::Json), ("markdown", Kind::Markdown), ("junit", Kind::Junit)];

/// Kinds that the command line is going to know.
const LATER: [&str; 3] = ["sarif", "html", "github"];

impl FromStr for Report {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let valid = KINDS.map(|(name, _)| name);
        let Some((name, path)) = text.split_once('=').filter(|(_, path)| !path.is_empty()) else {
            return Err(format!(
                "expected KIND=PATH, such as `markdown=report.md`; KIND is one of {}",
                valid.join(", ")
            ));
        };
        if let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == name) {
            return Ok(Self { kind: *kind, path: PathBuf::from(path) });
        }
        let why = if LATER.contains(&name) {
            format!("reports of kind `{name}` are not in this version")
        } else if let Some(near) = nearest(name, valid) {
            format!("unknown kind `{name}`; did you mean `{near}`?")
        } else {
            format!("unknown kind `{name}`")
        };
        Err(format!("{why}; KIND is one of {}", valid.join(", ")))
    }
}

impl Report {
    /// Makes the report and writes it.
    pub(super) fn write(
        &self,
        make: impl Fn(Kind) -> Result<String, Failure>,
    ) -> Result<(), Failure> {
        journals::put(&self.path, &make(self.kind)?)
    }
}

impl Kind {
    /// A rehearsal in this form.
    pub(super) fn simulation(self, report: &SimulationReport) -> Result<String, Failure> {
        match self {
            Self::Json => report.written(Output::Json).map(Option::unwrap_or_default),
            Self::Markdown => Ok(markdown::simulation(report)),
            Self::Junit => junit::simulation(report),
        }
    }

    /// A sweep in this form.
    pub(super) fn sweep(self, report: &SweepReport) -> Result<String, Failure> {
        match self {
            Self::Json => report.written(Output::Json).map(Option::unwrap_or_default),
            Self::Markdown => Ok(markdown::sweep(report)),
            Self::Junit => junit::sweep(report),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_kind_and_a_path() {
        let report: Report = "junit=out/a=b.xml".parse().unwrap();
        assert_eq!(report, Report { kind: Kind::Junit, path: "out/a=b.xml".into() });
    }

    #[test]
    fn says_what_would_be_right() {
        let refused = |text: &str| text.parse::<Report>().unwrap_err();
        insta::assert_snapshot!(
            ["junit", "json=", "junt=a.xml", "sarif=a.json", "pdf=a"].map(refused).join("\n")
        );
    }
}
