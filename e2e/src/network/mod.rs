//! A real Envoy that plays the Service network and the Gateway of the test cluster.
//!
//! A task watches Services, EndpointSlices, HTTPRoutes and GRPCRoutes, and writes what Envoy reads
//! from files. Nothing is said to be applied before Envoy itself reports the version of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

mod definitions;
mod envoy;
mod files;
mod routes;
mod status;
mod translate;
mod translator;
mod trial;

pub use definitions::{apply_gateway_api, gateway_api_crds};
pub use envoy::ADMIN_ADDRESS;
pub use routes::RouteKind;
pub use trial::shifts_weights_without_failures;

/// Where the Gateway listens: an address of the Services' range. The API server picks addresses at
/// random among 65,000, so that a Service gets this one only by great misfortune.
pub const GATEWAY_ADDRESS: &str = "10.96.255.254";
/// The port that the Gateway listens on.
pub const GATEWAY_PORT: u16 = 80;
/// The name under which the Gateway writes into the status of routes.
pub const CONTROLLER_NAME: &str = "backout.dev/test-gateway";

/// How the translator behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Control {
    frozen: bool,
    gateway_frozen: bool,
    delay: Duration,
}

/// A route's kind, namespace and name.
type RouteKey = (RouteKind, String, String);

/// What Envoy has taken.
#[derive(Clone, Debug, Default)]
struct Progress {
    generations: BTreeMap<RouteKey, i64>,
    endpoints: BTreeMap<String, BTreeSet<(String, u16)>>,
    trouble: Option<String>,
}

/// The Service network and the Gateway of a test cluster.
pub struct Network {
    client: Client,
    envoy: Option<envoy::Envoy>,
    directory: PathBuf,
    control: watch::Sender<Control>,
    progress: watch::Receiver<Progress>,
    tasks: Vec<JoinHandle<()>>,
}

impl Network {
    /// Starts Envoy (`envoy` is its program) with its files in `directory`, and returns when what
    /// the API server knows now is applied.
    ///
    /// # Errors
    /// When the directory cannot be written, Envoy does not start, or the first translation does
    /// not reach it in time.
    pub async fn start(client: Client, directory: &Path, envoy: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("directory {} not made", directory.display()))?;
        let directory = directory
            .canonicalize()
            .with_context(|| format!("directory {} not found", directory.display()))?;
        let files = files::Files::new(&directory)?;
        let process = envoy::Envoy::start(envoy, &directory).await?;
        let (control, control_seen) = watch::channel(Control::default());
        let (progress_made, mut progress) = watch::channel(Progress::default());
        let tasks = translator::start(&client, files, control_seen, progress_made).await?;
        progress.mark_unchanged();
        let network = Self { client, envoy: Some(process), directory, control, progress, tasks };
        network.first_translation().await?;
        Ok(network)
    }

    /// Every cluster has the API server's own Service, so that it shows the first translation.
    async fn first_translation(&self) -> Result<()> {
        let done = |progress: &Progress| !progress.endpoints.is_empty();
        self.until(Duration::from_secs(20), "the first translation", done).await
    }

    /// Stops the task and Envoy; connections are cut.
    ///
    /// # Errors
    /// When Envoy cannot be ended.
    pub async fn stop(mut self) -> Result<()> {
        for task in self.tasks.drain(..) {
            task.abort();
        }
        match self.envoy.take() {
            Some(envoy) => envoy.stop().await,
            None => Ok(()),
        }
    }

    /// Nothing is translated any more: neither routes nor endpoints, and no status is written.
    pub fn freeze(&self) {
        self.control.send_modify(|control| control.frozen = true);
    }

    /// Routes are accepted (their status says so) but not carried out; endpoints still are.
    pub fn freeze_gateway_only(&self) {
        self.control.send_modify(|control| control.gateway_frozen = true);
    }

    /// Ends both kinds of freezing and any delay; what was missed is applied now.
    pub fn thaw(&self) {
        self.control.send_replace(Control::default());
    }

    /// From now on a change of routes is applied this much later than it is seen. Endpoints are
    /// still applied at once.
    pub fn delay(&self, delay: Duration) {
        self.control.send_modify(|control| control.delay = delay);
    }

    /// The generation of a route that Envoy works with, if any.
    #[must_use]
    pub fn applied_generation(&self, kind: RouteKind, namespace: &str, name: &str) -> Option<i64> {
        let key = (kind, namespace.to_owned(), name.to_owned());
        self.progress.borrow().generations.get(&key).copied()
    }

    /// Waits until Envoy works with the generation that the API server has now.
    ///
    /// # Errors
    /// When the route cannot be read, or Envoy does not have it in time.
    pub async fn await_route(
        &self,
        kind: RouteKind,
        namespace: &str,
        name: &str,
        within: Duration,
    ) -> Result<()> {
        let route = route_api(&self.client, kind, namespace)
            .get(name)
            .await
            .with_context(|| format!("{} {namespace}/{name} not read", kind.name()))?;
        let newest = route.metadata.generation.unwrap_or_default();
        let what = format!("generation {newest} of {} {namespace}/{name}", kind.name());
        let key = (kind, namespace.to_owned(), name.to_owned());
        let done = |progress: &Progress| {
            progress.generations.get(&key).is_some_and(|applied| *applied >= newest)
        };
        self.until(within, &what, done).await
    }

    /// Waits until requests to a Service's port go to exactly these addresses.
    ///
    /// # Errors
    /// When that is not so in time.
    pub async fn await_endpoints(
        &self,
        namespace: &str,
        service: &str,
        port: u16,
        addresses: &BTreeSet<String>,
        within: Duration,
    ) -> Result<()> {
        let cluster = translate::cluster_name(namespace, service, port);
        let what = format!("endpoints {addresses:?} of {cluster}");
        let done = |progress: &Progress| {
            let found = progress.endpoints.get(&cluster);
            found.is_some_and(|found| {
                found.iter().map(|(address, _)| address).collect::<BTreeSet<_>>()
                    == addresses.iter().collect()
            })
        };
        self.until(within, &what, done).await
    }

    async fn until(
        &self,
        within: Duration,
        what: &str,
        done: impl FnMut(&Progress) -> bool,
    ) -> Result<()> {
        let mut progress = self.progress.clone();
        let reached = timeout(within, progress.wait_for(done)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(anyhow!("{what} not applied: the translator has ended")),
            Err(_) => Err(anyhow!(
                "{what} not applied within {within:?}; trouble: {:?}; {}",
                self.progress.borrow().trouble,
                self.envoy
                    .as_ref()
                    .map_or_else(|| envoy::log_end(&self.directory), envoy::Envoy::log_end),
            )),
        }
    }

    /// How many requests went to each Service (`namespace/name`) since Envoy started, as Envoy
    /// counted them: by way of the Service and of the Gateway, retries included.
    ///
    /// # Errors
    /// When Envoy's statistics cannot be read.
    pub async fn requests_by_service(&self) -> Result<BTreeMap<String, u64>> {
        let text = envoy::Admin::new()
            .get("/stats/prometheus?filter=upstream_rq_total")
            .await
            .context("requests by Service")?;
        Ok(count_by_service(&text))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn count_by_service(text: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("envoy_cluster_upstream_rq_total{") else { continue };
        let Some((_, rest)) = rest.split_once("envoy_cluster_name=\"") else { continue };
        let Some((cluster, rest)) = rest.split_once('"') else { continue };
        let Some((service, _port)) = cluster.rsplit_once('/') else { continue };
        let value = rest.split_whitespace().last().and_then(|value| value.parse::<u64>().ok());
        *counts.entry(service.to_owned()).or_default() += value.unwrap_or_default();
    }
    counts
}

/// The API of a kind of routes in one namespace.
fn route_api(client: &Client, kind: RouteKind, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &route_resource(kind))
}

fn route_resource(kind: RouteKind) -> ApiResource {
    let known = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind.name());
    ApiResource::from_gvk_with_plural(&known, kind.plural())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_the_ports_of_a_service() {
        let text = "# TYPE envoy_cluster_upstream_rq_total counter\n\
            envoy_cluster_upstream_rq_total{envoy_cluster_name=\"shop/web/80\"} 3\n\
            envoy_cluster_upstream_rq_total{envoy_cluster_name=\"shop/web/81\"} 4\n";
        assert_eq!(count_by_service(text), BTreeMap::from([("shop/web".to_owned(), 7)]));
    }
}
