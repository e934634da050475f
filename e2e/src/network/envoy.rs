//! The Envoy process: its bootstrap, its discovery files and its admin interface.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Where Envoy's admin interface listens.
pub const ADMIN_ADDRESS: &str = "127.0.0.1:9901";

/// The largest admin answer that is read. Statistics of a test's few Services are far smaller.
const ANSWER_LIMIT_BYTES: usize = 32 << 20;
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Envoy applies a file within some milliseconds; this is how often its admin interface is asked.
const ASK_EVERY: Duration = Duration::from_millis(5);

/// A running Envoy with discovery from files.
#[derive(Debug)]
pub(super) struct Envoy {
    process: Child,
    directory: PathBuf,
}

impl Envoy {
    /// Starts Envoy and waits until it is live. `directory` holds bootstrap, files and log.
    pub(super) async fn start(program: &Path, directory: &Path) -> Result<Self> {
        let bootstrap = directory.join("bootstrap.json");
        std::fs::write(&bootstrap, bootstrap_of(directory).to_string())
            .with_context(|| format!("Envoy's bootstrap {} not written", bootstrap.display()))?;
        let log_path = directory.join("envoy.log");
        let log = std::fs::File::create(&log_path)
            .with_context(|| format!("Envoy's log {} not created", log_path.display()))?;
        let process = Command::new(program)
            .arg("--config-path")
            .arg(&bootstrap)
            // A hot restart shares memory by a number that is the same for the whole machine.
            .args(["--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"])
            // Listeners that are removed go away soon, as tests create their Services again.
            .args(["--drain-time-s", "2", "--drain-strategy", "immediate"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("Envoy's log not shared")?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("Envoy not started from {}", program.display()))?;
        let mut envoy = Self { process, directory: directory.to_owned() };
        envoy.ready(Duration::from_secs(20)).await?;
        Ok(envoy)
    }

    async fn ready(&mut self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        let admin = Admin::new();
        loop {
            if let Some(status) = self.process.try_wait().context("Envoy's state unknown")? {
                bail!("Envoy ended with {status} before it was live: {}", self.log_end());
            }
            if admin.get("/ready").await.is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("Envoy not live after {within:?}: {}", self.log_end());
            }
            sleep(ASK_EVERY).await;
        }
    }

    /// The last lines of Envoy's log, where it says why it refused something.
    pub(super) fn log_end(&self) -> String {
        log_end(&self.directory)
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        self.process.kill().await.context("Envoy not ended")
    }
}

/// The last lines of the log in this directory.
pub(super) fn log_end(directory: &Path) -> String {
    let path = directory.join("envoy.log");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(5);
    format!("its log {} ends with: {}", path.display(), lines[from..].join(" | "))
}

fn bootstrap_of(directory: &Path) -> Value {
    let file = |name: &str| {
        json!({
            "resource_api_version": "V3",
            "path_config_source": { "path": directory.join(name) },
        })
    };
    let (host, port) = ADMIN_ADDRESS.split_once(':').unwrap_or(("127.0.0.1", "9901"));
    json!({
        "node": { "id": "backout-e2e", "cluster": "backout-e2e" },
        "admin": { "address": { "socket_address": {
            "address": host,
            "port_value": port.parse::<u16>().unwrap_or(9901),
        } } },
        "dynamic_resources": {
            "cds_config": file(super::translate::CLUSTERS),
            "lds_config": file(super::translate::LISTENERS),
        },
    })
}

/// Replaces a discovery file as a whole, by a rename: Envoy reads it on the move event.
pub(super) fn replace(directory: &Path, name: &str, content: &Value) -> Result<()> {
    let path = directory.join(name);
    let new = directory.join(format!("{name}.new"));
    std::fs::write(&new, content.to_string())
        .with_context(|| format!("discovery file {} not written", new.display()))?;
    std::fs::rename(&new, &path)
        .with_context(|| format!("discovery file {} not replaced", path.display()))
}

/// Envoy's admin interface.
#[derive(Clone, Debug)]
pub(super) struct Admin {
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Admin {
    pub(super) fn new() -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// The body of a page. Another status than 200 is an error.
    pub(super) async fn get(&self, path: &str) -> Result<String> {
        let asked = || format!("Envoy's admin page http://{ADMIN_ADDRESS}{path}");
        let uri = format!("http://{ADMIN_ADDRESS}{path}").parse().with_context(asked)?;
        let read = async {
            let response = self.client.get(uri).await.with_context(asked)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_LIMIT_BYTES)
                .collect()
                .await
                .map_err(|error| anyhow::anyhow!("{}: not read: {error}", asked()))?;
            if !status.is_success() {
                bail!("{} answered {status}", asked());
            }
            String::from_utf8(body.to_bytes().into()).with_context(asked)
        };
        timeout(ANSWER_WITHIN, read).await.with_context(asked)?
    }

    /// Which version of each discovery file Envoy works with, by the statistic's scope.
    pub(super) async fn versions(&self) -> Result<BTreeMap<String, String>> {
        let text = self.get("/stats?type=TextReadouts").await?;
        let found = text.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let scope = name.strip_suffix(".version_text")?;
            Some((scope.to_owned(), value.trim().trim_matches('"').to_owned()))
        });
        Ok(found.collect())
    }

    /// Waits until Envoy works with these versions, and until nothing of it is still warming.
    pub(super) async fn works_with(
        &self,
        expected: &BTreeMap<String, String>,
        within: Duration,
    ) -> Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let versions = self.versions().await?;
            let behind =
                expected.iter().find(|(scope, version)| versions.get(*scope) != Some(version));
            match behind {
                None if self.nothing_warms().await? => return Ok(()),
                None if Instant::now() > deadline => {
                    bail!("Envoy still warms listeners or clusters after {within:?}");
                }
                Some((scope, version)) if Instant::now() > deadline => bail!(
                    "Envoy did not take version {version} of {scope} within {within:?} (it has {:?})",
                    versions.get(scope)
                ),
                _ => sleep(ASK_EVERY).await,
            }
        }
    }

    async fn nothing_warms(&self) -> Result<bool> {
        let text = self.get("/stats?filter=warming&type=Gauges").await?;
        Ok(text.lines().all(|line| line.ends_with(": 0")))
    }
}
