//! JUnit XML, for the test tabs of build servers: one test case per rehearsal.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::simulation::{Found, Row, SimulationReport};
use super::sweep::{SweepFailure, SweepReport};
use crate::error::Failure;

/// A rehearsal. There are no times in it: virtual time is not what a test tab means by time.
pub(crate) fn simulation(report: &SimulationReport) -> Result<String, Failure> {
    let mut suite = TestSuite::new(report.setting.releases());
    suite.add_property(("verdict", report.verdict.text.as_str()));
    suite.add_property(("seed", report.seed.to_string().as_str()));
    suite.add_property(("command", report.setting.command.as_str()));
    for row in &report.rows {
        suite.add_test_case(case(row, report));
    }
    written("backout simulate", suite)
}

fn case(row: &Row, report: &SimulationReport) -> TestCase {
    let status = if row.as_expected {
        TestCaseStatus::success()
    } else {
        let mut lines = row.unexpected.clone();
        lines.extend(report.findings.iter().filter(|found| is_about(found, row)).map(in_words));
        failed(row.unexpected.first().map_or("not as expected", String::as_str), &lines)
    };
    let mut case = TestCase::new(row.name.as_str(), status);
    case.set_classname(format!("backout.simulate.{}", report.setting.policy));
    let seen = row.cause.as_deref().unwrap_or("nothing was noticed");
    let out = format!("{}: {seen}\nreplay: {}", row.ending(), row.replay);
    case.set_system_out(out);
    case
}

/// A sweep: the seeds that failed, or one case that stands for all of them.
pub(crate) fn sweep(report: &SweepReport) -> Result<String, Failure> {
    let mut suite = TestSuite::new(report.setting.releases());
    suite.add_property(("verdict", report.verdict.text.as_str()));
    suite.add_property(("command", report.setting.command.as_str()));
    if report.verdict.failed == 0 {
        let mut case = TestCase::new("every seed", TestCaseStatus::success());
        case.set_classname(format!("backout.simulate.{}", report.setting.policy));
        suite.add_test_case(case);
    }
    for failure in &report.failures {
        suite.add_test_case(seed(failure, report)?);
    }
    written("backout simulate --seeds", suite)
}

fn seed(failure: &SweepFailure, report: &SweepReport) -> Result<TestCase, Failure> {
    let first = failure.found.first().map_or("failed", String::as_str);
    let mut case = TestCase::new(format!("seed {}", failure.seed), failed(first, &failure.found));
    case.set_classname(format!("backout.simulate.{}", report.setting.policy));
    case.set_system_out(format!("{}replay: {}", failure.scenario_file()?, failure.replay));
    Ok(case)
}

fn failed(message: &str, lines: &[String]) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message);
    status.set_description(lines.join("\n"));
    status
}

/// Whether a finding was shown by this row: both are shown again by the same command.
fn is_about(found: &Found, row: &Row) -> bool {
    found.replay.as_deref() == Some(row.replay.as_str())
}

fn in_words(found: &Found) -> String {
    let Found { level, code, message, help, .. } = found;
    format!("{level}[{code}] {}: {message}; {help}", found.place())
}

fn written(name: &str, suite: TestSuite) -> Result<String, Failure> {
    let mut report = Report::new(name);
    report.add_test_suite(suite);
    report.to_string().map_err(|error| Failure::Output(std::io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{simulation, sweep as sweeps};

    #[test]
    fn a_rehearsal() {
        insta::assert_snapshot!(simulation(&simulation::samples::mixed()).unwrap());
    }

    #[test]
    fn a_sweep() {
        insta::assert_snapshot!(sweep(&sweeps::samples::failing()).unwrap());
    }

    #[test]
    fn a_clean_sweep_is_one_case() {
        insta::assert_snapshot!(sweep(&sweeps::samples::clean()).unwrap());
    }
}
