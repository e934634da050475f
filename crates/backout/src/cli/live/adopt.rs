//! `backout adopt`: takes a workload over, without downtime.

use std::path::PathBuf;
use std::time::Duration;

use backout_controller::adopt::Workload;
use backout_controller::apply;
use backout_world::kubernetes::adoption::Stage;

use super::{Connection, block_on, read_policy, read_release};
use crate::ask;
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::Terminal;

/// Takes a workload over: a set that runs what the workload runs, then its traffic, then no
/// replicas of the original.
///
/// Until traffic has moved, the workload serves as before; what was cut short goes on by calling
/// it again. `backout detach` is the way back.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The policy. Default: `backout.yaml` here or above, up to the root of the repository.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// The record of the release that runs now. Default: one is made of what the pods say.
    #[arg(long = "as", value_name = "RELEASE")]
    record: Option<PathBuf>,
    /// The user's Service that leads to the workload, where there are several.
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// The environment of the policy that this cluster is; needed once where it has several.
    #[arg(long = "env", value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// How long requests that are on their way may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    drain_s: u64,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    consent: ask::Consent,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    let policy = read_policy(arguments.file.as_deref())?;
    let record = arguments.record.as_deref().map(read_release).transpose()?;
    block_on(async {
        let cluster =
            arguments.connection.cluster(Some(policy.metadata.namespace.as_str())).await?;
        let workload = &policy.spec.workload.name;
        terminal.complain(&format!(
            "Deployment {}/{workload} will be taken over: a copy of it gets its traffic, then it \
             is scaled to 0. Nothing of it is deleted.\n",
            cluster.namespace
        ));
        arguments.consent.ask(terminal, "Take it over?")?;
        apply::policy(&cluster.client, &policy, arguments.environment.as_deref()).await?;
        let drain = Duration::from_secs(arguments.drain_s);
        let work = Workload::new(&cluster.client, &policy, drain)
            .with_service(arguments.service.as_deref());
        let mut tell = |stage: Stage| terminal.complain(&format!("  {}\n", told(&stage)));
        let adopted = work.adopt(record.as_ref(), &mut tell).await?;
        terminal.print(&format!(
            "adopted: release {} serves from set {} with {} replicas\n",
            adopted.release.metadata.name,
            adopted.release.set_name(),
            adopted.replicas
        ))?;
        Ok(Exit::Pass)
    })
}

/// A stage in words.
pub(super) fn told(stage: &Stage) -> String {
    match stage {
        Stage::Recorded(set) => format!("recorded what runs, as set {set}"),
        Stage::Created(set) => format!("created set {set}"),
        Stage::Ready(1) => "1 pod is ready".to_owned(),
        Stage::Ready(pods) => format!("{pods} pods are ready"),
        Stage::RouteTaken => "traffic goes to the set".to_owned(),
        Stage::RouteGiven => "traffic goes to the workload again".to_owned(),
        Stage::Drained => "requests that were on their way have ended".to_owned(),
        Stage::Scaled(replicas) => format!("the workload's own Deployment has {replicas} replicas"),
        Stage::Removed(set) => format!("removed set {set}"),
        Stage::Note(note) => format!("note: {note}"),
    }
}
