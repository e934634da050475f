//! `backout promote`, `pause`, `resume` and `abort`: commands of people to a rollout.

use std::time::Duration;

use backout_controller::api;
use backout_controller::resources::Resource;
use backout_core::machine::Command;
use tokio::time::Instant;

use super::follow::{self, BETWEEN_LOOKS, Leader, leader};
use super::{Cluster, Connection, block_on, random_id, release_name};
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::Terminal;

/// Goes on: answers the question that the rollout waits with, or ends a hold.
///
/// A step is never skipped this way. Ends with 0 when the command was taken, 1 when it was
/// refused, and 14 when nobody answered in time.
#[derive(Debug, clap::Args)]
pub(crate) struct Promote {
    #[command(flatten)]
    order: Order,
}

/// Makes the rollout stand still after its current step; signals are still judged.
///
/// A pause ends by itself: `deadlines.pause` of the policy says when. Ends with 0 when the command
/// was taken, 1 when it was refused, and 14 when nobody answered in time.
#[derive(Debug, clap::Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    order: Order,
}

/// Ends a pause or a hold.
///
/// Ends with 0 when the command was taken, 1 when it was refused, and 14 when nobody answered in
/// time.
#[derive(Debug, clap::Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    order: Order,
}

/// Gives a release up before it is promoted, and goes back.
///
/// `backout rollback` shows first what would be done, and works after promotion too. Ends with 0
/// when the command was taken, 1 when it was refused, and 14 when nobody answered in time.
#[derive(Debug, clap::Args)]
pub(crate) struct Abort {
    #[command(flatten)]
    order: Order,
}

/// To which release, and how long to wait.
#[derive(Debug, clap::Args)]
struct Order {
    /// The release, by name or as `release/NAME`.
    #[arg(value_name = "NAME", value_parser = release_name)]
    name: String,
    /// How long to wait for the answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout_s: u64,
    /// Namespace of the controller.
    #[arg(long, value_name = "NAMESPACE", default_value = "backout")]
    controller_namespace: String,
    #[command(flatten)]
    connection: Connection,
}

impl Promote {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<Exit, Failure> {
        run(&self.order, &Command::Promote, terminal)
    }
}

impl Pause {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<Exit, Failure> {
        run(&self.order, &Command::Pause, terminal)
    }
}

impl Resume {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<Exit, Failure> {
        run(&self.order, &Command::Resume, terminal)
    }
}

impl Abort {
    pub(crate) fn run(&self, terminal: &Terminal) -> Result<Exit, Failure> {
        run(&self.order, &Command::Abort, terminal)
    }
}

fn run(order: &Order, command: &Command, terminal: &Terminal) -> Result<Exit, Failure> {
    block_on(async {
        let cluster = order.connection.cluster(None).await?;
        let Cluster { client, namespace } = &cluster;
        let name = order.name.as_str();
        let releases = api::objects(client, namespace, Resource::Release);
        let status = follow::status_of(&releases.need(name).await?);
        if status.ended_at.is_some() {
            let outcome = status.outcome.as_deref().unwrap_or("ended");
            return Err(Failure::cluster(
                format!(
                    "release {name}: `{command}` was not taken: the rollout has ended ({outcome})"
                ),
                format!(
                    "`backout rollback {name} -n {namespace}` says what can still be taken back"
                ),
            ));
        }
        let leader = leader(&cluster, &order.controller_namespace, name).await;
        let id = random_id();
        follow::give(&cluster, name, &id, command).await?;
        if leader == Leader::Nobody {
            terminal.print(&waits(command, name, namespace))?;
            return Ok(Exit::Inconclusive);
        }
        let deadline = Instant::now() + Duration::from_secs(order.timeout_s);
        loop {
            let status = follow::status_of(&releases.need(name).await?);
            if let Some(answer) = follow::answer(&status, &id) {
                if answer.answer != "taken" {
                    return Err(follow::not_taken(name, answer));
                }
                let now = follow::in_a_line(&status);
                terminal.print(&format!("taken: {command}: release {name}: {now}\n"))?;
                return Ok(Exit::Pass);
            }
            if Instant::now() >= deadline {
                terminal.print(&unanswered(command, name, namespace, order.timeout_s, &leader))?;
                return Ok(Exit::Inconclusive);
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    })
}

fn waits(command: &Command, name: &str, namespace: &str) -> String {
    format!(
        "waiting: {command}: nobody leads the rollout of release {name} now. The command stays on \
         the Release, and is taken when someone does: start the controller, or run `backout run \
         --release FILE` with the record of {namespace}/{name}\n"
    )
}

fn unanswered(
    command: &Command,
    name: &str,
    namespace: &str,
    timeout_s: u64,
    leader: &Leader,
) -> String {
    let who = match leader {
        Leader::Someone(holder) => format!("{holder} leads, but has not answered"),
        Leader::Nobody => "nobody leads the rollout".to_owned(),
        Leader::Unknown(why) => format!("it cannot be told who leads ({why})"),
    };
    format!(
        "waiting: {command}: no answer for release {name} within {timeout_s} s: {who}. The command \
         stays on the Release; `backout status {name} -n {namespace}` shows when it is taken\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_told_why_and_how_to_go_on() {
        insta::assert_snapshot!(waits(&Command::Pause, "checkout-2", "shop"), @"waiting: pause: nobody leads the rollout of release checkout-2 now. The command stays on the Release, and is taken when someone does: start the controller, or run `backout run --release FILE` with the record of shop/checkout-2");
        let unknown = Leader::Unknown("Lease backout/backout-controller: forbidden".to_owned());
        insta::assert_snapshot!(unanswered(&Command::Abort, "checkout-2", "shop", 30, &unknown), @"waiting: abort: no answer for release checkout-2 within 30 s: it cannot be told who leads (Lease backout/backout-controller: forbidden). The command stays on the Release; `backout status checkout-2 -n shop` shows when it is taken");
    }
}
