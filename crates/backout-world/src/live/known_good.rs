//! Which release is known good, as the policy's status records it.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::json;

use crate::failure::{Failure, Kind};
use crate::kubernetes::{answer, names};

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What is recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownGood {
    /// Name of the release; `None` before the workload was adopted.
    pub release: Option<String>,
    /// Name of its set.
    pub set: Option<String>,
}

/// The record of one policy.
#[derive(Clone)]
pub struct PolicyRecord {
    api: Api<DynamicObject>,
    told: String,
    name: String,
}

impl std::fmt::Debug for PolicyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PolicyRecord").field("policy", &self.told).finish_non_exhaustive()
    }
}

impl PolicyRecord {
    /// The record of this policy.
    #[must_use]
    pub fn new(client: Client, namespace: &str, policy: &str) -> Self {
        let kind = GroupVersionKind::gvk("backout.dev", "v1alpha1", "ReleasePolicy");
        let resource = ApiResource::from_gvk_with_plural(&kind, "releasepolicies");
        Self {
            api: Api::namespaced_with(client, namespace, &resource),
            told: format!("ReleasePolicy {namespace}/{policy}"),
            name: policy.to_owned(),
        }
    }

    /// Reads the record.
    ///
    /// # Errors
    ///
    /// If the policy cannot be read.
    pub async fn read(&self) -> Result<KnownGood, Failure> {
        let policy = match tokio::time::timeout(LIMIT, self.api.get(&self.name)).await {
            Ok(answer) => answer.map_err(|error| {
                let mut failure = answer::failure(&self.told, &error);
                if failure.kind == Kind::Ambiguous {
                    failure.kind = Kind::Failed;
                }
                failure
            })?,
            Err(_) => return Err(self.late(Kind::Failed)),
        };
        let text = |key: &str| policy.data["status"][key].as_str().map(str::to_owned);
        Ok(KnownGood { release: text("knownGood"), set: text("stableSet") })
    }

    /// Writes the record.
    ///
    /// # Errors
    ///
    /// If it was refused, or may not have been written.
    pub async fn write(&self, known: &KnownGood) -> Result<(), Failure> {
        let patch = json!({"status": {
            "knownGood": known.release, "stableSet": known.set, "adopted": known.set.is_some(),
        }});
        let parameters = PatchParams {
            field_manager: Some(names::MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        let request = self.api.patch_status(&self.name, &parameters, &patch);
        match tokio::time::timeout(LIMIT, request).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(answer::failure(&self.told, &error)),
            Err(_) => Err(self.late(Kind::Ambiguous)),
        }
    }

    fn late(&self, kind: Kind) -> Failure {
        Failure::new(kind, format!("{}: no answer within {} s", self.told, LIMIT.as_secs()))
    }
}
