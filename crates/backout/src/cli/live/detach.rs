//! `backout detach`: gives a workload back, without downtime.

use std::path::PathBuf;
use std::time::Duration;

use backout_controller::adopt::Workload;
use backout_world::kubernetes::adoption::Stage;

use super::{Connection, adopt, block_on, read_policy};
use crate::ask;
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::Terminal;

/// Gives a workload back: its own replicas, then its traffic, then nothing of Backout's is left.
///
/// The workload runs its own template as it is now. Records of releases stay.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The policy. Default: `backout.yaml` here or above, up to the root of the repository.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
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
    block_on(async {
        let cluster =
            arguments.connection.cluster(Some(policy.metadata.namespace.as_str())).await?;
        let workload = &policy.spec.workload.name;
        terminal.complain(&format!(
            "Deployment {}/{workload} will serve by itself again, with its own template as it is \
             now. Its release sets are deleted.\n",
            cluster.namespace
        ));
        arguments.consent.ask(terminal, "Give it back?")?;
        let drain = Duration::from_secs(arguments.drain_s);
        let work = Workload::new(&cluster.client, &policy, drain);
        let mut tell = |stage: Stage| terminal.complain(&format!("  {}\n", adopt::told(&stage)));
        work.detach(&mut tell).await?;
        let left = work.left().await?;
        if !left.is_empty() {
            let message = format!("something of ours is left: {}", left.join(", "));
            return Err(Failure::cluster(message, "run `backout detach` again"));
        }
        terminal.print("detached: the workload serves by itself, and nothing of ours is left\n")?;
        Ok(Exit::Pass)
    })
}
