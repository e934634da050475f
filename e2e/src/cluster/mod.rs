//! A Kubernetes control plane and its pods, private to this process.

pub mod audit;
pub mod certificates;
pub mod hosts;
pub mod isolation;
pub mod kubelet;
pub mod process;
pub mod registry;
pub mod tools;
pub mod wait;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use tokio::process::Command;

use self::audit::Entry;
use self::certificates::Authority;
use self::hosts::{Hosts, Names};
use self::kubelet::Kubelet;
use self::kubelet::faults::Faults;
use self::process::Process;
use self::registry::Registry;
use self::tools::Tools;
use crate::metrics::{Options, Prometheus};
use crate::network::{Network, apply_gateway_api};

/// Where the API server is, inside.
const SERVER: &str = "https://127.0.0.1:6443";
/// Where Prometheus is, inside.
const PROMETHEUS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9090);
/// Who has every right: the test, the parts of the cluster, and a person.
const USERS: [&str; 5] = ["admin", "kubelet", "controller-manager", "scheduler", Cluster::PERSON];
/// Longest start of one part, with room for a busy machine.
const START: Duration = Duration::from_secs(120);

/// A running cluster. Dropping it kills every process of it.
pub struct Cluster {
    /// Names that processes of the cluster resolve.
    pub hosts: Hosts,
    /// Images that pods may use.
    pub registry: Registry,
    /// What goes wrong with pods.
    pub faults: Faults,
    /// The Service network and the Gateway.
    pub network: Network,
    /// What scrapes the pods.
    pub prometheus: Prometheus,
    client: Client,
    directory: PathBuf,
    tools: Tools,
    api_server: Process,
    _kubelet: Kubelet,
    _names: Names,
    _others: Vec<Process>,
}

impl Cluster {
    /// The name of a person with every right, who is not the test itself: what this user wrote
    /// can be told apart in the audit log.
    pub const PERSON: &str = "person";

    /// Starts everything, with state and logs below `directory`. Only inside namespaces of our
    /// own, after [`isolation::enter`].
    ///
    /// # Errors
    /// A tool is missing, or a part does not come up; the error shows the end of its log.
    pub async fn start(directory: &Path, tools: Tools) -> Result<Self> {
        std::fs::create_dir_all(directory).context("cannot make the cluster's folder")?;
        let hosts = Hosts::mount(directory)?;
        write_files(directory)?;
        for user in USERS {
            write_kubeconfig(directory, user, &format!("{user}-token"))?;
        }
        let mut etcd = start_etcd(directory, &tools)?;
        let mut api_server = start_api_server(directory, &tools)?;
        let client = client(&directory.join("admin.kubeconfig")).await?;
        ready(&client, &mut [&mut etcd, &mut api_server]).await?;
        let manager = start_controllers(directory, &tools)?;
        let scheduler = start_scheduler(directory, &tools)?;
        let own = std::env::current_exe().context("cannot tell which program this is")?;
        let (registry, faults) = (Registry::new(&own), Faults::default());
        let kubelet_client = self::client(&directory.join("kubelet.kubeconfig")).await?;
        let pods = directory.join("pods");
        let kubelet =
            Kubelet::start(kubelet_client, registry.clone(), faults.clone(), &pods).await?;
        apply_gateway_api(&client).await?;
        let names = hosts.follow_services(&client);
        let options = Options { program: Some(tools.prometheus.clone()), ..Options::default() };
        let (network, metrics) = (directory.join("network"), directory.join("prometheus"));
        let (network, prometheus) = tokio::try_join!(
            Network::start(client.clone(), &network, &tools.envoy),
            Prometheus::start_with(client.clone(), &metrics, PROMETHEUS, options),
        )?;
        Ok(Self {
            hosts,
            registry,
            faults,
            network,
            prometheus,
            client,
            directory: directory.to_owned(),
            tools,
            api_server,
            _kubelet: kubelet,
            _names: names,
            _others: vec![etcd, manager, scheduler],
        })
    }

    /// A client with every right.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Where state and logs are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A kubeconfig file with every right.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// A kubeconfig file of [`Cluster::PERSON`].
    #[must_use]
    pub fn kubeconfig_of_person(&self) -> PathBuf {
        self.directory.join(format!("{}.kubeconfig", Self::PERSON))
    }

    /// A kubeconfig file for a service account, whose token is valid for an hour.
    ///
    /// # Errors
    /// There is no such service account, or the file cannot be written.
    pub async fn kubeconfig_of(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        kubeconfig_of(&self.client, &self.directory, namespace, name).await
    }

    /// Every write so far, oldest first.
    ///
    /// # Errors
    /// The audit log cannot be read.
    pub fn audit(&self) -> Result<Vec<Entry>> {
        audit::read(&self.directory.join("audit.log"))
    }

    /// Kills the API server, and leaves it dead.
    ///
    /// # Errors
    /// The process cannot be killed.
    pub async fn kill_api_server(&mut self) -> Result<()> {
        self.api_server.kill().await.map(drop)
    }

    /// Kills the API server if it runs, starts it again, and waits until it is ready.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn restart_api_server(&mut self) -> Result<()> {
        self.kill_api_server().await?;
        self.api_server = start_api_server(&self.directory, &self.tools)?;
        ready(&self.client, &mut [&mut self.api_server]).await
    }
}

async fn kubeconfig_of(
    client: &Client,
    directory: &Path,
    namespace: &str,
    name: &str,
) -> Result<PathBuf> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let spec = Some(TokenRequestSpec { expiration_seconds: Some(3600), ..Default::default() });
    let request = TokenRequest { spec, ..Default::default() };
    let answer = accounts
        .create_token_request(name, &PostParams::default(), &request)
        .await
        .with_context(|| format!("no token for service account {namespace}/{name}"))?;
    let token = answer.status.and_then(|status| status.token);
    let token = token.context("the token request has no answer")?;
    write_kubeconfig(directory, &format!("serviceaccount-{namespace}-{name}"), &token)
}

/// A control plane alone: pods that are bound to a node run nowhere, and nothing routes.
pub struct ControlPlane {
    client: Client,
    directory: PathBuf,
    _processes: [Process; 4],
}

impl ControlPlane {
    /// Starts it, with state and logs below `directory`, and writes down what this audit policy
    /// asks for. Only inside namespaces of our own, after [`isolation::enter`].
    ///
    /// # Errors
    /// A tool is missing, or a part does not come up; the error shows the end of its log.
    pub async fn start(directory: &Path, tools: &Tools, audit_policy: &str) -> Result<Self> {
        std::fs::create_dir_all(directory).context("cannot make the cluster's folder")?;
        write_files(directory)?;
        std::fs::write(directory.join("audit-policy.yaml"), audit_policy)
            .context("cannot write the audit policy")?;
        for user in USERS {
            write_kubeconfig(directory, user, &format!("{user}-token"))?;
        }
        let mut etcd = start_etcd(directory, tools)?;
        let mut api_server = start_api_server(directory, tools)?;
        let client = client(&directory.join("admin.kubeconfig")).await?;
        ready(&client, &mut [&mut etcd, &mut api_server]).await?;
        let others = [start_controllers(directory, tools)?, start_scheduler(directory, tools)?];
        let [controllers, scheduler] = others;
        apply_gateway_api(&client).await?;
        let processes = [etcd, api_server, controllers, scheduler];
        Ok(Self { client, directory: directory.to_owned(), _processes: processes })
    }

    /// A client with every right.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A kubeconfig file with every right.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// A kubeconfig file for a service account, whose token is valid for an hour.
    ///
    /// # Errors
    /// There is no such service account, or the file cannot be written.
    pub async fn kubeconfig_of(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        kubeconfig_of(&self.client, &self.directory, namespace, name).await
    }
}

/// A client for a kubeconfig file.
///
/// # Errors
/// The file is no kubeconfig.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    let read = Kubeconfig::read_from(kubeconfig).context("cannot read a kubeconfig")?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .context("cannot use a kubeconfig")?;
    Client::try_from(config).context("cannot make a client")
}

async fn ready(client: &Client, processes: &mut [&mut Process]) -> Result<()> {
    let deadline = tokio::time::Instant::now() + START;
    loop {
        for process in processes.iter_mut() {
            process.ensure_running()?;
        }
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        anyhow::ensure!(!left.is_zero(), "the API server is not ready in {} s", START.as_secs());
        let look = || async {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            Ok(client.request_text(request).await.is_ok_and(|text| text == "ok").then_some(()))
        };
        if wait::until("API server", left.min(Duration::from_secs(1)), look).await.is_ok() {
            return Ok(());
        }
    }
}

/// Writes certificates, keys, tokens and the audit policy.
fn write_files(directory: &Path) -> Result<()> {
    let authority = Authority::new("backout-e2e")?;
    let names = ["127.0.0.1", "10.96.0.1", "10.244.0.1", "kubernetes.default.svc", "localhost"];
    let server = authority.server(&names)?;
    let (private, public) = certificates::signing_keys()?;
    let tokens =
        USERS.map(|user| format!("{user}-token,{user},{user},\"system:masters\"\n")).concat();
    let files = [
        ("ca.crt", authority.pem()),
        ("server.crt", server.certificate),
        ("server.key", server.key),
        ("accounts.key", private),
        ("accounts.pub", public),
        ("tokens", tokens),
        ("audit-policy.yaml", audit::POLICY.to_owned()),
    ];
    for (name, text) in files {
        std::fs::write(directory.join(name), text)
            .with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

fn write_kubeconfig(directory: &Path, user: &str, token: &str) -> Result<PathBuf> {
    let ca = directory.join("ca.crt");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "e2e",
            "cluster": {"server": SERVER, "certificate-authority": ca},
        }],
        "users": [{"name": "user", "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "user"}}],
        "current-context": "e2e",
    });
    let file = directory.join(format!("{user}.kubeconfig"));
    std::fs::write(&file, config.to_string()).context("cannot write a kubeconfig")?;
    Ok(file)
}

fn start_etcd(directory: &Path, tools: &Tools) -> Result<Process> {
    let mut command = Command::new(&tools.etcd);
    command.arg("--data-dir").arg(directory.join("etcd")).args([
        "--unsafe-no-fsync",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--initial-advertise-peer-urls=http://127.0.0.1:2380",
        "--initial-cluster=default=http://127.0.0.1:2380",
    ]);
    Process::start("etcd", &directory.join("etcd.log"), command)
}

fn start_api_server(directory: &Path, tools: &Tools) -> Result<Process> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", directory.join(name).display());
    let mut command = Command::new(&tools.control_plane);
    command.args([
        "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        "--secure-port=6443",
        "--bind-address=127.0.0.1",
        "--advertise-address=10.244.0.1",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
    ]);
    command.args([
        file("tls-cert-file", "server.crt"),
        file("tls-private-key-file", "server.key"),
        file("cert-dir", "certificates"),
        file("service-account-key-file", "accounts.pub"),
        file("service-account-signing-key-file", "accounts.key"),
        file("token-auth-file", "tokens"),
        file("audit-policy-file", "audit-policy.yaml"),
        file("audit-log-path", "audit.log"),
    ]);
    Process::start("kube-apiserver", &directory.join("kube-apiserver.log"), command)
}

fn start_controllers(directory: &Path, tools: &Tools) -> Result<Process> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", directory.join(name).display());
    let mut command = Command::new(&tools.control_plane);
    command.args(["kube-controller-manager", "--leader-elect=false", "--controllers=*,-nodeipam"]);
    // As large clusters have it: with 20 requests a second, pods would be waited for, not tested.
    command.args(["--kube-api-qps=200", "--kube-api-burst=400"]);
    command.args([
        file("kubeconfig", "controller-manager.kubeconfig"),
        file("service-account-private-key-file", "accounts.key"),
        file("root-ca-file", "ca.crt"),
    ]);
    let log = directory.join("kube-controller-manager.log");
    Process::start("kube-controller-manager", &log, command)
}

fn start_scheduler(directory: &Path, tools: &Tools) -> Result<Process> {
    let mut command = Command::new(&tools.control_plane);
    command.args(["kube-scheduler", "--leader-elect=false"]);
    command.arg(format!("--kubeconfig={}", directory.join("scheduler.kubeconfig").display()));
    Process::start("kube-scheduler", &directory.join("kube-scheduler.log"), command)
}
