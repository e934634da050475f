//! What the gates find.

use backout_core::judgement::Verdict;
use backout_core::machine::GateReport;
use backout_core::policy::Gate;
use backout_core::snapshot::Arm;

use super::World;

fn pass(message: impl Into<String>) -> GateReport {
    GateReport { verdict: Verdict::Pass, message: message.into(), blames_image: false }
}

fn fail(message: impl Into<String>, blames_image: bool) -> GateReport {
    GateReport { verdict: Verdict::Fail, message: message.into(), blames_image }
}

impl World {
    /// Runs a gate against the world.
    pub(super) fn run_gate(&self, gate: &Gate) -> GateReport {
        match gate {
            Gate::ArtifactDigest(_) => self.artifact_digest(),
            Gate::ArtifactSignature(_) => {
                if self.afflictions.unsigned {
                    fail("the image carries no signature", true)
                } else {
                    pass("the signature verifies")
                }
            }
            Gate::ConfigDrift(_) => self.config_drift(),
            // They are decided on files alone, which no fault of a rehearsal changes.
            Gate::Vulnerabilities(_) | Gate::Policies(_) | Gate::Probes(_) | Gate::Context(_) => {
                pass("`backout check` decides it on the files of the release")
            }
            Gate::SmokeTest(_) => self.smoke_test(),
        }
    }

    fn artifact_digest(&self) -> GateReport {
        for image in &self.brief.candidate.spec.images {
            let served = self.afflictions.tag_moved.as_ref().unwrap_or(&image.digest);
            if *served != image.digest {
                return fail(
                    format!(
                        "digest differs from build: tag {} is {}, built was {}",
                        image.tag,
                        served.short(),
                        image.digest.short()
                    ),
                    true,
                );
            }
        }
        pass("every tag serves the digest that was built")
    }

    fn config_drift(&self) -> GateReport {
        let chart = &self.brief.candidate.spec.config.chart_version;
        let environment = &self.brief.environment;
        if !self.missing_keys.is_empty() {
            return fail(
                format!(
                    "{environment} values lack {}, which chart {chart} needs",
                    self.missing_keys.join(", ")
                ),
                false,
            );
        }
        if self.afflictions.old_values {
            let old = &self.brief.stable.spec.config.chart_version;
            return fail(
                format!("{environment} values were written for chart {old}, not {chart}"),
                false,
            );
        }
        pass(format!("{environment} values have every key that chart {chart} needs"))
    }

    fn smoke_test(&self) -> GateReport {
        if self.ready(Arm::Candidate) == 0 {
            return GateReport {
                verdict: Verdict::NotEvaluated,
                message: "no pod of the candidate is ready to be tested".to_owned(),
                blames_image: false,
            };
        }
        if self.afflictions.smoke_fails {
            fail("smoke test: exit code 1", true)
        } else {
            pass("smoke test: exit code 0")
        }
    }
}
