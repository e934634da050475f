//! A child process whose output goes to a file, and which ends with the cluster.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

/// How much of a log an error shows, in bytes from its end.
const TAIL_BYTES: u64 = 3_000;

/// A child process whose output goes to a file. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts a command, with its output appended to `log`.
    ///
    /// # Errors
    /// The log cannot be opened, or the program cannot be started.
    pub fn start(name: &str, log: &Path, mut command: Command) -> Result<Self> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open the log {}", log.display()))?;
        let same = file.try_clone().context("cannot share a log between stdout and stderr")?;
        command.stdin(Stdio::null()).stdout(file).stderr(same).kill_on_drop(true);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {name} ({program})"))?;
        Ok(Self { name: name.to_owned(), log: log.to_owned(), child })
    }

    /// What it is called in errors.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that its output goes to.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its number, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Fails if the process has ended, with the end of its log.
    ///
    /// # Errors
    /// The process is not running any more.
    pub fn ensure_running(&mut self) -> Result<()> {
        let ended = self.child.try_wait().with_context(|| format!("cannot watch {}", self.name))?;
        match ended {
            None => Ok(()),
            Some(status) => {
                anyhow::bail!("{} ended ({status}); its log ends with:\n{}", self.name, self.tail())
            }
        }
    }

    /// The end of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        tail(&self.log)
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        self.child.wait().await.with_context(|| format!("cannot wait for {}", self.name))
    }

    /// Asks it to end (SIGTERM), and kills it if it has not ended within `grace`.
    ///
    /// # Errors
    /// The process can neither be signalled nor waited for.
    pub async fn stop(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.signal("TERM").await;
        if let Ok(ended) = tokio::time::timeout(grace, self.child.wait()).await {
            return ended.with_context(|| format!("cannot wait for {}", self.name));
        }
        self.kill().await
    }

    /// Sends it a signal, such as `STOP`, unless it has ended.
    pub async fn signal(&self, name: &str) {
        let Some(id) = self.child.id() else { return };
        // The shell's own `kill` is there on every machine, and the workspace forbids unsafe code,
        // which a call of the system's function would need.
        let mut shell = Command::new("sh");
        shell.args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &id.to_string()]);
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = tokio::time::timeout(Duration::from_secs(5), shell.status()).await;
    }

    /// Kills it at once (SIGKILL), as a crash of the machine would.
    ///
    /// # Errors
    /// The process can neither be killed nor waited for.
    pub async fn kill(&mut self) -> Result<ExitStatus> {
        // It may have ended meanwhile, which is what was wanted.
        let _ = self.child.start_kill();
        self.wait().await
    }
}

/// The end of a file, or why it cannot be read.
#[must_use]
pub fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    read().unwrap_or_else(|error| format!("(cannot read {}: {error})", path.display()))
}
