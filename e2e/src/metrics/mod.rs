//! A real Prometheus that scrapes the pods of the test cluster.
//!
//! Prometheus 2.42 takes new targets over in steps of five seconds, twice: a new pod is scraped
//! for the first time [`DISCOVERY_LAG`] after it runs at the latest.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::reflector::{Store, reflector, store::Writer};
use kube::runtime::watcher;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

mod probe;

/// How long it may take at most until a pod that runs is scraped for the first time.
pub const DISCOVERY_LAG: Duration = Duration::from_secs(11);

/// A watch that failed is tried again after this time.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// Who may ask Prometheus, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Seconds between two scrapes; 0 means 1.
    pub scrape_interval_s: u32,
    /// Name and bcrypt hash of the password of the one user who may ask.
    pub basic_auth: Option<(String, String)>,
    /// Certificate chain and key in PEM; with them Prometheus answers by TLS only.
    pub tls: Option<(String, String)>,
    /// The program; `prometheus` from the path if absent.
    pub program: Option<PathBuf>,
}

/// A Prometheus with its list of targets.
pub struct Prometheus {
    directory: PathBuf,
    listen: SocketAddr,
    options: Options,
    process: Option<Child>,
    task: JoinHandle<()>,
}

impl Prometheus {
    /// Starts Prometheus with its files in `directory` and waits until it is ready.
    ///
    /// # Errors
    /// When the directory cannot be written, or Prometheus does not become ready.
    pub async fn start(client: Client, directory: &Path, listen: SocketAddr) -> Result<Self> {
        Self::start_with(client, directory, listen, Options::default()).await
    }

    /// The same with options.
    ///
    /// # Errors
    /// When the directory cannot be written, or Prometheus does not become ready.
    pub async fn start_with(
        client: Client,
        directory: &Path,
        listen: SocketAddr,
        options: Options,
    ) -> Result<Self> {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("directory {} not made", directory.display()))?;
        let directory = directory
            .canonicalize()
            .with_context(|| format!("directory {} not found", directory.display()))?;
        write(&directory, "targets.json", &json!([]))?;
        write(&directory, "prometheus.json", &configuration(&options))?;
        write(&directory, "web.json", &web_configuration(&directory, &options)?)?;
        let task = tokio::spawn(follow(client, directory.clone()));
        let mut prometheus = Self { directory, listen, options, process: None, task };
        prometheus.start_again().await?;
        Ok(prometheus)
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.listen)
    }

    /// Ends the process; what it stored stays for [`Prometheus::start_again`].
    ///
    /// # Errors
    /// When the process cannot be ended.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().await.context("Prometheus not ended"),
            None => Ok(()),
        }
    }

    /// Starts the process, if it does not run, on what was stored before.
    ///
    /// # Errors
    /// When it does not become ready within 30 s.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.process.is_some() {
            return Ok(());
        }
        let path = self.directory.join("prometheus.log");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("Prometheus' log {} not opened", path.display()))?;
        let program = self.options.program.clone().unwrap_or_else(|| "prometheus".into());
        let process = Command::new(&program)
            .arg(argument("config.file", &self.directory.join("prometheus.json")))
            .arg(argument("storage.tsdb.path", &self.directory.join("data")))
            .arg(argument("web.config.file", &self.directory.join("web.json")))
            .arg(format!("--web.listen-address={}", self.listen))
            .arg("--log.level=warn")
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("Prometheus' log not shared")?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("Prometheus not started from {}", program.display()))?;
        let process = self.process.insert(process);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = process.try_wait().context("Prometheus' state unknown")? {
                bail!("Prometheus ended with {status}; see {}", path.display());
            }
            if ready(self.listen, &self.options).await {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("Prometheus not ready within 30 s; see {}", path.display());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a query has a result. Only without TLS and authentication.
    ///
    /// # Errors
    /// When it has none in time.
    pub async fn await_result(&self, query: &str, within: Duration) -> Result<Value> {
        let deadline = Instant::now() + within;
        loop {
            let answer = probe::query(self.listen, query).await;
            if let Ok(answer) = &answer
                && answer["data"]["result"].as_array().is_some_and(|result| !result.is_empty())
            {
                return Ok(answer["data"]["result"].clone());
            }
            if Instant::now() > deadline {
                bail!("query {query} without a result after {within:?}; last answer {answer:?}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn argument(name: &str, path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from(format!("--{name}="));
    argument.push(path);
    argument
}

/// Ready when the page says so. A page that asks for a password, or speaks TLS, is judged by the
/// port alone: the test's own client is what is to be tested then.
async fn ready(listen: SocketAddr, options: &Options) -> bool {
    if options.tls.is_some() || options.basic_auth.is_some() {
        let connected = timeout(Duration::from_secs(1), TcpStream::connect(listen)).await;
        return matches!(connected, Ok(Ok(_)));
    }
    probe::get(listen, "/-/ready").await.is_ok()
}

fn configuration(options: &Options) -> Value {
    let interval = format!("{}s", options.scrape_interval_s.max(1));
    // JSON is YAML.
    json!({
        "global": { "scrape_interval": interval, "scrape_timeout": interval },
        "scrape_configs": [{
            "job_name": "pods",
            "file_sd_configs": [{ "files": ["targets.json"], "refresh_interval": "1s" }],
        }],
    })
}

fn web_configuration(directory: &Path, options: &Options) -> Result<Value> {
    let mut web = json!({});
    if let Some((user, hash)) = &options.basic_auth {
        web["basic_auth_users"] = json!({ user: hash });
    }
    if let Some((certificate, key)) = &options.tls {
        for (name, content) in [("web.crt", certificate), ("web.key", key)] {
            let path = directory.join(name);
            std::fs::write(&path, content)
                .with_context(|| format!("{} not written", path.display()))?;
        }
        web["tls_server_config"] = json!({ "cert_file": "web.crt", "key_file": "web.key" });
    }
    Ok(web)
}

/// Replaces a file as a whole, as Prometheus may read it at any moment.
fn write(directory: &Path, name: &str, content: &Value) -> Result<()> {
    let (new, path) = (directory.join(format!("{name}.new")), directory.join(name));
    std::fs::write(&new, content.to_string())
        .with_context(|| format!("{} not written", new.display()))?;
    std::fs::rename(&new, &path).with_context(|| format!("{} not replaced", path.display()))
}

async fn follow(client: Client, directory: PathBuf) {
    let writer = Writer::<Pod>::default();
    let pods = writer.as_reader();
    let stream = watcher(Api::all(client), watcher::Config::default());
    let mut events = pin!(reflector(writer, stream));
    let mut written = json!([]);
    while let Some(event) = events.next().await {
        if let Err(error) = event {
            tracing::debug!(%error, "watch of pods failed; tried again");
            sleep(TRY_AGAIN).await;
            continue;
        }
        let wanted = targets(&pods);
        if wanted == written {
            continue;
        }
        match write(&directory, "targets.json", &wanted) {
            Ok(()) => written = wanted,
            Err(error) => tracing::warn!(%error, "targets of Prometheus not written"),
        }
    }
}

fn targets(pods: &Store<Pod>) -> Value {
    let found: BTreeMap<String, Value> = pods
        .state()
        .iter()
        .filter_map(|pod| Some((format!("{:?}/{}", pod.namespace(), pod.name_any()), target(pod)?)))
        .collect();
    found.into_values().collect()
}

fn target(pod: &Pod) -> Option<Value> {
    let status = pod.status.as_ref()?;
    let address = status.pod_ip.as_ref()?;
    let annotation = |name: &str| pod.annotations().get(&format!("prometheus.io/{name}"));
    let wanted = annotation("scrape").is_none_or(|value| value != "false");
    if status.phase.as_deref() != Some("Running") || !wanted {
        return None;
    }
    let port: u16 = annotation("port").map_or(Some(8080), |port| port.parse().ok())?;
    let labels = pod.labels();
    let release = labels.get("backout.dev/release").or_else(|| labels.get("app"));
    Some(json!({
        "targets": [format!("{address}:{port}")],
        "labels": {
            "namespace": pod.namespace().unwrap_or_default(),
            "pod": pod.name_any(),
            "release": release.cloned().unwrap_or_default(),
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotations: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "web-1", "namespace": "shop", "annotations": annotations,
                "labels": { "app": "web", "backout.dev/release": "v2" },
            },
            "status": { "phase": "Running", "podIP": "10.244.3.7" },
        }))
        .expect("a pod")
    }

    #[test]
    fn a_running_pod_is_a_target_with_its_release() {
        let target = target(&pod(&json!({ "prometheus.io/port": "9000" }))).expect("a target");
        assert_eq!(target["targets"], json!(["10.244.3.7:9000"]));
        assert_eq!(target["labels"]["release"], "v2");
    }

    #[test]
    fn a_pod_may_ask_not_to_be_scraped() {
        assert_eq!(target(&pod(&json!({ "prometheus.io/scrape": "false" }))), None);
    }
}
