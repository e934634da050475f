//! A Prometheus process with a history of its own, on a loopback port of its own.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use backout_core::units::Time;
use backout_world::failure::Failure;
use backout_world::prometheus::{Access, Client, Remedy};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// When the history begins, in seconds. Any time does: a server answers of the past as of now.
pub(crate) const BEGIN: u64 = 1_700_000_000;

/// A server that ends with the test.
pub(crate) struct Server {
    _process: Child,
    _folder: TempDir,
    pub(crate) address: SocketAddr,
}

/// What a server is started with.
#[derive(Default)]
pub(crate) struct Setup<'a> {
    /// Samples in the OpenMetrics text format, without its last line.
    pub(crate) history: &'a str,
    /// What is scraped, as the configuration says it; nothing when it is empty.
    pub(crate) scrape: &'a str,
    /// The web configuration, and the files that it names.
    pub(crate) web: Option<(&'a str, Vec<(&'a str, String)>)>,
}

/// Whether there is a Prometheus to test against. Where all tests are wanted, there must be.
pub(crate) fn is_installed(test: &str) -> bool {
    let found = std::process::Command::new("prometheus")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    assert!(
        std::env::var_os("BACKOUT_E2E_KUBECONFIG").is_none(),
        "{test} needs the program `prometheus`: install it, or put it into PATH"
    );
    // Written past the test harness, which would swallow it when the test passes.
    let told = writeln!(
        std::io::stderr(),
        "SKIPPED {test}: the program `prometheus` is not installed, so that nothing was tested"
    );
    told.expect("standard error takes text");
    false
}

/// Starts a server, and waits until it answers.
pub(crate) async fn start(setup: Setup<'_>) -> Server {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path();
    std::fs::write(path.join("prometheus.yml"), setup.scrape).expect("writable");
    if !setup.history.is_empty() {
        blocks(path, setup.history).await;
    }
    if let Some((config, files)) = &setup.web {
        std::fs::write(path.join("web.yml"), config).expect("writable");
        for (name, content) in files {
            std::fs::write(path.join(name), content).expect("writable");
        }
    }
    // Between finding a free port and using it, somebody else may take it.
    for _ in 0..5 {
        let address = free_address();
        let mut process = spawn(path, address, setup.web.is_some());
        if listens(&mut process, address).await {
            return Server { _process: process, _folder: folder, address };
        }
    }
    panic!("Prometheus does not start");
}

async fn blocks(folder: &Path, history: &str) {
    let text = folder.join("history.txt");
    std::fs::write(&text, format!("{history}# EOF\n")).expect("writable");
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .arg(&text)
        .arg(folder.join("data"))
        .output()
        .await
        .expect("promtool comes with prometheus");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn spawn(folder: &Path, address: SocketAddr, with_web: bool) -> Child {
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--storage.tsdb.retention.time=100y")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    if with_web {
        command.arg(format!("--web.config.file={}", folder.join("web.yml").display()));
    }
    command.spawn().expect("prometheus can be started")
}

/// Waits until something listens; it does not when the process ended instead.
async fn listens(process: &mut Child, address: SocketAddr) -> bool {
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if process.try_wait().expect("a child can be asked").is_some() {
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "Prometheus does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    true
}

pub(crate) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it has an address")
}

impl Server {
    pub(crate) fn access(&self) -> Access {
        Access::new(format!("http://{}", self.address))
    }
}

/// A client of a server that answers: it says `503` until it has read its history.
pub(crate) async fn ready(access: &Access) -> Client {
    let client = Client::new(access).expect("the access can be used");
    let begun = Instant::now();
    while let Err(failure) = ask(&client, "vector(1)").await {
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", failure.in_full());
        assert!(failure.message.contains("503"), "{}", failure.in_full());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client
}

/// What a query answers of its first series at the end of the window of these tests.
pub(crate) async fn ask(client: &Client, query: &str) -> Result<Option<f64>, Failure> {
    let at = Time::from_millis((BEGIN + 660) * 1_000 - 1);
    let answer = client.query(query, at, Remedy::Narrow).await?;
    Ok(answer.series.first().and_then(|series| series.samples.first()).map(|last| last.value))
}

/// A history as text: values of a series every 15 seconds from a second on.
#[derive(Default)]
pub(crate) struct History(String);

impl History {
    pub(crate) fn series(&mut self, series: &str, from: u64, values: &[u64]) {
        for (at, value) in (BEGIN + from..).step_by(15).zip(values) {
            writeln!(self.0, "{series} {value} {at}").expect("text takes text");
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}
