//! The tests of the adapters that need a real API server, against this one.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use tokio::process::Command;

use crate::cluster::Cluster;
use crate::cluster::kubelet::NODE;
use crate::programs::Programs;

/// Longest run of one test program.
const WITHIN: Duration = Duration::from_secs(300);

pub(super) async fn run(cluster: &mut Cluster) -> Result<()> {
    // The tests bring nodes of their own, and write themselves what a kubelet would write.
    Api::<Node>::all(cluster.client()).cordon(NODE).await.context("the node takes pods still")?;
    let programs = Programs::told().adapter_tests;
    ensure!(!programs.is_empty(), "no test program was built; start this with `cargo xtask e2e`");
    for program in programs {
        let shown = program.display();
        let mut tests = Command::new(&program);
        // One after another: some of them install things for the whole cluster.
        tests.args(["--test-threads=1", "--color=never"]);
        tests.env("BACKOUT_E2E_KUBECONFIG", cluster.kubeconfig());
        tests.stdin(Stdio::null()).kill_on_drop(true);
        let mut tests = tests.spawn().with_context(|| format!("cannot start {shown}"))?;
        let ended = tokio::time::timeout(WITHIN, tests.wait()).await;
        let ended = ended.with_context(|| format!("{shown} did not end in time"))?;
        let ended = ended.with_context(|| format!("cannot wait for {shown}"))?;
        ensure!(ended.success(), "{shown}: {ended}");
    }
    Ok(())
}
