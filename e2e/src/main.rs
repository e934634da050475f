//! Runs clusters and scenarios. `backout-e2e --help` lists the subcommands.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use backout_e2e::cluster::process::tail;
use backout_e2e::cluster::tools::Tools;
use backout_e2e::cluster::{Cluster, isolation};
use backout_e2e::count::Count;
use backout_e2e::programs::Programs;
use backout_e2e::scale::{self, Size};
use backout_e2e::scenarios::shop::playground;
use backout_e2e::scenarios::{self, ADAPTERS, SCENARIOS, Scenario};
use clap::{Parser, Subcommand};
use futures::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};

/// Scenarios that run at once. Each is a cluster of its own, of about a gigabyte.
const AT_ONCE: usize = 3;

/// Scenarios that measure times, or keep the machine busy themselves.
const ALONE: &[&str] = &["errors-at-five-percent", ADAPTERS];

#[derive(Parser)]
#[command(about = "A real cluster for tests")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Get the tools that are missing
    Prepare,
    /// Start a cluster with the demo, until Ctrl-C
    Cluster,
    /// Run scenarios, all if none is named
    Run { names: Vec<String> },
    /// Measure what many releases at once take of one controller
    Scale {
        /// Policies, each with a workload
        #[arg(long, default_value_t = 1000)]
        policies: u32,
        /// Releases at once
        #[arg(long, default_value_t = 100)]
        releases: u32,
    },
    /// The demo application
    #[command(hide = true)]
    App,
    /// Do nothing until SIGTERM
    #[command(hide = true)]
    Pause,
    /// One scenario, or the demo cluster if none is named, in namespaces of its own
    #[command(hide = true)]
    Inside { directory: PathBuf, scenario: Option<String> },
    /// The measurement, in namespaces of its own
    #[command(hide = true)]
    InsideScale { directory: PathBuf, policies: u32, releases: u32 },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().task).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(task: Task) -> Result<()> {
    match task {
        Task::Prepare => Tools::prepare().map(drop),
        Task::Cluster => {
            Tools::prepare()?;
            let folder = tempfile::tempdir().context("cannot make a folder")?;
            // Ctrl-C reaches the inside too, which ends by itself; we stay to remove the folder.
            let mut interrupt = signal(SignalKind::interrupt()).context("cannot await Ctrl-C")?;
            let mut inside = isolation::command(&["inside".into(), folder.path().into()])?;
            Programs::build(false)?.pass_to(&mut inside)?;
            let mut inside = inside.spawn().context("cannot start setpriv and unshare")?;
            loop {
                tokio::select! {
                    status = inside.wait() => {
                        let status = status.context("cannot wait for the cluster")?;
                        return if status.success() { Ok(()) } else { bail!("it failed: {status}") };
                    }
                    _ = interrupt.recv() => {}
                }
            }
        }
        Task::Run { names } => run_all(&names).await,
        Task::App => backout_e2e::app::run().await,
        Task::Pause => until_told().await,
        Task::Inside { directory, scenario } => inside(&directory, scenario.as_deref()).await,
        Task::Scale { policies, releases } => measure(Size { policies, releases }).await,
        Task::InsideScale { directory, policies, releases } => {
            tell();
            isolation::enter()?;
            let size = Size { policies, releases };
            println!("{}", scale::run(&directory, &Tools::prepare()?, size).await?);
            Ok(())
        }
    }
}

/// Measures in namespaces of its own; what it says on the way goes to standard error.
async fn measure(size: Size) -> Result<()> {
    Tools::prepare()?;
    let programs = Programs::build_release()?;
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let words: [OsString; 4] = [
        "inside-scale".into(),
        folder.path().into(),
        size.policies.to_string().into(),
        size.releases.to_string().into(),
    ];
    let mut command = isolation::command(&words)?;
    programs.pass_to(&mut command)?;
    let status = command.kill_on_drop(true).status().await;
    let status = status.context("cannot start setpriv and unshare")?;
    if status.success() {
        return Ok(());
    }
    bail!("the measurement failed ({status}); logs: {}", folder.keep().display())
}

/// Words on the way go to standard error, where they are in nobody's way.
fn tell() {
    let words = tracing_subscriber::EnvFilter::new("info,kube_client=off");
    let told = tracing_subscriber::fmt().with_env_filter(words).with_ansi(false);
    told.with_writer(std::io::stderr).init();
}

async fn until_told() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot await SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot await Ctrl-C")?;
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    Ok(())
}

/// Runs scenarios, a few at a time: they mostly wait.
async fn run_all(names: &[String]) -> Result<()> {
    let chosen: Vec<Scenario> = if names.is_empty() {
        SCENARIOS.to_vec()
    } else {
        names.iter().map(|name| scenarios::find(name)).collect::<Result<_>>()?
    };
    Tools::prepare()?;
    let programs = Programs::build(chosen.iter().any(|(name, _)| *name == ADAPTERS))?;
    let (alone, together): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|(name, _)| ALONE.contains(name));
    let mut count = Count::default();
    for (few, at_once) in [(together, AT_ONCE), (alone, 1)] {
        let running = few.into_iter().map(|(name, _)| run_one(name, &programs));
        let mut running = futures::stream::iter(running).buffer_unordered(at_once);
        while let Some(counted) = running.next().await {
            count = count.and(counted?);
        }
    }
    let failed = count.failed;
    println!("{count}");
    if failed > 0 { bail!("{failed} scenarios failed") } else { Ok(()) }
}

/// Runs one scenario in namespaces of its own, and says how it went.
async fn run_one(name: &str, programs: &Programs) -> Result<Count> {
    let folder = tempfile::tempdir().context("cannot make a folder")?;
    let output = folder.path().join("scenario.log");
    let log = std::fs::File::create(&output).context("cannot make a log")?;
    let words: [OsString; 3] = ["inside".into(), folder.path().into(), name.into()];
    let mut command = isolation::command(&words)?;
    programs.pass_to(&mut command)?;
    command.stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
    let began = Instant::now();
    let status = command.status().await.context("cannot start setpriv and unshare")?;
    let took = began.elapsed().as_secs_f64();
    let told = std::fs::read(&output).unwrap_or_default();
    let mut count = Count::of_output(&String::from_utf8_lossy(&told));
    if status.success() {
        count.passed += 1;
        println!("ok     {name} ({took:.1} s)");
    } else {
        count.failed += 1;
        println!("FAILED {name} ({took:.1} s); logs: {}", folder.keep().display());
        println!("{}", tail(&output));
    }
    Ok(count)
}

async fn inside(directory: &Path, scenario: Option<&str>) -> Result<()> {
    // A scenario's own words go to its log, where a failure shows them. The client library calls
    // every answer an error that a wait simply does not take for a yes yet.
    let words = tracing_subscriber::EnvFilter::new("info,kube_client=off");
    tracing_subscriber::fmt().with_env_filter(words).with_ansi(false).init();
    let outside = isolation::enter()?;
    let mut cluster = Cluster::start(directory, Tools::prepare()?).await?;
    let Some(name) = scenario else {
        let (users, told) = playground::open(&cluster, outside).await?;
        println!("{told}");
        until_told().await?;
        println!("users: {}", users.stop().await.summary());
        return Ok(());
    };
    let (_, scenario) = scenarios::find(name)?;
    scenario(&mut cluster).await
}
