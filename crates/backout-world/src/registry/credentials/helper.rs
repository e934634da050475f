//! Credential helpers: programs named `docker-credential-...` that keep secrets elsewhere.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::{Credentials, Login};
use crate::secret::Secret;

/// The longest answer that is read of a helper.
const MOST_BYTES: u64 = 64 * 1024;

/// The user name by which a helper says that the secret is a refresh token.
const TOKEN_USER: &str = "<token>";

/// What helpers answer, with a failure, when they know nothing of a registry.
const NOT_FOUND: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks a helper. What it wrote is never part of an error, because it may be the secret.
pub(super) async fn get(
    helper: &str,
    server: &str,
    credentials: &Credentials,
) -> Result<Option<Login>, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if helper.is_empty() || !helper.chars().all(is_name) {
        let shown: String = helper.chars().take(60).flat_map(char::escape_debug).collect();
        return Err(format!("`{shown}` is not the name of a credential helper"));
    }
    let program = format!("docker-credential-{helper}");
    let timeout = credentials.helper_timeout;
    let file = match &credentials.helper_folder {
        Some(folder) => folder.join(&program),
        None => PathBuf::from(&program),
    };
    let (ended_well, output) = tokio::time::timeout(timeout, ask(&file, server))
        .await
        .map_err(|_| format!("`{program} get` took longer than {} s", timeout.as_secs_f32()))?
        .map_err(|why| format!("`{program} get` {why}"))?;
    if !ended_well {
        let text = String::from_utf8_lossy(&output);
        if text.contains(NOT_FOUND) {
            return Ok(None);
        }
        return Err(format!("`{program} get` failed; try `echo {server} | {program} get`"));
    }
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| format!("`{program} get` did not answer as credential helpers do"))?;
    let secret = Secret::new(&answer.secret);
    if answer.username == TOKEN_USER {
        return Ok(Some(Login::Identity(secret)));
    }
    Ok(Some(Login::Password { user: answer.username, password: secret }))
}

/// Runs a helper, and says whether it ended well and what it wrote.
async fn ask(program: &Path, server: &str) -> Result<(bool, Vec<u8>), String> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not listen is judged by what it answers.
        let _ = stdin.write_all(server.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(MOST_BYTES + 1).read_to_end(&mut output).await;
        read.map_err(|error| format!("cannot be read: {error}"))?;
    }
    if u64::try_from(output.len()).is_ok_and(|length| length > MOST_BYTES) {
        return Err(format!("wrote more than {MOST_BYTES} bytes"));
    }
    let status = child.wait().await.map_err(|error| format!("cannot be waited for: {error}"))?;
    Ok((status.success(), output))
}
