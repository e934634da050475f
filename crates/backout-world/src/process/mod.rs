//! Running another program, with limits on its time and on what it writes.
//!
//! It gets a process group of its own, which is killed as a whole: when its time is over, when it
//! writes too much, when the program itself has ended and left others behind, and when the future
//! is dropped. It never reads our standard input.

mod tail;

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub use tail::Tail;

/// What is kept of the output unless more is asked for.
const KEPT_BYTES: usize = 64 * 1024;
/// How long a program may go on after it was asked to end.
const GRACE: Duration = Duration::from_secs(5);
/// How long output is awaited once nobody of the group is left to write it. A process that left
/// the group can hold the pipe open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A program with its arguments and limits.
#[derive(Clone, Debug)]
pub struct Program {
    program: OsString,
    arguments: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    inherits_env: bool,
    dir: Option<PathBuf>,
    within: Duration,
    grace: Duration,
    kept_bytes: usize,
    most_bytes: Option<u64>,
}

/// A program that could not be started.
#[derive(Debug, thiserror::Error)]
#[error("`{program}` cannot be started: {source}")]
pub struct NotStarted {
    /// The program.
    pub program: String,
    /// Why.
    pub source: std::io::Error,
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its status; nothing when it could not be learned.
    pub status: Option<ExitStatus>,
    /// The last of its standard output.
    pub stdout_tail: Tail,
    /// The last of its standard error.
    pub stderr_tail: Tail,
    /// Whether it was killed because its time was over.
    pub timed_out: bool,
    /// Whether it was killed because it wrote too much.
    pub wrote_too_much: bool,
}

impl Ended {
    /// Whether it ended by itself and without an error.
    #[must_use]
    pub fn is_success(&self) -> bool {
        !self.timed_out
            && !self.wrote_too_much
            && self.status.is_some_and(|status| status.success())
    }

    /// How it ended, for an error: `ended with status 1`.
    #[must_use]
    pub fn how(&self) -> String {
        match self.status {
            _ if self.timed_out => "took longer than it may and was killed".to_owned(),
            _ if self.wrote_too_much => "wrote more than it may and was killed".to_owned(),
            Some(status) => match status.code() {
                Some(code) => format!("ended with status {code}"),
                None => format!("was ended by a {status}"),
            },
            None => "ended without a status".to_owned(),
        }
    }
}

impl Program {
    /// A program with its arguments, first the program. A name without `/` is looked up in `PATH`.
    pub fn new<T: Into<OsString>>(argv: impl IntoIterator<Item = T>) -> Self {
        let mut argv = argv.into_iter().map(Into::into);
        Self {
            program: argv.next().unwrap_or_default(),
            arguments: argv.collect(),
            env: Vec::new(),
            inherits_env: true,
            dir: None,
            within: Duration::from_secs(60),
            grace: GRACE,
            kept_bytes: KEPT_BYTES,
            most_bytes: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Leaves out all of our environment but the variables of these names.
    #[must_use]
    pub fn env_only(mut self, names: &[&str]) -> Self {
        self.inherits_env = false;
        for name in names {
            if let Some(value) = std::env::var_os(name) {
                self.env.insert(0, (OsString::from(name), value));
            }
        }
        self
    }

    /// Runs it in a folder.
    #[must_use]
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// How long it may run. Default: a minute.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// How long it may go on after it was asked to end. Default: five seconds.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How many of the last bytes of each output are kept. Default: 64 KiB.
    #[must_use]
    pub fn keeping(mut self, bytes: usize) -> Self {
        self.kept_bytes = bytes;
        self
    }

    /// How many bytes it may write to one output before it is killed. Default: any number.
    #[must_use]
    pub fn writing_at_most(mut self, bytes: u64) -> Self {
        self.most_bytes = Some(bytes);
        self
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// When it cannot be started. How it ended is no error of this function.
    pub async fn run(self) -> Result<Ended, NotStarted> {
        let mut child = self.spawn()?;
        let mut group =
            Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let too_much = Arc::new(Notify::new());
        let stdout = self.capture(child.stdout.take(), &too_much);
        let stderr = self.capture(child.stderr.take(), &too_much);
        let (mut timed_out, mut wrote_too_much) = (false, false);
        let mut status = tokio::select! {
            status = child.wait() => status.ok(),
            () = sleep(self.within) => { timed_out = true; None }
            () = too_much.notified() => { wrote_too_much = true; None }
        };
        if status.is_none() {
            group.signal(Signal::TERM);
            status = timeout(self.grace, child.wait()).await.ok().and_then(Result::ok);
        }
        // Whatever the program started goes with it.
        group.end();
        if status.is_none() {
            status = child.wait().await.ok();
        }
        Ok(Ended {
            status,
            stdout_tail: stdout.finish().await,
            stderr_tail: stderr.finish().await,
            timed_out,
            wrote_too_much,
        })
    }

    fn spawn(&self) -> Result<Child, NotStarted> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if !self.inherits_env {
            command.env_clear();
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command.spawn().map_err(|source| NotStarted {
            program: self.program.to_string_lossy().into_owned(),
            source,
        })
    }

    fn capture(
        &self,
        pipe: Option<impl AsyncRead + Unpin + Send + 'static>,
        too_much: &Arc<Notify>,
    ) -> Capture {
        let tail = Arc::new(Mutex::new(Tail::new(self.kept_bytes)));
        let (kept, most, too_much) = (Arc::clone(&tail), self.most_bytes, Arc::clone(too_much));
        let task = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
                let Ok(mut tail) = kept.lock() else { return };
                tail.push(&buffer[..count]);
                if most.is_some_and(|most| tail.written() > most) {
                    too_much.notify_one();
                }
            }
        });
        Capture { tail, task }
    }
}

/// Output that is being read.
struct Capture {
    tail: Arc<Mutex<Tail>>,
    task: JoinHandle<()>,
}

impl Capture {
    async fn finish(mut self) -> Tail {
        if timeout(LAST_WORDS, &mut self.task).await.is_err() {
            self.task.abort();
        }
        self.tail.lock().map(|tail| tail.clone()).unwrap_or_default()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A process group that is killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    /// The group's number is that of its first process, and is not given again while anyone of the
    /// group is left. It is signalled at the latest at once after that process was waited for.
    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.0 {
            // It fails when nobody is left, which is what is wanted.
            let _ = kill_process_group(pid, signal);
        }
    }

    fn end(&mut self) {
        self.signal(Signal::KILL);
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}
