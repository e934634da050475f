//! Facts of a Git repository, from the `git` program.
//!
//! Only what cannot change anything and reaches no network is asked. Hooks, pagers, monitors and
//! prompts are off, and what Git cannot tell, for instance in a clone without history, is unknown
//! and never a no.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use backout_core::units::Time;

use crate::process::{Ended, Program};

/// How long one question may take.
const WITHIN: Duration = Duration::from_secs(20);
/// How much one answer may be.
const MOST_BYTES: u64 = 64 * 1024;
/// Settings of a repository that run programs or reach other machines.
const SETTINGS: &[&str] = &[
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "log.showSignature=false",
    "protocol.allow=never",
];

/// A folder inside a Git repository.
#[derive(Clone, Debug)]
pub struct Repository {
    folder: PathBuf,
    program: PathBuf,
}

/// What is checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The commit.
    pub commit: String,
    /// The branch; nothing when a commit or a tag is checked out.
    pub branch: Option<String>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unknown(pub String);

impl Repository {
    /// The repository that a folder is in. Nothing is asked yet.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), program: PathBuf::from("git") }
    }

    /// Asks another program than the `git` in `PATH`.
    #[must_use]
    pub fn asking(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// What is checked out.
    ///
    /// # Errors
    /// When there is no repository, no commit yet, or no Git.
    pub async fn head(&self) -> Result<Head, Unknown> {
        let commit = self
            .commit("HEAD")
            .await?
            .ok_or_else(|| Unknown("there is no commit yet".to_owned()))?;
        let branch = self.ask(&["symbolic-ref", "--quiet", "--short", "HEAD"]).await?;
        let branch = if branch.is_success() { line(&branch) } else { None };
        Ok(Head { commit, branch })
    }

    /// The commit that a name stands for: a branch, a tag, or a commit that may be cut short.
    ///
    /// # Errors
    /// When Git cannot tell, as in a clone without history.
    pub async fn commit(&self, name: &str) -> Result<Option<String>, Unknown> {
        let name = checked(name)?;
        let wanted = format!("{name}^{{commit}}");
        let ended =
            self.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).await?;
        match ended.status.and_then(|status| status.code()) {
            Some(0) => Ok(line(&ended)),
            Some(1) if self.has_all_history().await? => Ok(None),
            Some(1) => Err(Unknown("the clone has no full history: fetch it".to_owned())),
            // A whole commit that is not there is an error to `rev-parse`.
            _ if self.lacks(&ended) && self.has_all_history().await? => Ok(None),
            _ => Err(unknown(&ended)),
        }
    }

    /// Whether one commit is an ancestor of another, or the same.
    ///
    /// # Errors
    /// When one of them is not there, or history is missing.
    pub async fn is_ancestor(&self, ancestor: &str, of: &str) -> Result<bool, Unknown> {
        let (ancestor, of) = (checked(ancestor)?, checked(of)?);
        for name in [ancestor, of] {
            if self.commit(name).await?.is_none() {
                return Err(Unknown(format!("Git knows no commit `{name}`")));
            }
        }
        let ended =
            self.ask(&["merge-base", "--is-ancestor", "--end-of-options", ancestor, of]).await?;
        match ended.status.and_then(|status| status.code()) {
            Some(0) => Ok(true),
            Some(1) if self.has_all_history().await? => Ok(false),
            Some(1) => Err(Unknown("the clone has no full history: fetch it".to_owned())),
            _ => Err(unknown(&ended)),
        }
    }

    /// When a file or folder was last changed in a commit; nothing when it is in none.
    ///
    /// # Errors
    /// When history is missing.
    pub async fn last_change(&self, path: &Path) -> Result<Option<Time>, Unknown> {
        if !self.has_all_history().await? {
            return Err(Unknown("the clone has no full history: fetch it".to_owned()));
        }
        let path = std::path::absolute(path).map_err(|error| Unknown(error.to_string()))?;
        let path = path.to_string_lossy().into_owned();
        let ended = self
            .ask(&[
                "--literal-pathspecs",
                "log",
                "-1",
                "--format=%ct",
                "--no-show-signature",
                "--",
                &path,
            ])
            .await?;
        if !ended.is_success() {
            return Err(unknown(&ended));
        }
        let Some(seconds) = line(&ended) else { return Ok(None) };
        let seconds: u64 =
            seconds.parse().map_err(|_| Unknown("Git gave no time of a commit".to_owned()))?;
        Ok(Some(Time::from_millis(seconds.saturating_mul(1000))))
    }

    /// The address of the remote `origin`, without credentials; nothing when there is none.
    ///
    /// # Errors
    /// When there is no repository or no Git.
    pub async fn remote(&self) -> Result<Option<String>, Unknown> {
        let ended = self.ask(&["config", "--get", "remote.origin.url"]).await?;
        match ended.status.and_then(|status| status.code()) {
            Some(0) => Ok(line(&ended).map(|address| without_credentials(&address))),
            Some(1) => {
                self.has_all_history().await?;
                Ok(None)
            }
            _ => Err(unknown(&ended)),
        }
    }

    async fn has_all_history(&self) -> Result<bool, Unknown> {
        let ended = self.ask(&["rev-parse", "--is-shallow-repository"]).await?;
        match (ended.is_success(), line(&ended).as_deref()) {
            (true, Some("false")) => Ok(true),
            (true, Some("true")) => Ok(false),
            _ => Err(unknown(&ended)),
        }
    }

    fn lacks(&self, ended: &Ended) -> bool {
        let told = ended.stderr_tail.last_lines(3).join(" ");
        told.contains("Needed a single revision") || told.contains("bad object")
    }

    async fn ask(&self, arguments: &[&str]) -> Result<Ended, Unknown> {
        let mut program = Program::new([self.program.as_os_str()])
            .env_only(&["PATH", "HOME", "XDG_CONFIG_HOME"])
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_PAGER", "cat")
            .env("LC_ALL", "C")
            .dir(&self.folder)
            .within(WITHIN)
            .writing_at_most(MOST_BYTES)
            .arg("--no-optional-locks")
            .arg("--no-pager");
        for setting in SETTINGS {
            program = program.arg("-c").arg(*setting);
        }
        for argument in arguments {
            program = program.arg(*argument);
        }
        let ended = program.run().await.map_err(|error| {
            Unknown(if self.folder.is_dir() {
                format!("Git could not be asked: {error}")
            } else {
                "there is no such folder".to_owned()
            })
        })?;
        if ended.timed_out || ended.wrote_too_much {
            return Err(Unknown(format!("git {}", ended.how())));
        }
        Ok(ended)
    }
}

/// A name that Git takes for nothing but a name.
fn checked(name: &str) -> Result<&str, Unknown> {
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\{".contains(c);
    if name.is_empty() || name.starts_with('-') || name.len() > 250 || name.contains(is_odd) {
        return Err(Unknown(format!("`{}` is no name of a commit", name.escape_debug())));
    }
    Ok(name)
}

fn line(ended: &Ended) -> Option<String> {
    ended.stdout_tail.last_lines(1).pop().map(|line| line.trim().to_owned())
}

fn unknown(ended: &Ended) -> Unknown {
    let told = ended.stderr_tail.last_lines(1).pop().unwrap_or_else(|| ended.how());
    Unknown(format!("Git says: {told}"))
}

/// An address without user, password and query, all of which can be secrets.
#[must_use]
pub fn without_credentials(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let host_at = rest.find('/').unwrap_or(rest.len());
    let user_at = rest[..host_at].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[user_at..])
}
