//! A shop with a workload that Backout releases: what every scenario of a rollout stands on.

mod objects;
pub mod playground;
pub mod policy;
pub mod program;
pub mod record;
mod replay;
mod watch;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use backout_core::release::Release;
use backout_world::kubernetes::names;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

pub use self::policy::{Route, Setup, Strategy};
use self::program::Backout;
use super::demo::{self, NAMESPACE};
use crate::cluster::Cluster;
use crate::cluster::registry::APP;
use crate::cluster::wait::until;
use crate::load::{Load, Plan, Report, Target};
use crate::network::{GATEWAY_ADDRESS, GATEWAY_PORT, RouteKind};
use crate::oracles::{self, Evidence};

/// The workload, its Service, its route and its policy have one name.
pub const WORKLOAD: &str = "checkout";
/// The host that users ask for.
pub const HOST: &str = "checkout.shop.example";
/// Pods of the workload.
pub const REPLICAS: u32 = 3;
/// Requests of users per second.
pub const RATE_PER_S: f64 = 100.0;
/// The account of the controller, as `backout install` makes it.
pub const ACCOUNT: (&str, &str) = ("backout", "backout");

/// Longest wait for something that takes a moment.
pub const SOON: Duration = Duration::from_secs(60);
/// Longest wait for the end of a rollout.
pub const ROLLOUT: Duration = Duration::from_secs(300);

/// A shop that is open: its workload adopted, its controller running, its users shopping.
pub struct Shop<'c> {
    /// Where it is.
    pub cluster: &'c mut Cluster,
    /// Commands and the controller.
    pub backout: Backout,
    /// The users.
    pub load: Load,
    /// The set that serves at first.
    pub first: String,
}

/// What a scenario says of its own end.
#[derive(Clone, Debug)]
pub struct Judged<'a> {
    /// The set that has to serve.
    pub stable: &'a str,
    /// The release that was rolled out.
    pub candidate: &'a Release,
    /// Whether the release answers requests with failures.
    pub bad_answers: bool,
}

impl<'c> Shop<'c> {
    /// Opens a shop: objects, users, installation, policy, adoption, controller.
    ///
    /// # Errors
    /// Any of it fails.
    pub async fn open(cluster: &'c mut Cluster, setup: Setup) -> Result<Self> {
        let load = build(cluster, setup.route).await?;
        let folder = cluster.directory().join("shop");
        std::fs::create_dir_all(&folder).context("cannot make the shop's folder")?;
        let mut backout = Backout::new(&folder, cluster.kubeconfig_of_person(), setup.lease_s)?;
        install(cluster, &backout).await?;
        let policy = setup.policy(&cluster.prometheus.url());
        objects::write_chart(&folder)?;
        write(&folder.join("policy.yaml"), &policy)?;
        let adopt = ["adopt", "-f", "policy.yaml", "--yes"];
        backout.run(&adopt, SOON * 2).await?.expect(0, "adopt")?;
        let account = cluster.kubeconfig_of(ACCOUNT.0, ACCOUNT.1).await?;
        backout.start_controller(Some(account), NAMESPACE).await?;
        let first = first_set(cluster).await?;
        let shop = Self { cluster, backout, load, first };
        let first = shop.first.clone();
        shop.settled(&first).await.context("after the adoption")?;
        Ok(shop)
    }

    /// Pushes an image of the demo that behaves like this, and returns the record of its release.
    /// `behaviour` is what [`crate::app::Behaviour`] reads; null is a good one.
    ///
    /// # Errors
    /// The version is not what a record takes.
    pub fn ship(&self, version: &str, behaviour: Value) -> Result<Release> {
        let behaviour = Some(behaviour).filter(|behaviour| !behaviour.is_null());
        let digest = self.cluster.registry.push(APP, version, behaviour);
        record::record(version, &digest)
    }

    /// Creates a release, which the controller then rolls out.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn release(&self, release: &Release) -> Result<()> {
        demo::apply(&self.cluster.client(), &serde_json::to_value(release)?).await
    }

    /// Writes the record into a file of the shop's folder, and returns its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file_of(&self, release: &Release) -> Result<String> {
        let name = format!("{}.yaml", release.metadata.name);
        let file: PathBuf = self.cluster.directory().join("shop").join(&name);
        write(&file, &serde_json::to_value(release)?)?;
        Ok(name)
    }

    /// Releases, and waits until it ended like this, for example `promoted`.
    ///
    /// # Errors
    /// It does not end in time, or otherwise; shows what is known.
    pub async fn ends(&self, release: &Release, outcome: &str) -> Result<()> {
        self.release(release).await?;
        self.ended(release, outcome).await
    }

    /// Waits until a release ended like this.
    ///
    /// # Errors
    /// It does not end in time, or otherwise; shows what is known.
    pub async fn ended(&self, release: &Release, outcome: &str) -> Result<()> {
        let name = release.metadata.name.as_str();
        let found = self.outcome(name, ROLLOUT).await;
        let shows = || {
            let audit = self.cluster.audit().unwrap_or_default();
            let log = self.backout.controller_log();
            let forbidden = oracles::forbidden(&audit);
            format!("forbidden was: {forbidden:#?}; the controller's log ends with:\n{log}")
        };
        let found = found.with_context(shows)?;
        if found != outcome {
            let status = self.status(name).await?;
            let explained = self.journal(name).await;
            let explained = explained.map_or_else(
                |error| format!("{error:#}"),
                |(_, entries)| entries.iter().map(|entry| format!("{entry:?}\n")).collect(),
            );
            tracing::warn!(%status, "journal of {name}:\n{explained}");
            anyhow::bail!("{name} ended with `{found}`, not `{outcome}`; {}", shows());
        }
        Ok(())
    }

    /// Waits until all users get answers of this set alone, and that over some time.
    ///
    /// # Errors
    /// They do not.
    pub async fn settled(&self, set: &str) -> Result<()> {
        settled(&self.load, set).await
    }

    /// The share of a set in the answers until now, from 0 to 1.
    #[must_use]
    pub fn share_so_far(&self, set: &str) -> f64 {
        let report = self.load.report_so_far();
        report.share(set, report.started).unwrap_or_default()
    }

    /// Closes the shop, and judges everything that happened in it.
    ///
    /// # Errors
    /// Traffic is not where it should be, a rule was broken, or the evidence cannot be read.
    pub async fn close(self, judged: Judged<'_>) -> Result<()> {
        let Judged { stable, candidate, bad_answers } = judged;
        self.close_after(stable, &[(candidate.clone(), bad_answers)]).await.map(drop)
    }

    /// Closes the shop after several releases, each with whether it answers requests with
    /// failures, and judges everything. Returns what users saw.
    ///
    /// # Errors
    /// Traffic is not where it should be, a journal does not replay, a rule was broken, or the
    /// evidence cannot be read.
    pub async fn close_after(
        mut self,
        stable: &str,
        releases: &[(Release, bool)],
    ) -> Result<Report> {
        self.settled(stable).await.context("at the end")?;
        self.backout.stop_controller().await?;
        for (release, _) in releases {
            self.replays(release.metadata.name.as_str()).await?;
        }
        let bad = releases.iter().filter(|(_, bad)| *bad).map(|(release, _)| release.set_name());
        judge_all(self.cluster, self.load, stable, bad.collect()).await
    }
}

/// Ends the load, and judges everything that happened.
///
/// # Errors
/// A rule was broken, or the evidence cannot be read.
pub async fn judge(cluster: &Cluster, load: Load, judged: Judged<'_>) -> Result<()> {
    let bad = judged.bad_answers.then(|| judged.candidate.set_name());
    judge_all(cluster, load, judged.stable, bad.into_iter().collect()).await.map(drop)
}

async fn judge_all(
    cluster: &Cluster,
    load: Load,
    stable: &str,
    bad: BTreeSet<String>,
) -> Result<Report> {
    let load = load.stop().await;
    tracing::info!(load = load.summary(), "users");
    let evidence = Evidence {
        audit: cluster.audit()?,
        ours: BTreeSet::from([account(), Cluster::PERSON.to_owned()]),
        namespace: NAMESPACE.to_owned(),
        replicas: u64::from(REPLICAS),
        users: objects::users(),
        stable: stable.to_owned(),
        load,
        bad,
    };
    oracles::judge(&evidence)?;
    Ok(evidence.load)
}

/// The controller's name as a user of the API server.
#[must_use]
pub fn account() -> String {
    format!("system:serviceaccount:{}:{}", ACCOUNT.0, ACCOUNT.1)
}

/// Waits until all users get answers of this set alone, and that over some time.
///
/// # Errors
/// They do not.
pub async fn settled(load: &Load, set: &str) -> Result<()> {
    let since = Instant::now();
    let view = load.wait_until(|view| view.since(since).count() >= 300, SOON).await?;
    let share = view.share(set, since);
    ensure!(share == Some(1.0), "{set} has a share of {share:?}; {}", view.summary());
    Ok(())
}

/// Makes what the user has: namespace, settings, Service, Deployment, Gateway and route; and opens
/// the door to users.
///
/// # Errors
/// The API server refuses something, or the workload does not serve.
pub async fn build(cluster: &Cluster, route: Route) -> Result<Load> {
    let client = cluster.client();
    cluster.registry.push(APP, objects::FIRST, None);
    demo::surroundings(&client).await?;
    demo::apply(&client, &objects::config("hello")).await?;
    for object in objects::gateway().iter().chain([&objects::deployment()]) {
        demo::apply(&client, object).await?;
    }
    let deployments: Api<Deployment> = Api::namespaced(client, NAMESPACE);
    until("the workload is ready", SOON, || async {
        let status = deployments.get(WORKLOAD).await?.status.unwrap_or_default();
        let wanted = i32::try_from(REPLICAS).ok();
        Ok((status.available_replicas == wanted).then_some(()))
    })
    .await?;
    cluster.network.await_route(RouteKind::Http, NAMESPACE, WORKLOAD, SOON).await?;
    // Users come when everything that they reach is in place.
    until("the first user is served", SOON, || async {
        let address = format!("{GATEWAY_ADDRESS}:{GATEWAY_PORT}");
        let answer = super::http::get(&address, HOST, "/").await?;
        Ok(answer.starts_with("HTTP/1.1 200").then_some(()))
    })
    .await?;
    Load::start(Plan::new(vec![door(route).await?], RATE_PER_S))
}

/// Where users come in.
async fn door(route: Route) -> Result<Target> {
    match route {
        Route::HttpRoute => {
            let gateway: SocketAddr = format!("{GATEWAY_ADDRESS}:{GATEWAY_PORT}").parse()?;
            Ok(Target::new("gateway", gateway, HOST))
        }
        Route::Selector | Route::Replicas => {
            until("the Service's name resolves", SOON, || async {
                Target::resolve("service", &format!("{WORKLOAD}.{NAMESPACE}:80")).await.map(Some)
            })
            .await
        }
    }
}

/// Installs what `backout install` prints, but for the controller's own Deployment: the controller
/// runs as a process here.
async fn install(cluster: &Cluster, backout: &Backout) -> Result<()> {
    let client = cluster.client();
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ACCOUNT.0}});
    demo::apply(&client, &namespace).await?;
    let words = ["install", "-o", "json", "--watch", NAMESPACE];
    let printed = backout.run(&words, SOON).await?.expect(0, "install")?;
    let list: Value = serde_json::from_str(&printed.output).context("`backout install`")?;
    let items = list["items"].as_array().context("`backout install` prints no list")?;
    for item in items.iter().filter(|item| item["kind"] != "Deployment") {
        demo::apply(&client, item).await?;
    }
    let kind = GroupVersionKind::gvk("backout.dev", "v1alpha1", "Release");
    let releases: Api<DynamicObject> = Api::all_with(client, &ApiResource::from_gvk(&kind));
    until("releases are served", SOON, || async {
        Ok(Some(releases.list(&ListParams::default()).await.map(drop)?))
    })
    .await
}

/// The set that the workload was adopted as.
async fn first_set(cluster: &Cluster) -> Result<String> {
    let deployments: Api<Deployment> = Api::namespaced(cluster.client(), NAMESPACE);
    let deployment = deployments.get(WORKLOAD).await.context("the adopted Deployment")?;
    let record = deployment.annotations().get(names::ADOPTED);
    let record = record.context("nothing on the Deployment says that it was adopted")?;
    let release: Release = serde_json::from_str(record).context("the record of the adoption")?;
    Ok(release.set_name())
}

fn write(file: &std::path::Path, document: &Value) -> Result<()> {
    let text = serde_saphyr::to_string(document).context("a document cannot be written")?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
