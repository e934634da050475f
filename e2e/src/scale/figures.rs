//! What was measured: of the process, of the API server's audit log, of journals.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use backout_core::journal::{Entry, Event, Header};
use jiff::Timestamp;
use serde::Deserialize;

/// The audit policy: that the controller asked, and nothing of what was sent.
pub(super) const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: [\"system:serviceaccount:backout:backout\"]
- level: None
";

/// Clock ticks of `/proc` in a second, which is the same on every Linux.
const TICKS_PER_S: f64 = 100.0;

/// A process at a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Processor time so far, in seconds.
    pub(super) cpu_s: f64,
    /// Resident memory, in MiB.
    pub(super) resident_mib: f64,
    /// The most that it ever was, in MiB.
    pub(super) peak_mib: f64,
}

impl Usage {
    /// Of the process with this number.
    pub(super) fn of(id: u32) -> Result<Self> {
        let read = |name: &str| {
            let file = format!("/proc/{id}/{name}");
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))
        };
        let (stat, status) = (read("stat")?, read("status")?);
        // The name of the program stands in brackets, and may have spaces in it.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or_default() / 1024.0
        };
        Ok(Self {
            cpu_s: ticks / TICKS_PER_S,
            resident_mib: mib("VmRSS:"),
            peak_mib: mib("VmHWM:"),
        })
    }
}

/// One request of the controller.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    stage: String,
    verb: String,
    #[serde(rename = "requestURI")]
    uri: String,
    #[serde(default)]
    object_ref: crate::cluster::audit::ObjectRef,
    #[serde(rename = "requestReceivedTimestamp")]
    received: Timestamp,
    #[serde(rename = "stageTimestamp")]
    answered: Timestamp,
}

impl Request {
    /// What it was, without names.
    fn kind(&self) -> String {
        let object = &self.object_ref;
        let subresource = match object.subresource.as_str() {
            "" => String::new(),
            name => format!("/{name}"),
        };
        if object.resource.is_empty() {
            let path = self.uri.split('?').next().unwrap_or_default();
            return format!("{} {path}", self.verb);
        }
        format!("{} {}{subresource}", self.verb, object.resource)
    }

    /// Whether it wrote what sends traffic to this workload.
    fn writes_route(&self, namespace: &str, name: &str) -> bool {
        let object = &self.object_ref;
        matches!(self.verb.as_str(), "patch" | "update")
            && matches!(object.resource.as_str(), "httproutes" | "services")
            && (object.namespace.as_str(), object.name.as_str()) == (namespace, name)
    }
}

/// The controller's requests that were received in a span of time.
pub(super) fn requests(folder: &Path, from: Timestamp, to: Timestamp) -> Result<Vec<Request>> {
    let mut requests = Vec::new();
    for file in std::fs::read_dir(folder).context("cannot list the cluster's folder")? {
        let file = file.context("cannot list the cluster's folder")?;
        let name = file.file_name().to_string_lossy().into_owned();
        // The API server begins a new file when the log grows large.
        if !(name.starts_with("audit") && name.ends_with(".log")) {
            continue;
        }
        let text = std::fs::read_to_string(file.path()).with_context(|| name.clone())?;
        // A last line that is still being written is no request yet.
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Request>(line).ok());
        requests.extend(lines.filter(|request| {
            let counted =
                if request.verb == "watch" { "ResponseStarted" } else { "ResponseComplete" };
            request.stage == counted && request.received >= from && request.received <= to
        }));
    }
    requests.sort_by_key(|request| request.received);
    Ok(requests)
}

/// How many there are of each kind, most first.
pub(super) fn by_kind(requests: &[Request]) -> Vec<(String, usize)> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for request in requests {
        *kinds.entry(request.kind()).or_default() += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), kind.clone()));
    kinds
}

/// How quickly a way back began.
#[derive(Clone, Copy, Debug)]
pub(super) struct WayBack {
    /// From the moment that the deciding window could be asked for to the answer of the write
    /// that moved traffic, in milliseconds.
    pub(super) window_to_write_ms: i64,
    /// From the decision to the same.
    pub(super) decision_to_write_ms: i64,
}

/// The way back of a run, if it went back. `delay` is how long measurements are waited for.
pub(super) fn way_back(
    (header, entries): (&Header, &[Entry]),
    requests: &[Request],
    (namespace, route): (&str, &str),
    delay: Duration,
) -> Option<WayBack> {
    let started: Timestamp = header.live.as_ref()?.started_at.parse().ok()?;
    let decided = entries.iter().position(|entry| matches!(entry.event, Event::Decided { .. }))?;
    let before = entries.get(..decided)?.iter().rev();
    let window_ends = before.into_iter().find_map(|entry| match &entry.event {
        Event::Judged { window, .. } => Some(window.end),
        _ => None,
    })?;
    let moment = |ms: u64| started.as_millisecond() + i64::try_from(ms).unwrap_or_default();
    let decided = moment(entries.get(decided)?.at.as_millis());
    let known = moment(window_ends.as_millis()) + i64::try_from(delay.as_millis()).ok()?;
    let write = requests.iter().find(|request| {
        request.received.as_millisecond() >= decided && request.writes_route(namespace, route)
    })?;
    let written = write.answered.as_millisecond();
    Some(WayBack { window_to_write_ms: written - known, decision_to_write_ms: written - decided })
}

/// The value below which a share of the values is.
pub(super) fn quantile(values: &mut [i64], share: f64) -> i64 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index of a short list"
    )]
    let index = (last as f64 * share).round() as usize;
    values.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Usage, quantile};

    #[test]
    fn a_process_tells_what_it_takes() {
        let own = Usage::of(std::process::id()).unwrap();
        assert!(own.resident_mib > 0.0 && own.peak_mib >= own.resident_mib);
    }

    #[test]
    fn quantiles_are_values() {
        assert_eq!(quantile(&mut [3, 1, 2], 0.5), 2);
        assert_eq!(quantile(&mut [3, 1, 2], 1.0), 3);
        assert_eq!(quantile(&mut [], 0.5), 0);
    }
}
