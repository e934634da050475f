//! Follows a rollout to its end, and leads it where nobody else does.

use std::sync::Arc;
use std::time::Duration;

use backout_controller::lead::{self, LEASE, LEASE_LASTS, Leadership};
use backout_controller::manager::claim;
use backout_controller::resources::{ReleaseStatus, Resource};
use backout_controller::rollout::{self, Led, Options, Rollout};
use backout_controller::status::Standing;
use backout_controller::{api, resources::LastCommand};
use backout_core::machine::Command;
use backout_world::driver::{Ended, Limits};
use kube::core::DynamicObject;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Cluster;
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::Terminal;

/// Time between two looks at the release.
pub(super) const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// How long leadership of one rollout may take to win.
const CLAIM_WITHIN: Duration = Duration::from_secs(60);

/// How long a driver may take to stop.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// Who leads a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leader {
    /// Someone, by name, or a controller.
    Someone(String),
    /// Nobody.
    Nobody,
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// Who leads the rollout of a release: whoever claimed it, or else the controller.
pub(super) async fn leader(cluster: &Cluster, controller_namespace: &str, name: &str) -> Leader {
    let Cluster { client, namespace } = cluster;
    let claimed = lead::held_by(client.clone(), namespace, &claim(name)).await;
    if let Ok(Some(holder)) = claimed {
        return Leader::Someone(holder);
    }
    let controller = lead::held_by(client.clone(), controller_namespace, LEASE).await;
    match (controller, claimed) {
        (Ok(Some(holder)), _) => Leader::Someone(format!("the controller {holder}")),
        (Ok(None), Ok(_)) => Leader::Nobody,
        (Err(failure), _) | (_, Err(failure)) => Leader::Unknown(failure.in_full()),
    }
}

/// Who leads, as the status tells it.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let host = if host.is_empty() { "terminal" } else { host };
    format!("backout-run-{host}-{}", std::process::id())
}

/// What is waited for.
#[derive(Clone, Debug)]
pub(super) enum Until {
    /// The release has an outcome.
    Outcome,
    /// The command of this id was taken, and the release is back, or needs a person.
    Back(String),
    /// The release, which goes back already, is back, or needs a person.
    Settled,
}

/// A release that is followed.
pub(super) struct Follow<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) name: &'a str,
    pub(super) timeout: Option<Duration>,
    pub(super) until: Until,
}

impl Follow<'_> {
    /// Claims the rollout, gives it the command, if there is one, and leads it while it is
    /// followed.
    pub(super) async fn claim_and_lead(
        &self,
        terminal: &Terminal,
        stop: &mut watch::Receiver<bool>,
        command: Option<&Command>,
    ) -> Result<Exit, Failure> {
        let Cluster { client, namespace } = self.cluster;
        let name = self.name;
        let claimed =
            Leadership::start(client.clone(), namespace, &claim(name), &identity(), LEASE_LASTS);
        let mut leads = claimed.watch();
        let won = tokio::time::timeout(CLAIM_WITHIN, leads.wait_for(|leads| *leads)).await;
        let has_won = matches!(won, Ok(Ok(_)));
        drop(won);
        if !has_won {
            let holder = lead::held_by(client.clone(), namespace, &claim(name)).await.ok();
            let holder = holder.flatten().unwrap_or_else(|| "someone else".to_owned());
            return Err(Failure::cluster(
                format!("the rollout of {name} is led by {holder}"),
                format!("follow it with `backout status {name} -n {namespace} -w`"),
            ));
        }
        let given = match (command, &self.until) {
            (Some(command), Until::Back(id)) => give(self.cluster, name, id, command).await,
            _ => Ok(()),
        };
        let result = match given {
            Ok(()) => self.lead(terminal, stop, leads).await,
            Err(failure) => Err(failure),
        };
        claimed.release().await;
        result
    }

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
        let Rollout { handle, mut ended, undone_by } = match led {
            Ok(Led::Running(rollout)) => rollout,
            Ok(Led::Over(_)) => return self.told(terminal).await,
            Err(error) => {
                return Err(Failure::cluster(
                    error.to_string(),
                    "this command moved no traffic; the same command tries it again",
                ));
            }
        };
        for owner in undone_by {
            terminal.complain(&format!("note: {owner}\n"));
        }
        let exit = tokio::select! {
            exit = self.to_the_end(terminal, stop) => exit,
            _ = leads.wait_for(|leads| !*leads) => {
                terminal.complain("the claim on the rollout was lost\n");
                Ok(Exit::Inconclusive)
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
        let _ = tokio::time::timeout(STOP_WITHIN, &mut ended).await;
        exit
    }

    /// Tells every change until what is waited for is there.
    pub(super) async fn to_the_end(
        &self,
        terminal: &Terminal,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Exit, Failure> {
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        let mut last = String::new();
        loop {
            let line = match self.status().await {
                Ok(status) => {
                    if let Some(exit) = self.exit(&status)? {
                        terminal.print(&verdict(self.name, &status))?;
                        return Ok(exit);
                    }
                    in_a_line(&status)
                }
                Err(failure) => format!("note: {failure}"),
            };
            if line != last {
                terminal.complain(&format!("{line}\n"));
                last = line;
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

    /// How the program ends by this status, if what is waited for is there.
    fn exit(&self, status: &ReleaseStatus) -> Result<Option<Exit>, Failure> {
        let id = match &self.until {
            Until::Outcome => return Ok(exit_of(status)),
            Until::Settled => return Ok(back(status)),
            Until::Back(id) => id,
        };
        let Some(answer) = answer(status, id) else { return Ok(None) };
        if answer.answer != "taken" {
            return Err(not_taken(self.name, answer));
        }
        Ok(back(status))
    }

    fn left(&self, terminal: &Terminal) -> Result<Exit, Failure> {
        let (name, namespace) = (self.name, &self.cluster.namespace);
        terminal.complain(&format!(
            "the rollout of {name} stays as it is. The same command goes on with it; `backout \
             status {name} -n {namespace}` shows it, and `backout rollback {name} -n {namespace}` \
             takes it back.\n"
        ));
        Ok(Exit::Inconclusive)
    }

    async fn told(&self, terminal: &Terminal) -> Result<Exit, Failure> {
        let status = self.status().await?;
        let exit = self.exit(&status)?.unwrap_or(Exit::Inconclusive);
        terminal.print(&verdict(self.name, &status))?;
        Ok(exit)
    }

    async fn status(&self) -> Result<ReleaseStatus, Failure> {
        let Cluster { client, namespace } = self.cluster;
        let releases = api::objects(client, namespace, Resource::Release);
        Ok(status_of(&releases.need(self.name).await?))
    }
}

/// Writes a command onto a Release, where whoever leads its rollout finds it.
pub(super) async fn give(
    cluster: &Cluster,
    name: &str,
    id: &str,
    command: &Command,
) -> Result<(), Failure> {
    let (key, text) = rollout::annotation(id, command);
    let patch = serde_json::json!({ "metadata": { "annotations": { key: text } } });
    let releases = api::objects(&cluster.client, &cluster.namespace, Resource::Release);
    releases.merge(name, &patch).await?;
    Ok(())
}

/// What became of the command of this id, if it was answered.
pub(super) fn answer<'a>(status: &'a ReleaseStatus, id: &str) -> Option<&'a LastCommand> {
    status.last_commands.iter().find(|command| command.id == id)
}

/// A command that was answered, and not taken.
pub(super) fn not_taken(name: &str, answer: &LastCommand) -> Failure {
    Failure::cluster(
        format!("release {name}: `{}` was not taken: {}", answer.command, answer.answer),
        format!("`backout status {name}` shows where it is"),
    )
}

/// The status as an object has it.
pub(super) fn status_of(object: &DynamicObject) -> ReleaseStatus {
    serde_json::from_value(object.data["status"].clone()).unwrap_or_default()
}

/// Where a rollout is, in a line.
pub(super) fn in_a_line(status: &ReleaseStatus) -> String {
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

/// How it ended, in a line.
pub(super) fn verdict(name: &str, status: &ReleaseStatus) -> String {
    let outcome = status.outcome.as_deref().unwrap_or("no outcome");
    match &status.message {
        Some(message) => format!("{outcome}: release {name}: {message}\n"),
        None => format!("{outcome}: release {name}\n"),
    }
}

/// How the program ends by the release's outcome, if it has one.
pub(super) fn exit_of(status: &ReleaseStatus) -> Option<Exit> {
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

/// How a rollback that was taken ends, once it has. The outcome is the former one until then.
fn back(status: &ReleaseStatus) -> Option<Exit> {
    match Standing::from_word(&status.phase)? {
        Standing::RolledBack | Standing::Cancelled => Some(Exit::RolledBack),
        Standing::Held => Some(Exit::Inconclusive),
        Standing::RollbackFailed => Some(Exit::RollbackFailed),
        Standing::RolledForward => Some(Exit::Pass),
        _ => None,
    }
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

    #[test]
    fn a_promoted_release_that_goes_back_is_not_done_before_it_is_back() {
        let status = |phase: Standing| ReleaseStatus {
            phase: phase.word().to_owned(),
            outcome: Some("promoted".to_owned()),
            ..ReleaseStatus::default()
        };
        for under_way in [Standing::KeepingPrevious, Standing::Deciding, Standing::RollingBack] {
            assert_eq!(back(&status(under_way)), None, "{under_way:?}");
        }
        assert_eq!(back(&status(Standing::RolledBack)), Some(Exit::RolledBack));
        assert_eq!(back(&status(Standing::Cancelled)), Some(Exit::RolledBack));
        assert_eq!(back(&status(Standing::Held)), Some(Exit::Inconclusive));
        assert_eq!(back(&status(Standing::RollbackFailed)), Some(Exit::RollbackFailed));
    }

    #[test]
    fn a_command_is_answered_by_its_id() {
        let command = |id: &str, answer: &str| LastCommand {
            id: id.to_owned(),
            command: "pause".to_owned(),
            answer: answer.to_owned(),
            at: String::new(),
        };
        let last_commands = vec![command("1", "taken"), command("2", "refused: it has ended")];
        let status = ReleaseStatus { last_commands, ..ReleaseStatus::default() };
        assert!(answer(&status, "3").is_none());
        let refused = answer(&status, "2").map(|answer| not_taken("a", answer).to_string());
        let told = "release a: `pause` was not taken: refused: it has ended";
        assert_eq!(refused.as_deref(), Some(told));
    }
}
