//! A trial of the network itself, so that a failing scenario is not the harness's own fault.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{GATEWAY_ADDRESS, GATEWAY_PORT, Network, RouteKind, route_api};
use crate::load::{Load, Plan, Target};

const NAMESPACE: &str = "network-trial";
const HOST: &str = "trial.test";
const WITHIN: Duration = Duration::from_secs(20);

/// Shifts weights, takes an endpoint away and freezes the network under 200 requests per second,
/// and expects that no request fails and that shares follow (or, when frozen, do not).
///
/// # Errors
/// The first expectation that does not hold, or what could not be done.
pub async fn shifts_weights_without_failures(client: Client, network: &Network) -> Result<()> {
    let mut servers = Servers::default();
    for (address, release) in [(1, "old"), (2, "old"), (3, "new"), (4, "new")] {
        servers.start(address, release).await?;
    }
    Trial { client, network }.run(&mut servers).await
}

struct Trial<'n> {
    client: Client,
    network: &'n Network,
}

impl Trial<'_> {
    async fn run(&self, servers: &mut Servers) -> Result<()> {
        let cluster_ip = self.prepare().await?;
        let gateway: SocketAddr = format!("{GATEWAY_ADDRESS}:{GATEWAY_PORT}").parse()?;
        let direct: SocketAddr = format!("{cluster_ip}:80").parse()?;
        let by_gateway =
            Load::start(Plan::new(vec![Target::new("gateway", gateway, HOST)], 200.0))?;
        let by_service = Load::start(Plan::new(vec![Target::new("service", direct, "old")], 50.0))?;
        self.weights_are_followed(&by_gateway).await?;
        self.endpoints_are_honoured(&by_gateway, servers).await?;
        self.freezing_holds(&by_gateway).await?;
        let (gateway, service) = (by_gateway.stop().await, by_service.stop().await);
        tracing::info!(gateway = gateway.summary(), service = service.summary(), "trial's load");
        for report in [&gateway, &service] {
            ensure!(report.failures().is_empty(), "requests failed: {}", report.summary());
            ensure!(report.not_sent == 0, "the load was not as planned: {}", report.summary());
        }
        let only_old = service.releases().keys().eq(["old"]);
        ensure!(only_old, "the Service leads elsewhere: {}", service.summary());
        self.counts_agree(gateway.total() + service.total()).await?;
        self.edges_answer_as_specified().await
    }

    async fn weights_are_followed(&self, load: &Load) -> Result<()> {
        for (old, new, tolerance) in [(90, 10, 0.05), (50, 50, 0.08), (0, 100, 0.0), (0, 7, 0.0)] {
            self.weigh(old, new).await?;
            let expected = f64::from(new) / f64::from(old + new);
            self.share_is(load, expected, tolerance).await?;
        }
        Ok(())
    }

    async fn share_is(&self, load: &Load, expected: f64, tolerance: f64) -> Result<()> {
        let since = Instant::now();
        let enough = load.wait_until(|view| view.since(since).count() >= 600, WITHIN).await?;
        let share = enough.share("new", since).context("no release answered")?;
        ensure!(
            (share - expected).abs() <= tolerance,
            "the new release has {share} of the requests, expected {expected}"
        );
        Ok(())
    }

    async fn endpoints_are_honoured(&self, load: &Load, servers: &mut Servers) -> Result<()> {
        for addresses in [&[4][..], &[3, 4], &[3]] {
            self.slice("new", addresses).await?;
            let expected: BTreeSet<String> = addresses.iter().map(|number| pod(*number)).collect();
            self.network.await_endpoints(NAMESPACE, "new", 80, &expected, WITHIN).await?;
            let since = Instant::now();
            load.wait_until(|view| view.since(since).count() >= 200, WITHIN).await?;
        }
        // No longer an endpoint, so that its end is nobody's business.
        servers.stop(4);
        let since = Instant::now();
        load.wait_until(|view| view.since(since).count() >= 200, WITHIN).await?;
        Ok(())
    }

    async fn freezing_holds(&self, load: &Load) -> Result<()> {
        for gateway_only in [false, true] {
            if gateway_only {
                self.network.freeze_gateway_only();
            } else {
                self.network.freeze();
            }
            self.write_route(1, 0).await?;
            self.share_is(load, 1.0, 0.0).await.context("while frozen")?;
            self.network.thaw();
            self.await_route().await?;
            self.share_is(load, 0.0, 0.0).await.context("after the thaw")?;
            self.weigh(0, 1).await?;
        }
        self.network.delay(Duration::from_secs(2));
        let written = Instant::now();
        self.write_route(1, 0).await?;
        self.await_route().await?;
        ensure!(written.elapsed() >= Duration::from_secs(2), "the delay was not kept");
        self.network.thaw();
        self.share_is(load, 0.0, 0.0).await.context("after the delay")
    }

    async fn counts_agree(&self, sent: usize) -> Result<()> {
        let counts = self.network.requests_by_service().await?;
        let own = |name: &str| counts.get(&format!("{NAMESPACE}/{name}")).copied().unwrap_or(0);
        let counted = own("old") + own("new");
        ensure!(counted >= sent as u64, "Envoy counted {counted} requests, {sent} were sent");
        Ok(())
    }

    /// The Gateway API asks for 500 where no backend is meant or found, and 503 where one is
    /// found without endpoints.
    async fn edges_answer_as_specified(&self) -> Result<()> {
        self.slice("new", &[]).await?;
        self.network.await_endpoints(NAMESPACE, "new", 80, &BTreeSet::new(), WITHIN).await?;
        self.weigh(0, 1).await?;
        self.answers(HOST, 503).await.context("a Service without endpoints")?;
        self.weigh(0, 0).await?;
        self.answers(HOST, 500).await.context("no weight at all")?;
        self.answers("other.test", 404).await.context("a host without routes")?;
        let services: Api<Service> = Api::namespaced(self.client.clone(), NAMESPACE);
        services.delete("new", &DeleteParams::default()).await.context("Service new")?;
        self.weigh(0, 1).await?;
        self.answers(HOST, 500).await.context("a Service that does not exist")
    }

    async fn answers(&self, host: &str, status: u16) -> Result<()> {
        let gateway: SocketAddr = format!("{GATEWAY_ADDRESS}:{GATEWAY_PORT}").parse()?;
        let load = Load::start(Plan::new(vec![Target::new("edge", gateway, host)], 100.0))?;
        let expected = crate::load::Outcome::Answered(status);
        // A Service that is deleted is noticed a moment later.
        let seen = |view: &crate::load::Report| {
            view.records.last().is_some_and(|record| record.outcome == expected)
        };
        let outcome = load.wait_until(seen, Duration::from_secs(5)).await;
        load.stop().await;
        outcome.with_context(|| format!("expected status {status} for {host}")).map(drop)
    }

    async fn prepare(&self) -> Result<String> {
        let parameters = PatchParams::apply("network-trial").force();
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE },
        });
        namespaces.patch(NAMESPACE, &parameters, &Patch::Apply(namespace)).await?;
        let services: Api<Service> = Api::namespaced(self.client.clone(), NAMESPACE);
        let mut cluster_ip = String::new();
        for (name, addresses) in [("new", [3, 4]), ("old", [1, 2])] {
            let service = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
                "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
            });
            let made = services.patch(name, &parameters, &Patch::Apply(service)).await?;
            cluster_ip = made.spec.and_then(|spec| spec.cluster_ip).context("no ClusterIP")?;
            self.slice(name, &addresses).await?;
            let expected = addresses.iter().map(|number| pod(*number)).collect();
            self.network.await_endpoints(NAMESPACE, name, 80, &expected, WITHIN).await?;
        }
        self.weigh(90, 10).await?;
        Ok(cluster_ip)
    }

    async fn slice(&self, service: &str, addresses: &[u8]) -> Result<()> {
        let api: Api<EndpointSlice> = Api::namespaced(self.client.clone(), NAMESPACE);
        let endpoints: Vec<Value> = addresses
            .iter()
            .map(|number| json!({ "addresses": [pod(*number)], "conditions": { "ready": true } }))
            .collect();
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": service, "labels": { "kubernetes.io/service-name": service } },
            "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080 }],
            "endpoints": endpoints,
        });
        let parameters = PatchParams::apply("network-trial").force();
        api.patch(service, &parameters, &Patch::Apply(slice)).await.context("slice not written")?;
        Ok(())
    }

    async fn weigh(&self, old: u32, new: u32) -> Result<()> {
        self.write_route(old, new).await?;
        self.await_route().await
    }

    async fn await_route(&self) -> Result<()> {
        self.network.await_route(RouteKind::Http, NAMESPACE, "trial", WITHIN).await
    }

    async fn write_route(&self, old: u32, new: u32) -> Result<()> {
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": { "name": "trial" },
            "spec": {
                "parentRefs": [{ "name": "gateway" }],
                "hostnames": [HOST],
                "rules": [{ "backendRefs": [
                    { "name": "old", "port": 80, "weight": old },
                    { "name": "new", "port": 80, "weight": new },
                ] }],
            },
        });
        let parameters = PatchParams::apply("network-trial").force();
        route_api(&self.client, RouteKind::Http, NAMESPACE)
            .patch("trial", &parameters, &Patch::Apply(route))
            .await
            .context("HTTPRoute trial not written")?;
        Ok(())
    }
}

fn pod(number: u8) -> String {
    format!("10.244.200.{number}")
}

/// Small servers that say which release they are.
#[derive(Default)]
struct Servers {
    running: Vec<(u8, JoinHandle<()>)>,
}

impl Servers {
    async fn start(&mut self, number: u8, release: &'static str) -> Result<()> {
        let address = format!("{}:8080", pod(number));
        let listener = TcpListener::bind(&address).await.with_context(|| {
            format!("{address} not bound; run this in a namespace where 10.244.0.0/16 is local")
        })?;
        let task = tokio::spawn(async move {
            // Connections end with the task that owns them all.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(move |_: Request<Incoming>| async move {
                    let mut response = Response::new(Full::new(Bytes::from_static(b"ok")));
                    let name = hyper::header::HeaderValue::from_static(release);
                    response.headers_mut().insert("x-release", name);
                    Ok::<_, Infallible>(response)
                });
                let serving = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                connections.spawn(serving);
            }
        });
        self.running.push((number, task));
        Ok(())
    }

    fn stop(&mut self, number: u8) {
        for (_, task) in self.running.extract_if(.., |(running, _)| *running == number) {
            task.abort();
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for (_, task) in &self.running {
            task.abort();
        }
    }
}
