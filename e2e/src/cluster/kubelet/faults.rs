//! Faults of pods, which a test sets and takes back while the cluster runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// What goes wrong with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Containers run but are never reported ready.
    NeverReady,
    /// A container is killed this long after each start.
    CrashAfter(Duration),
    /// The image cannot be pulled: `ErrImagePull`, then `ImagePullBackOff`.
    ImagePullError,
    /// The container takes this much longer to end after SIGTERM, within the grace period.
    SlowTermination(Duration),
    /// The container starts this much later.
    SlowStart(Duration),
}

/// Which pods suffer: all that carry these labels and, if given, run this digest.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// All of them must be there, with these values.
    pub labels: BTreeMap<String, String>,
    /// `sha256:` and 64 digits.
    pub digest: Option<String>,
}

impl Target {
    /// Pods with this label.
    #[must_use]
    pub fn label(key: &str, value: &str) -> Self {
        Self { labels: BTreeMap::from([(key.to_owned(), value.to_owned())]), digest: None }
    }

    /// Pods that run this digest.
    #[must_use]
    pub fn digest(digest: &str) -> Self {
        Self { labels: BTreeMap::new(), digest: Some(digest.to_owned()) }
    }

    fn matches(&self, labels: &BTreeMap<String, String>, digest: &str) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.digest.as_deref().is_none_or(|wanted| wanted == digest)
    }
}

/// The faults that are set. Clones share them.
#[derive(Clone, Debug)]
pub struct Faults(Arc<watch::Sender<Vec<(Target, Fault)>>>);

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Vec::new())))
    }
}

impl Faults {
    /// Sets a fault.
    pub fn set(&self, target: Target, fault: Fault) {
        self.0.send_modify(|faults| faults.push((target, fault)));
    }

    /// Takes every fault of this kind back; the duration is not compared.
    pub fn clear(&self, fault: Fault) {
        let kind = std::mem::discriminant(&fault);
        self.0.send_modify(|faults| {
            faults.retain(|(_, other)| std::mem::discriminant(other) != kind);
        });
    }

    /// Takes all faults back.
    pub fn clear_all(&self) {
        self.0.send_modify(Vec::clear);
    }

    /// The faults of a pod that runs this digest (empty: not known yet).
    pub(super) fn of(&self, labels: &BTreeMap<String, String>, digest: &str) -> Vec<Fault> {
        let faults = self.0.borrow();
        let mine = faults.iter().filter(|(target, _)| target.matches(labels, digest));
        mine.map(|(_, fault)| *fault).collect()
    }

    /// Wakes when faults are set or taken back.
    pub(super) fn changes(&self) -> watch::Receiver<Vec<(Target, Fault)>> {
        self.0.subscribe()
    }
}
