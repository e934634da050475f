//! What a rollout is made of: the release, its policy, and the release that serves.

use std::sync::Arc;

use backout_core::plan::Brief;
use backout_core::policy::ReleasePolicy;
use backout_core::release::Release;
use backout_core::units::Name;
use backout_world::failure::Failure;
use backout_world::kubernetes::set::ReleaseOwner;
use kube::Client;
use kube::core::DynamicObject;

use crate::api::{self, Objects};
use crate::resources::{Invalid, Resource, parse_policy, parse_release};

/// Annotation of a policy: which of its environments this cluster is.
pub const ENVIRONMENT: &str = "backout.dev/environment";

/// Why a release has nothing to be rolled out with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// An object is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// No policy, or several, release the workload.
    #[error("{0}")]
    Policy(String),
    /// The workload was not adopted.
    #[error("{policy}: the workload was not adopted; run `backout adopt`")]
    NotAdopted {
        /// The policy, in words.
        policy: String,
    },
    /// The policy does not say which environment this is.
    #[error("{0}")]
    Environment(String),
    /// Something could not be read.
    #[error("{}", .0.in_full())]
    World(#[from] Failure),
}

impl SubjectError {
    /// Whether trying the same again later could help: a person may mend the other objects, but
    /// the record of a release never changes.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        !matches!(self, Self::Invalid(invalid) if invalid.object.starts_with("Release "))
    }
}

/// What a rollout is made of.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The policy.
    pub policy: ReleasePolicy,
    /// The release on its way.
    pub candidate: Release,
    /// The release that serves.
    pub stable: Release,
    /// The environment.
    pub environment: Name,
}

impl Subject {
    /// Reads what belongs to a release.
    ///
    /// # Errors
    ///
    /// When something is missing or wrong, with what to do.
    pub async fn read(
        client: &Client,
        namespace: &str,
        release: DynamicObject,
    ) -> Result<Self, SubjectError> {
        let candidate = parse_release(&release)?;
        let workload = candidate.spec.workload.as_str();
        let policies = api::objects(client, namespace, Resource::ReleasePolicy);
        let object = policy_of(&policies.list().await?, namespace, workload)?;
        let policy = parse_policy(&object)?;
        let told = format!("ReleasePolicy {namespace}/{}", policy.metadata.name);
        let known_good = object.data["status"]["knownGood"].as_str().unwrap_or_default();
        if known_good.is_empty() {
            return Err(SubjectError::NotAdopted { policy: told });
        }
        let stable = release_object(client, namespace, known_good).await?;
        let stable = parse_release(&stable)?;
        let environment = environment(&object, &policy, &told)?;
        Ok(Self { policy, candidate, stable, environment })
    }

    /// The same as the engine is given it.
    #[must_use]
    pub fn brief(self) -> Arc<Brief> {
        Arc::new(Brief {
            policy: Arc::new(self.policy),
            environment: self.environment,
            stable: Arc::new(self.stable),
            candidate: Arc::new(self.candidate),
        })
    }
}

/// The Release of that name.
///
/// # Errors
///
/// When there is none, or it cannot be read.
pub(crate) async fn release_object(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<DynamicObject, Failure> {
    let objects: Objects = api::objects(client, namespace, Resource::Release);
    objects.need(name).await
}

/// What makes a set belong to its Release.
pub(crate) fn owner(object: &DynamicObject) -> Option<ReleaseOwner> {
    Some(ReleaseOwner { name: object.metadata.name.clone()?, uid: object.metadata.uid.clone()? })
}

/// The one policy that releases a workload.
fn policy_of(
    policies: &[DynamicObject],
    namespace: &str,
    workload: &str,
) -> Result<DynamicObject, SubjectError> {
    let of_it = |policy: &&DynamicObject| {
        policy.data["spec"]["workload"]["name"].as_str() == Some(workload)
    };
    let found: Vec<&DynamicObject> = policies.iter().filter(of_it).collect();
    match &found[..] {
        [policy] => Ok((*policy).clone()),
        [] => Err(SubjectError::Policy(format!(
            "no ReleasePolicy in namespace {namespace} is for workload {workload}; apply one"
        ))),
        several => {
            let names: Vec<&str> =
                several.iter().filter_map(|policy| policy.metadata.name.as_deref()).collect();
            Err(SubjectError::Policy(format!(
                "several policies in namespace {namespace} are for workload {workload}: {}; keep \
                 one of them",
                names.join(", ")
            )))
        }
    }
}

/// The environment that this cluster is: the one that the policy's annotation names, or the only
/// one.
pub(crate) fn environment(
    object: &DynamicObject,
    policy: &ReleasePolicy,
    told: &str,
) -> Result<Name, SubjectError> {
    let noted = object.metadata.annotations.as_ref().and_then(|all| all.get(ENVIRONMENT));
    let known: Vec<&Name> =
        policy.spec.environments.iter().map(|environment| &environment.name).collect();
    let listed = || known.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    match (noted, &known[..]) {
        (Some(noted), _) => {
            let found = known.iter().find(|name| name.as_str() == noted);
            found.map(|name| (*name).clone()).ok_or_else(|| {
                SubjectError::Environment(format!(
                    "{told}: annotation {ENVIRONMENT} names `{noted}`, the policy has: {}",
                    listed()
                ))
            })
        }
        (None, [only]) => Ok((*only).clone()),
        (None, _) => Err(SubjectError::Environment(format!(
            "{told} has several environments ({}); annotate it with {ENVIRONMENT}, so that it says \
             which one this cluster is",
            listed()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(name: &str, workload: &str) -> DynamicObject {
        let api = Resource::ReleasePolicy.api();
        DynamicObject::new(name, &api).data(json!({"spec": {"workload": {"name": workload}}}))
    }

    #[test]
    fn one_policy_releases_a_workload() {
        let policies = [policy("a", "checkout"), policy("b", "search")];
        let found = policy_of(&policies, "shop", "search").expect("one");
        assert_eq!(found.metadata.name.as_deref(), Some("b"));
        let none = policy_of(&policies, "shop", "cart").expect_err("none");
        assert!(none.to_string().contains("no ReleasePolicy in namespace shop"));
        let twice = [policy("a", "checkout"), policy("b", "checkout")];
        let several = policy_of(&twice, "shop", "checkout").expect_err("two");
        assert!(several.to_string().contains("a, b"));
    }
}
