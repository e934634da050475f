//! Runs a gate. Only smoke tests can be run here; what cannot be evaluated says so, and does not
//! pass.

use std::process::Stdio;

use backout_core::judgement::Verdict;
use backout_core::machine::GateReport;
use backout_core::policy::{Gate, SmokeTest};
use tokio::process::Command;

use super::Live;

/// How much of a program's last words is told, in characters.
const TOLD: usize = 300;

impl Live {
    pub(super) async fn gate(&self, gate: &Gate) -> GateReport {
        match gate {
            Gate::SmokeTest(test) if self.runs_programs => self.smoke_test(test).await,
            Gate::SmokeTest(_) => not_evaluated(
                "the controller runs no programs of a policy; let the pipeline run the smoke test, \
                 or start the controller with `--allow-programs`",
            ),
            Gate::ArtifactDigest(_)
            | Gate::ArtifactSignature(_)
            | Gate::Vulnerabilities(_)
            | Gate::Policies(_)
            | Gate::ConfigDrift(_)
            | Gate::Probes(_)
            | Gate::Context(_) => not_evaluated(&format!(
                "gate {} cannot be evaluated in a cluster yet; take it out of `spec.gates`, \
                     and let the pipeline check it",
                gate.name()
            )),
        }
    }

    /// Runs the program with the candidate's Service in its environment. Its output is not kept:
    /// the last line on standard error tells why it failed.
    async fn smoke_test(&self, test: &SmokeTest) -> GateReport {
        let Some((program, arguments)) = test.run.split_first() else {
            return not_evaluated("the smoke test names no program");
        };
        let set = &self.names.candidate;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("BACKOUT_NAMESPACE", &self.arms.namespace)
            .env("BACKOUT_RELEASE", set)
            .env("BACKOUT_SERVICE", format!("{set}.{}.svc", self.arms.namespace))
            .env("BACKOUT_VERSION", &self.brief.candidate.spec.version)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let within = std::time::Duration::from_millis(test.within.as_millis());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return not_evaluated(&format!("{program} cannot be started: {error}")),
        };
        match tokio::time::timeout(within, child.wait_with_output()).await {
            Err(_) => report(Verdict::Inconclusive, format!("{program} took over {}", test.within)),
            Ok(Err(error)) => not_evaluated(&format!("{program} cannot be waited for: {error}")),
            Ok(Ok(output)) if output.status.success() => {
                report(Verdict::Pass, format!("{program} succeeded"))
            }
            Ok(Ok(output)) => {
                let text = String::from_utf8_lossy(&output.stderr);
                let last = text.lines().rev().find(|line| !line.trim().is_empty());
                let last: String = last.unwrap_or_default().chars().take(TOLD).collect();
                let separator = if last.is_empty() { "" } else { ": " };
                let message = format!("{program} ended with {}{separator}{last}", output.status);
                report(Verdict::Fail, message)
            }
        }
    }
}

fn not_evaluated(message: &str) -> GateReport {
    report(Verdict::NotEvaluated, message.to_owned())
}

/// A program that fails says nothing about whether the image itself is at fault.
fn report(verdict: Verdict, message: String) -> GateReport {
    GateReport { verdict, message, blames_image: false }
}
