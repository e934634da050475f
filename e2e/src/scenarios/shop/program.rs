//! `backout` itself: commands of a person, and the controller.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::super::http;
use crate::cluster::process::Process;
use crate::cluster::wait::until;
use crate::programs::Programs;

/// Where the controller serves probes and metrics.
pub const CONTROLLER: &str = "127.0.0.1:8090";
/// Where another controller serves them.
const ANOTHER: &str = "127.0.0.1:8091";
/// How long the controller may take until it is ready.
const START: Duration = Duration::from_secs(30);

/// `backout`, and whom it acts as.
pub struct Backout {
    program: PathBuf,
    folder: PathBuf,
    person: PathBuf,
    account: Option<PathBuf>,
    controller: Option<Process>,
    /// How long the controller's Lease lasts, in seconds.
    lease_s: u32,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Exit code; nothing if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub error: String,
}

impl Ended {
    /// Fails unless the command ended with this code.
    ///
    /// # Errors
    /// It ended otherwise; shows what it said.
    pub fn expect(self, code: i32, what: &str) -> Result<Self> {
        let ended = self.code;
        ensure!(
            ended == Some(code),
            "`backout {what}` ended with {ended:?}, not {code}:\n{}\n{}",
            self.output.trim_end(),
            self.error.trim_end()
        );
        Ok(self)
    }
}

impl Backout {
    /// The program that was built with the harness. Files go to `folder`; commands act as
    /// `person`, a kubeconfig.
    ///
    /// # Errors
    /// It was not built.
    pub fn new(folder: &Path, person: PathBuf, lease_s: u32) -> Result<Self> {
        let program = Programs::told().backout;
        let program = program.context("`backout` was not built; start this with `cargo xtask`")?;
        Ok(Self {
            program,
            folder: folder.to_owned(),
            person,
            account: None,
            controller: None,
            lease_s,
        })
    }

    /// A command of a person, with a time limit, in the folder of the policy.
    ///
    /// # Errors
    /// It cannot be started, or does not end in time.
    pub async fn run(&self, arguments: &[&str], within: Duration) -> Result<Ended> {
        let shown = arguments.join(" ");
        let mut command = self.command(&self.person);
        command.args(arguments);
        let output = tokio::time::timeout(within, command.output()).await;
        let output = output.with_context(|| format!("`backout {shown}` takes too long"))?;
        let output = output.with_context(|| format!("cannot start `backout {shown}`"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let ended = Ended {
            code: output.status.code(),
            output: text(&output.stdout),
            error: text(&output.stderr),
        };
        tracing::info!(code = ?ended.code, error = ended.error, "backout {shown}");
        Ok(ended)
    }

    /// A command that goes on by itself, such as `run`; its output goes to a file of this name.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&self, name: &str, arguments: &[&str]) -> Result<Process> {
        let mut command = self.command(&self.person);
        command.args(arguments);
        Process::start(name, &self.folder.join(format!("{name}.log")), command)
    }

    /// Starts the controller, for the namespaces to watch, and waits until it is ready. Without a
    /// kubeconfig it acts as it did before.
    ///
    /// # Errors
    /// It does not become ready; shows the end of its log.
    pub async fn start_controller(&mut self, account: Option<PathBuf>, watch: &str) -> Result<()> {
        if account.is_some() {
            self.account = account;
        }
        let account = self.account.clone().context("whom does the controller act as?")?;
        self.controller = Some(self.controller_at(CONTROLLER, &account, watch, 0).await?);
        Ok(())
    }

    /// Starts another controller beside the first, which acts as `account`, and waits until it is
    /// ready.
    ///
    /// # Errors
    /// It does not become ready; shows the end of its log.
    pub async fn another_controller(&self, account: &Path, watch: &str) -> Result<Process> {
        self.controller_at(ANOTHER, account, watch, 1).await
    }

    async fn controller_at(
        &self,
        address: &str,
        account: &Path,
        watch: &str,
        number: u32,
    ) -> Result<Process> {
        let mut command = self.command(account);
        let lease_s = self.lease_s.to_string();
        command.args(["controller", "--address", address, "--watch", watch]);
        command.args(["--lease-s", &lease_s]);
        command.env("POD_NAME", format!("backout-controller-{number}"));
        command.env("POD_NAMESPACE", "backout");
        let log = self.folder.join(format!("controller-{number}.log"));
        let mut controller = Process::start("backout controller", &log, command)?;
        let ready = until("the controller is ready", START, || async {
            let answer = http::get(address, address, "/readyz").await?;
            Ok(answer.starts_with("HTTP/1.1 200").then_some(()))
        });
        ready.await.with_context(|| controller.tail())?;
        controller.ensure_running()?;
        Ok(controller)
    }

    /// Sends the controller a signal, such as `STOP`.
    pub async fn signal_controller(&self, name: &str) {
        if let Some(controller) = &self.controller {
            controller.signal(name).await;
        }
    }

    /// Kills the controller (SIGKILL), as a crash of its machine would.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill_controller(&mut self) -> Result<()> {
        match self.controller.take() {
            Some(mut controller) => controller.kill().await.map(drop),
            None => Ok(()),
        }
    }

    /// Asks the controller to end, and waits for it.
    ///
    /// # Errors
    /// It cannot be ended.
    pub async fn stop_controller(&mut self) -> Result<()> {
        match self.controller.take() {
            Some(mut controller) => controller.stop(Duration::from_secs(30)).await.map(drop),
            None => Ok(()),
        }
    }

    /// The end of the controller's log.
    #[must_use]
    pub fn controller_log(&self) -> String {
        crate::cluster::process::tail(&self.folder.join("controller-0.log"))
    }

    fn command(&self, kubeconfig: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("KUBECONFIG", kubeconfig).env("NO_COLOR", "1");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }
}
