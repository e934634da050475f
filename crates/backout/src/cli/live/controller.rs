//! `backout controller`: leads every rollout of a cluster.

use std::net::SocketAddr;
use std::time::Duration;

use backout_controller::manager::Scope;
use backout_controller::program::{self, Settings};
use backout_controller::rollout::Options;
use backout_world::driver::Limits;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Connection, block_on};
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::Terminal;

/// Leads the rollouts of a cluster: every Release that has no outcome yet, the oldest first.
///
/// Any number of controllers may run; one of them leads. It answers `/healthz`, `/readyz` and
/// `/metrics`, and writes its log to standard error, a JSON document per line.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where probes and metrics are answered.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    address: SocketAddr,
    /// Namespace to watch, any number of times. Default: the controller's own.
    #[arg(long, value_name = "NAMESPACE", conflicts_with = "cluster_wide")]
    watch: Vec<String>,
    /// Watch every namespace.
    #[arg(long)]
    cluster_wide: bool,
    /// How long the Lease lasts, in seconds: after a crash nobody leads for so long. Every
    /// controller is given the same.
    #[arg(long, value_name = "SECONDS", default_value_t = 15,
          value_parser = clap::value_parser!(u64).range(3..=300))]
    lease_s: u64,
    /// Run smoke tests of policies in this process. Whoever may write a policy then runs programs
    /// with the controller's rights.
    #[arg(long)]
    allow_programs: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(arguments: &Arguments, terminal: &Terminal) -> Result<Exit, Failure> {
    terminal.log_json();
    block_on(async {
        let cluster = arguments.connection.cluster(None).await?;
        let namespace = std::env::var("POD_NAMESPACE").unwrap_or(cluster.namespace);
        let identity =
            std::env::var("POD_NAME").unwrap_or_else(|_| "backout-controller".to_owned());
        let scope = if arguments.cluster_wide {
            Scope::Cluster
        } else if arguments.watch.is_empty() {
            Scope::Namespaces(vec![namespace.clone()])
        } else {
            Scope::Namespaces(arguments.watch.clone())
        };
        let options = Options {
            identity,
            runs_programs: arguments.allow_programs,
            limits: Limits::default(),
        };
        let lease = Duration::from_secs(arguments.lease_s);
        let settings = Settings { address: arguments.address, namespace, lease, scope, options };
        program::run(cluster.client, settings, stopped()?).await?;
        Ok(Exit::Pass)
    })
}

/// Turns true when the program is asked to end.
pub(super) fn stopped() -> Result<watch::Receiver<bool>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Output)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Output)?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.send_replace(true);
        // A second signal ends the program at once, as without a handler.
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        #[expect(clippy::exit, reason = "whoever asks twice does not want to wait for anything")]
        std::process::exit(130);
    });
    Ok(stopped)
}
