//! The API server's audit log: an independent record of every write.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// The audit policy: requests and responses of every write, nothing else. Node heartbeats are
/// left out, because they would be most of the log.
pub(crate) const POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  namespaces: [kube-node-lease]
- level: RequestResponse
  verbs: [create, update, patch, delete, deletecollection]
- level: None
";

/// One write that the API server answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// Who asked.
    pub user: User,
    /// What the client called itself.
    #[serde(default)]
    pub user_agent: String,
    /// The path and query that were asked for.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// What it was about. Absent for paths that are no objects.
    #[serde(default)]
    pub object_ref: ObjectRef,
    /// The answer's status.
    #[serde(default)]
    pub response_status: Status,
    /// What was sent: an object, a patch or delete options.
    #[serde(default)]
    pub request_object: Value,
    /// What was answered: the object after the write, or a status.
    #[serde(default)]
    pub response_object: Value,
    /// When the request arrived.
    #[serde(rename = "requestReceivedTimestamp")]
    pub received: jiff::Timestamp,
    /// When the answer was complete.
    #[serde(rename = "stageTimestamp")]
    pub answered: jiff::Timestamp,
}

/// Who asked.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct User {
    /// For a service account, `system:serviceaccount:<namespace>:<name>`.
    #[serde(default)]
    pub username: String,
    /// What authentication knows besides.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// The token that a service account used: two processes with tokens of their own can be told
    /// apart by it.
    #[must_use]
    pub fn credential(&self) -> Option<&str> {
        let ids = self.extra.get("authentication.kubernetes.io/credential-id")?;
        ids.first().map(String::as_str)
    }
}

/// What a request was about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Plural, such as `deployments`.
    #[serde(default)]
    pub resource: String,
    /// Empty for objects of the whole cluster.
    #[serde(default)]
    pub namespace: String,
    /// Empty for a create whose name the server chose.
    #[serde(default)]
    pub name: String,
    /// Empty for the core group.
    #[serde(default)]
    pub api_group: String,
    /// Such as `status` or `scale`; empty for the object itself.
    #[serde(default)]
    pub subresource: String,
}

/// The answer's status.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Status {
    /// HTTP status code.
    #[serde(default)]
    pub code: u16,
    /// Why it was refused.
    #[serde(default)]
    pub message: String,
}

/// Reads every entry of an audit log, oldest first.
///
/// # Errors
/// The file cannot be read, or a whole line is no entry. A last line without an end is still
/// being written, and left out.
pub fn read(log: &Path) -> Result<Vec<Entry>> {
    let file = std::fs::File::open(log)
        .with_context(|| format!("cannot open the audit log {}", log.display()))?;
    let mut reader = BufReader::new(file);
    let mut entries = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line).context("cannot read the audit log")?;
        if !line.ends_with('\n') {
            return Ok(entries);
        }
        let entry = serde_json::from_str(&line)
            .with_context(|| format!("entry {} of the audit log", entries.len() + 1))?;
        entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn an_unfinished_line_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.log");
        let line = r#"{"verb":"patch","user":{"username":"a"},"requestURI":"/x","objectRef":{"resource":"pods","name":"p","namespace":"n"},"responseStatus":{"code":409},"requestReceivedTimestamp":"2026-01-02T03:04:05.000001Z","stageTimestamp":"2026-01-02T03:04:06.000001Z"}"#;
        std::fs::write(&log, format!("{line}\n{{\"verb\":")).unwrap();
        let entries = read(&log).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].response_status.code, 409);
        assert_eq!(entries[0].object_ref.resource, "pods");
        assert!(entries[0].request_object.is_null());
    }
}
