//! `backout run`: rolls a release out, and follows it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backout_controller::lead::{self, LEASE, Leadership};
use backout_controller::manager::claim;
use backout_controller::resources::{ReleaseStatus, Resource};
use backout_controller::rollout::{self, Led, Options};
use backout_controller::{api, apply};
use backout_core::policy::ReleasePolicy;
use backout_core::release::Release;
use backout_world::driver::{Ended, Limits};
use kube::core::DynamicObject;
use tokio::sync::watch;
use tokio::time::Instant;

use super::controller::stopped;
use super::{Cluster, Connection, block_on, read_policy, read_release};
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::Terminal;

/// Time between two looks at the release.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// How long leadership of one rollout may take to win.
const CLAIM_WITHIN: Duration = Duration::from_secs(60);

/// Rolls a release out, and follows it to its end.
///
/// The Release is created in the cluster. A controller that runs there leads its rollout; without
/// one this program leads it. Ctrl-C leaves the rollout as it is: the same command goes on.
/// Exit codes: 0 promoted, 11 cancelled or blocked, 12 rolled back, 13 the way back failed,
/// 14 held, or out of time.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The policy. Default: `backout.yaml` here or above, up to the root of the repository.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The record of the release on its way.
    #[arg(long, value_name = "FILE")]
    release: PathBuf,
    /// The environment of the policy that this cluster is; needed once where it has several.
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// How long to follow; the rollout itself goes on under a controller.
    #[arg(long, value_name = "SECONDS")]
    timeout_s: Option<u64>,
    /// Namespace of the controller.
    #[arg(long, value_name = "NAMESPACE", default_value = "backout")]
    controller_namespace: String,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let policy = read_policy(arguments.file.as_deref())?;
    let release = read_release(&arguments.release)?;
    if release.metadata.namespace != policy.metadata.namespace {
        return Err(Failure::usage(
            format!(
                "the policy is of namespace {}, the release of {}",
                policy.metadata.namespace, release.metadata.namespace
            ),
            "give both the same `metadata.namespace`",
        ));
    }
    block_on(async {
        let cluster =
            arguments.connection.cluster(Some(policy.metadata.namespace.as_str())).await?;
        lead_or_follow(arguments, &cluster, &policy, &release, terminal).await
    })
}

async fn lead_or_follow(
    arguments: &Arguments,
    cluster: &Cluster,
    policy: &ReleasePolicy,
    release: &Release,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let Cluster { client, namespace } = cluster;
    apply::policy(client, policy, arguments.environment.as_deref()).await?;
    apply::release(client, namespace, release).await?;
    let name = release.metadata.name.as_str();
    let mut stop = stopped()?;
    let held = lead::held_by(client.clone(), &arguments.controller_namespace, LEASE).await;
    // Who cannot tell must not lead beside a controller.
    let controller = held.map_err(|failure| {
        let namespace = &arguments.controller_namespace;
        Failure::cluster(
            format!("cannot tell whether a controller runs: {}", failure.message),
            format!(
                "bind `backout-viewer` in namespace {namespace}, or name the controller's with \
                 `--controller-namespace`"
            ),
        )
    })?;
    let follow = Follow { cluster, name, timeout: arguments.timeout_s.map(Duration::from_secs) };
    if let Some(holder) = controller {
        terminal.complain(&format!("release {name}: the controller {holder} leads\n"));
        return follow.to_the_end(terminal, &mut stop).await;
    }
    terminal.complain(&format!("release {name}: no controller runs, so this program leads\n"));
    let claimed = Leadership::start(client.clone(), namespace, &claim(name), &identity());
    let mut leads = claimed.watch();
    let won = tokio::time::timeout(CLAIM_WITHIN, leads.wait_for(|leads| *leads)).await;
    let has_won = matches!(won, Ok(Ok(_)));
    drop(won);
    if !has_won {
        let holder = lead::held_by(client.clone(), namespace, &claim(name)).await.ok().flatten();
        let holder = holder.unwrap_or_else(|| "someone else".to_owned());
        return Err(Failure::cluster(
            format!("the rollout of {name} is led by {holder}"),
            format!("follow it with `backout status {name} -n {namespace} -w`"),
        ));
    }
    let result = follow.lead(terminal, &mut stop, leads).await;
    claimed.release().await;
    result
}

/// Who leads, as the status tells it.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "terminal" } else { host };
    format!("backout-run-{host}-{}", std::process::id())
}

/// A release that is followed.
struct Follow<'a> {
    cluster: &'a Cluster,
    name: &'a str,
    timeout: Option<Duration>,
}

impl Follow<'_> {
    /// Leads the rollout while it is followed.
    async fn lead(
        &self,
        terminal: &Terminal,
        stop: &mut watch::Receiver<bool>,
        mut leads: watch::Receiver<bool>,
    ) -> Result<Exit, Failure> {
        let Cluster { client, namespace } = self.cluster;
        let options =
            Options { identity: identity(), runs_programs: true, limits: Limits::default() };
        let led = rollout::lead(client, namespace, self.name, &options, Arc::new(|_| {})).await;
        let rollout = match led {
            Ok(Led::Running(rollout)) => rollout,
            Ok(Led::Over(_)) => return self.to_the_end(terminal, stop).await,
            Err(error) => {
                return Err(Failure::cluster(
                    error.to_string(),
                    "nothing was changed; the same command tries it again",
                ));
            }
        };
        let mut ended = rollout.ended;
        let handle = rollout.handle;
        let exit = tokio::select! {
            exit = self.to_the_end(terminal, stop) => exit?,
            _ = leads.wait_for(|leads| !*leads) => {
                terminal.complain("the claim on the rollout was lost\n");
                Exit::Inconclusive
            }
            ended = &mut ended => {
                if let Ok(Ended::Failed(failure)) = &ended {
                    return Err(Failure::cluster(
                        failure.in_full(),
                        "the same command goes on with the rollout",
                    ));
                }
                return self.told(terminal).await;
            }
        };
        handle.stop();
        let _ = tokio::time::timeout(Duration::from_secs(20), &mut ended).await;
        Ok(exit)
    }

    /// Tells every change until the release has an outcome.
    async fn to_the_end(
        &self,
        terminal: &Terminal,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Exit, Failure> {
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        let mut last = String::new();
        loop {
            match self.status().await {
                Ok(status) => {
                    let line = in_a_line(&status);
                    if line != last {
                        terminal.complain(&format!("{line}\n"));
                        last = line;
                    }
                    if let Some(exit) = exit_of(&status) {
                        terminal.print(&verdict(self.name, &status))?;
                        return Ok(exit);
                    }
                }
                Err(failure) => terminal.complain(&format!("note: {failure}\n")),
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                terminal.print(&format!("timeout: release {} has no outcome yet\n", self.name))?;
                return Ok(Exit::Inconclusive);
            }
            tokio::select! {
                () = tokio::time::sleep(BETWEEN_LOOKS) => {}
                _ = stop.wait_for(|stop| *stop) => return self.left(terminal),
            }
        }
    }

    fn left(&self, terminal: &Terminal) -> Result<Exit, Failure> {
        let (name, namespace) = (self.name, &self.cluster.namespace);
        terminal.complain(&format!(
            "the rollout of {name} stays as it is. The same command goes on with it; \
             `backout status {name} -n {namespace}` shows it, and `backout rollback {name} -n \
             {namespace}` takes it back.\n"
        ));
        Ok(Exit::Inconclusive)
    }

    async fn told(&self, terminal: &Terminal) -> Result<Exit, Failure> {
        let status = self.status().await?;
        terminal.print(&verdict(self.name, &status))?;
        Ok(exit_of(&status).unwrap_or(Exit::Inconclusive))
    }

    async fn status(&self) -> Result<ReleaseStatus, Failure> {
        let Cluster { client, namespace } = self.cluster;
        let releases = api::objects(client, namespace, Resource::Release);
        Ok(status_of(&releases.need(self.name).await?))
    }
}

/// The status as an object has it.
pub(super) fn status_of(object: &DynamicObject) -> ReleaseStatus {
    serde_json::from_value(object.data["status"].clone()).unwrap_or_default()
}

fn in_a_line(status: &ReleaseStatus) -> String {
    let mut line =
        if status.phase.is_empty() { "Pending".to_owned() } else { status.phase.clone() };
    if let Some(weight) = status.weight {
        line.push_str(&format!(", {weight}% of traffic"));
    }
    if let Some(step) = &status.step {
        line.push_str(&format!(", step {step}"));
    }
    if let Some(waiting) = status.waiting_for.as_ref().filter(|waiting| !waiting.is_empty()) {
        line.push_str(&format!(": waits for {waiting}"));
    }
    line
}

fn verdict(name: &str, status: &ReleaseStatus) -> String {
    let outcome = status.outcome.as_deref().unwrap_or("no outcome");
    match &status.message {
        Some(message) => format!("{outcome}: release {name}: {message}\n"),
        None => format!("{outcome}: release {name}\n"),
    }
}

/// How the program ends by the release's outcome, if it has one.
fn exit_of(status: &ReleaseStatus) -> Option<Exit> {
    let outcome = status.outcome.as_deref()?;
    let word = outcome.split([':', ' ']).next().unwrap_or_default();
    Some(match word {
        "promoted" | "rolled-forward" => Exit::Pass,
        "cancelled" => Exit::Blocked,
        "rolled-back" => Exit::RolledBack,
        "held" => Exit::Inconclusive,
        _ => Exit::RollbackFailed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_exit_code() {
        let exit = |outcome: &str| {
            exit_of(&ReleaseStatus { outcome: Some(outcome.to_owned()), ..Default::default() })
        };
        assert_eq!(exit("promoted"), Some(Exit::Pass));
        assert_eq!(exit("rolled-back (traffic)"), Some(Exit::RolledBack));
        assert_eq!(exit("held: no release is fit"), Some(Exit::Inconclusive));
        assert_eq!(exit("rollback-failed: F4"), Some(Exit::RollbackFailed));
        assert_eq!(exit_of(&ReleaseStatus::default()), None);
    }
}
