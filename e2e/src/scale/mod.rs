//! How much one controller takes: many policies, many releases at once, on a real API server with
//! etcd. Pods and Prometheus are stand-ins, because hundreds of pods do not fit a small machine.

mod figures;
mod kubelet;
mod objects;
mod prometheus;
mod report;
mod stored;

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use backout_controller::adopt;
use backout_controller::rollout;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::process::Command;

use self::figures::Usage;
use self::objects::{REPLICAS, Workload};
use self::report::Report;
use self::stored::Stored;
use crate::cluster::ControlPlane;
use crate::cluster::process::Process;
use crate::cluster::tools::Tools;
use crate::cluster::wait::until;
use crate::programs::Programs;
use crate::scenarios::demo::apply;
use crate::scenarios::http;

/// Where the stand-in for Prometheus is.
const PROMETHEUS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
/// Where the controller serves probes and metrics.
const CONTROLLER: &str = "127.0.0.1:8090";
/// The account of the controller, as `backout install` makes it.
const ACCOUNT: (&str, &str) = ("backout", "backout");
/// How long the controller is watched with nothing to do.
const IDLE: Duration = Duration::from_secs(20);
/// Longest wait for something that takes a moment.
const SOON: Duration = Duration::from_secs(120);
/// Longest wait until every rollout has ended.
const ROLLOUTS: Duration = Duration::from_secs(1200);
/// Requests of the benchmark itself that are under way at once.
const AT_ONCE: usize = 8;

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Policies, each with a workload.
    pub policies: u32,
    /// Workloads that are released at the same time.
    pub releases: u32,
}

/// Runs the benchmark, and returns what was measured as a table of Markdown. Only inside namespaces
/// of our own, after [`crate::cluster::isolation::enter`].
///
/// # Errors
/// A part of the cluster does not come up, or a rollout does not end.
pub async fn run(directory: &Path, tools: &Tools, size: Size) -> Result<String> {
    let plane = ControlPlane::start(directory, tools, figures::AUDIT_POLICY).await?;
    let _kubelet = kubelet::StandIn::start(plane.client()).await?;
    let program = Programs::told().backout.context("`backout` was not built")?;
    let bench = Bench { plane, program, directory: directory.to_owned(), size };
    bench.install().await?;
    let bad: Result<BTreeSet<String>> = bench
        .released()
        .filter(|workload| workload.is_bad())
        .map(|workload| Ok(workload.release(2)?.set_name()))
        .collect();
    let prometheus = prometheus::StandIn::start(PROMETHEUS, bad?).await?;
    bench.fill().await?;
    let mut controller = bench.controller().await?;
    let id = controller.id().context("the controller ended")?;
    let mut report = Report::new(size);

    let (began, before) = (Timestamp::now(), Usage::of(id)?);
    tokio::time::sleep(IDLE).await;
    report.idle(IDLE, before, Usage::of(id)?);
    report.idle_requests(&figures::requests(directory, began, Timestamp::now())?);

    let stored = Stored::watch(&bench.plane.client());
    let (began, clock, before) = (Timestamp::now(), Instant::now(), Usage::of(id)?);
    bench.release().await?;
    bench.ended(&mut controller).await?;
    let ended = Timestamp::now();
    report.busy(clock.elapsed(), before, Usage::of(id)?);
    report.queries(prometheus.asked());
    report.stored(&stored.figures(&bench.plane.client()).await?);
    let requests = figures::requests(directory, began, ended)?;
    report.requests(&requests);
    bench.judge(&requests, &mut report).await?;
    report.metrics(&http::get(CONTROLLER, CONTROLLER, "/metrics").await?);
    controller.stop(Duration::from_secs(30)).await?;
    Ok(report.to_string())
}

struct Bench {
    plane: ControlPlane,
    program: PathBuf,
    directory: PathBuf,
    size: Size,
}

impl Bench {
    fn released(&self) -> impl Iterator<Item = Workload> + use<> {
        (0..self.size.releases).map(Workload)
    }

    /// Installs what `backout install` prints, but for the controller's own Deployment.
    async fn install(&self) -> Result<()> {
        let client = self.plane.client();
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ACCOUNT.0}});
        apply(&client, &namespace).await?;
        let mut command = Command::new(&self.program);
        command.args(["install", "-o", "json", "--cluster-wide"]);
        let printed = command.output().await.context("cannot start `backout install`")?;
        let list: Value = serde_json::from_slice(&printed.stdout).context("`backout install`")?;
        let items = list["items"].as_array().context("`backout install` prints no list")?;
        for item in items.iter().filter(|item| item["kind"] != "Deployment") {
            apply(&client, item).await?;
        }
        for namespace in objects::namespaces() {
            apply(&client, &namespace).await?;
        }
        Ok(())
    }

    /// Makes policies and workloads, and adopts those that are to be released.
    async fn fill(&self) -> Result<()> {
        let began = Instant::now();
        let (client, address) = (self.plane.client(), format!("http://{PROMETHEUS}"));
        let workloads = futures::stream::iter((0..self.size.policies).map(Workload));
        let made = workloads.map(|workload| {
            let (client, address) = (client.clone(), address.clone());
            async move {
                let policy = workload.policy(&address)?;
                let is_released = workload.0 < self.size.releases;
                for object in workload.objects(if is_released { REPLICAS } else { 0 }) {
                    apply(&client, &object).await?;
                }
                // The definition of policies may only just have been installed.
                let document = serde_json::to_value(&policy)?;
                until("the policy is accepted", SOON, || async {
                    apply(&client, &document).await.map(Some)
                })
                .await?;
                if is_released {
                    let record = workload.release(1)?;
                    until("the workload is adopted", SOON, || async {
                        let adoption = adopt::Workload::new(&client, &policy, Duration::ZERO);
                        let adopted = adoption.adopt(Some(&record), &mut |_| {}).await;
                        adopted.map(Some).map_err(|failure| anyhow::anyhow!(failure.in_full()))
                    })
                    .await?;
                }
                Ok::<_, anyhow::Error>(())
            }
        });
        made.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        tracing::info!(took_s = began.elapsed().as_secs_f64(), "policies and workloads made");
        Ok(())
    }

    /// Starts the controller, and waits until it is ready.
    async fn controller(&self) -> Result<Process> {
        let account = self.plane.kubeconfig_of(ACCOUNT.0, ACCOUNT.1).await?;
        let mut command = Command::new(&self.program);
        command.args(["controller", "--address", CONTROLLER, "--cluster-wide"]);
        command.env("KUBECONFIG", account).env("NO_COLOR", "1");
        command.env("POD_NAME", "backout-controller-0").env("POD_NAMESPACE", ACCOUNT.0);
        let log = self.directory.join("controller.log");
        let mut controller = Process::start("backout controller", &log, command)?;
        let ready = until("the controller is ready", SOON, || async {
            let answer = http::get(CONTROLLER, CONTROLLER, "/readyz").await?;
            Ok(answer.starts_with("HTTP/1.1 200").then_some(()))
        });
        ready.await.with_context(|| controller.tail())?;
        controller.ensure_running()?;
        Ok(controller)
    }

    /// Creates every release at once.
    async fn release(&self) -> Result<()> {
        let client = self.plane.client();
        let releases = futures::stream::iter(self.released()).map(|workload| {
            let client = client.clone();
            async move { apply(&client, &serde_json::to_value(workload.release(2)?)?).await }
        });
        releases.buffer_unordered(AT_ONCE).try_collect::<()>().await
    }

    /// Waits until every rollout has ended as it should.
    async fn ended(&self, controller: &mut Process) -> Result<()> {
        let deadline = Instant::now() + ROLLOUTS;
        loop {
            let releases = self.releases().await?;
            let open = releases.iter().filter(|release| release["status"]["endedAt"].is_null());
            let open: Vec<_> = open.map(|release| &release["metadata"]["name"]).collect();
            if open.is_empty() {
                break;
            }
            controller.ensure_running()?;
            if Instant::now() >= deadline {
                bail!("not ended: {open:?}; the log ends with:\n{}", controller.tail());
            }
            tracing::info!(open = open.len(), "rollouts");
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        Ok(())
    }

    /// The Releases that were rolled out.
    async fn releases(&self) -> Result<Vec<Value>> {
        let kind = GroupVersionKind::gvk("backout.dev", "v1alpha1", "Release");
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> = Api::all_with(self.plane.client(), &resource);
        let listed = api.list(&ListParams::default()).await.context("the Releases")?;
        let values = listed.items.iter().map(serde_json::to_value);
        let mut values = values.collect::<Result<Vec<_>, _>>()?;
        values.retain(|release| release["spec"]["version"] == "2.0.0");
        Ok(values)
    }

    /// Compares how the rollouts ended with how they should have, and how quickly they went back.
    async fn judge(&self, requests: &[figures::Request], report: &mut Report) -> Result<()> {
        let client = self.plane.client();
        let releases = self.releases().await?;
        for workload in self.released() {
            let (namespace, name) = (workload.namespace(), workload.name());
            let record = workload.release(2)?.metadata.name.to_string();
            let found = releases.iter().find(|release| release["metadata"]["name"] == *record);
            let outcome = found.and_then(|release| release["status"]["outcome"].as_str());
            report.outcome(workload, outcome.unwrap_or("none"));
            if workload.is_bad() == (outcome == Some("promoted")) {
                let why = found.and_then(|release| release["status"]["message"].as_str());
                tracing::warn!(release = record, outcome, why, "not as it should have ended");
            }
            let journal = rollout::journal(&client, &namespace, &record).await;
            let journal = journal.map_err(|failure| anyhow::anyhow!(failure.in_full()))?;
            let told = (&journal.header, &journal.entries[..]);
            let delay = Duration::from_secs(2);
            if let Some(back) = figures::way_back(told, requests, (&namespace, &name), delay) {
                report.way_back(back);
            }
        }
        Ok(())
    }
}
