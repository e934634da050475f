//! `backout run`: rolls a release out, and follows it.

use std::path::PathBuf;
use std::time::Duration;

use backout_controller::apply;
use backout_controller::lead::{self, LEASE};
use backout_core::policy::ReleasePolicy;
use backout_core::release::Release;

use super::controller::stopped;
use super::follow::{Follow, Until};
use super::{Cluster, Connection, block_on, read_policy, read_release};
use crate::error::Failure;
use crate::exit_code::Exit;
use crate::terminal::Terminal;

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
    let follow = Follow {
        cluster,
        name,
        timeout: arguments.timeout_s.map(Duration::from_secs),
        until: Until::Outcome,
    };
    if let Some(holder) = controller {
        terminal.complain(&format!("release {name}: the controller {holder} leads\n"));
        return follow.to_the_end(terminal, &mut stop).await;
    }
    terminal.complain(&format!("release {name}: no controller runs, so this program leads\n"));
    follow.claim_and_lead(terminal, &mut stop, None).await
}
