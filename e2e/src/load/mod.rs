//! Steady load from users who do not wait for each other: a late answer delays no other request.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};

mod report;

pub use report::{Failed, Outcome, Record, Report, Span, TargetReport};

/// The largest answer that is read to its end; a longer one is a failure.
const ANSWER_LIMIT_BYTES: usize = 1 << 20;

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Target {
    /// What the report calls it.
    pub name: String,
    /// The address that is connected to.
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// Further headers, sent with every request.
    pub headers: Vec<(String, String)>,
}

impl Target {
    /// A target at `/` of this address.
    #[must_use]
    pub fn new(name: &str, address: SocketAddr, host: &str) -> Self {
        Self {
            name: name.to_owned(),
            address,
            host: host.to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
        }
    }

    /// Resolves `host:port` by the system's resolver.
    ///
    /// # Errors
    /// When the name does not resolve.
    pub async fn resolve(name: &str, host_and_port: &str) -> Result<Self> {
        let address = tokio::net::lookup_host(host_and_port)
            .await
            .with_context(|| format!("load target {host_and_port} does not resolve"))?
            .next()
            .with_context(|| format!("load target {host_and_port} has no address"))?;
        Ok(Self::new(name, address, host_and_port))
    }

    /// The same at another path.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }
}

/// What load to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Targets, which take turns.
    pub targets: Vec<Target>,
    /// Requests per second over all targets.
    pub rate_per_s: f64,
    /// Connections that are kept open per target.
    pub connections: usize,
    /// Requests that may be under way at once; what would be more is not sent, and counted.
    pub in_flight: usize,
    /// How long an answer may take.
    pub answer_within: Duration,
}

impl Plan {
    /// A plan with bounds that suit a test: 32 connections, 1,000 requests under way, 10 s.
    #[must_use]
    pub fn new(targets: Vec<Target>, rate_per_s: f64) -> Self {
        let answer_within = Duration::from_secs(10);
        Self { targets, rate_per_s, connections: 32, in_flight: 1_000, answer_within }
    }
}

/// What is written down while the load runs.
#[derive(Debug, Default)]
struct Book {
    records: Vec<Arc<Record>>,
    not_sent: u64,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    book: Mutex<Book>,
    /// Counts what was written down, so that a watcher wakes when something was.
    news: watch::Sender<u64>,
    started: Instant,
}

impl Shared {
    fn report(&self) -> Report {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let targets = self.plan.targets.iter().map(|target| target.name.clone()).collect();
        Report::new(self.started, targets, book.records.clone(), book.not_sent)
    }

    fn write_down(&self, record: Option<Record>) {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        match record {
            Some(record) => book.records.push(Arc::new(record)),
            None => book.not_sent += 1,
        }
        drop(book);
        self.news.send_modify(|news| *news += 1);
    }
}

/// Load that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    task: JoinHandle<()>,
}

impl Load {
    /// Starts the load.
    ///
    /// # Errors
    /// When the plan has no target, or a rate or bound that is not positive.
    pub fn start(plan: Plan) -> Result<Self> {
        if plan.targets.is_empty() {
            bail!("load plan: no targets; give at least one");
        }
        if !(plan.rate_per_s > 0.0 && plan.rate_per_s <= 100_000.0) {
            bail!(
                "load plan: rate_per_s is {}; expected more than 0, at most 100000",
                plan.rate_per_s
            );
        }
        if plan.in_flight == 0 || plan.in_flight > Semaphore::MAX_PERMITS {
            bail!("load plan: in_flight is {}; expected at least 1", plan.in_flight);
        }
        let permits = Arc::new(Semaphore::new(plan.in_flight));
        let shared = Arc::new(Shared {
            plan,
            book: Mutex::default(),
            news: watch::channel(0).0,
            started: Instant::now(),
        });
        let task = tokio::spawn(send_all(Arc::clone(&shared), Arc::clone(&permits)));
        Ok(Self { shared, permits, task })
    }

    /// Stops sending, waits for the answers that are under way, and reports.
    pub async fn stop(self) -> Report {
        self.task.abort();
        let all = u32::try_from(self.shared.plan.in_flight).unwrap_or(u32::MAX);
        // Every request ends within its own time limit and gives its permit back then.
        let _ended = self.permits.acquire_many(all).await;
        self.shared.report()
    }

    /// What happened until now.
    #[must_use]
    pub fn report_so_far(&self) -> Report {
        self.shared.report()
    }

    /// The share of a release (0 to 1) in what was answered by requests sent since then; nothing
    /// if there was no answer.
    #[must_use]
    pub fn share(&self, release: &str, since: Instant) -> Option<f64> {
        self.report_so_far().share(release, since)
    }

    /// The requests that failed: no answer, or one of 500 and above.
    #[must_use]
    pub fn failures(&self) -> Vec<Failed> {
        self.report_so_far().failures()
    }

    /// When the last answer of a release came.
    #[must_use]
    pub fn last_seen(&self, release: &str) -> Option<Instant> {
        self.report_so_far().releases().get(release).map(|span| span.last)
    }

    /// Waits until the report so far satisfies a condition; it is asked after answers came.
    ///
    /// # Errors
    /// When the condition does not hold in time.
    pub async fn wait_until(
        &self,
        mut condition: impl FnMut(&Report) -> bool,
        within: Duration,
    ) -> Result<Report> {
        let mut news = self.shared.news.subscribe();
        let deadline = tokio::time::Instant::now() + within;
        loop {
            news.mark_unchanged();
            let report = self.report_so_far();
            if condition(&report) {
                return Ok(report);
            }
            let more = tokio::time::timeout_at(deadline, news.changed()).await;
            if more.is_err() {
                bail!("the condition did not hold within {within:?}; {}", report.summary());
            }
            // Answers come in bunches: one look serves all that come within this time.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn send_all(shared: Arc<Shared>, permits: Arc<Semaphore>) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(Duration::from_secs(2)));
    let client: Client<HttpConnector, Empty<Bytes>> = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(20))
        .pool_max_idle_per_host(shared.plan.connections)
        .build(connector);
    let between = Duration::from_secs_f64(1.0 / shared.plan.rate_per_s);
    let started = tokio::time::Instant::now();
    for number in 0_u32.. {
        // By number and not by the last request, so that the rate holds over any time.
        sleep_until(started + between * number).await;
        let target = number as usize % shared.plan.targets.len();
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            shared.write_down(None);
            continue;
        };
        let (shared, client) = (Arc::clone(&shared), client.clone());
        tokio::spawn(async move {
            let sent = Instant::now();
            let asked = ask(&client, &shared.plan.targets[target]);
            let (outcome, release) = match timeout(shared.plan.answer_within, asked).await {
                Ok(answer) => answer,
                Err(_) => (Outcome::Late, None),
            };
            let latency = sent.elapsed();
            shared.write_down(Some(Record { sent, target, outcome, release, latency }));
            drop(permit);
        });
    }
}

async fn ask(
    client: &Client<HttpConnector, Empty<Bytes>>,
    target: &Target,
) -> (Outcome, Option<String>) {
    let mut request = Request::get(format!("http://{}{}", target.address, target.path))
        .header("host", &target.host);
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    let request = match request.body(Empty::new()) {
        Ok(request) => request,
        Err(error) => return (Outcome::NotAsked(error.to_string()), None),
    };
    let response = match client.request(request).await {
        Ok(response) => response,
        Err(error) if error.is_connect() => return (Outcome::NotConnected(chain(&error)), None),
        Err(error) => return (Outcome::Cut(chain(&error)), None),
    };
    let status = response.status().as_u16();
    let release = response.headers().get("x-release").and_then(|value| value.to_str().ok());
    let release = release.map(str::to_owned);
    match Limited::new(response.into_body(), ANSWER_LIMIT_BYTES).collect().await {
        Ok(_) => (Outcome::Answered(status), release),
        Err(error) => (Outcome::Cut(error.to_string()), release),
    }
}

/// An error with its causes: the client's own words alone do not tell what happened.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
