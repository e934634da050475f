//! Release sets. Each release owns a Deployment, copies of the settings that its pods read, a
//! Service and an autoscaler, all named after the release. Nothing in a set is changed after it
//! was made, except its size, the existence of its autoscaler, and the label that marks it failed:
//! going back is then a matter of size and traffic, never of making something anew.

pub mod build;
mod condition;
mod facts;
pub mod references;
mod scale;
pub mod selectors;
mod template;
mod tracking;

use backout_core::machine::Precondition;
use backout_core::release::Release;
use backout_core::units::Digest;
use kube::Client;
use serde_json::Value;

pub use build::ReleaseOwner;
pub(super) use facts::{digests, newest, pods_of};

use self::build::Order;
use self::references::Source;
use super::names;
use super::objects::{self, Objects, Sort};
use crate::failure::{Failure, Kind};

/// The sets of one workload.
#[derive(Clone, Debug)]
pub struct Sets {
    pub(super) objects: Objects,
    /// The user's Deployment.
    pub(super) deployment: String,
    policy: String,
    service: Option<String>,
}

/// A set, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetSummary {
    /// Its name.
    pub name: String,
    /// Its Deployment, as a precondition for removing it.
    pub uid: u64,
    /// Version that people use for its release.
    pub version: String,
    /// Replicas asked for.
    pub desired: u32,
    /// Whether it is kept as evidence.
    pub failed: bool,
    /// When it was made, as the API server writes it.
    pub created: String,
}

impl Sets {
    /// The sets of the user's Deployment of this name, released by this policy.
    #[must_use]
    pub fn new(client: Client, namespace: &str, deployment: &str, policy: &str) -> Self {
        Self {
            objects: Objects::new(client, namespace),
            deployment: deployment.to_owned(),
            policy: policy.to_owned(),
            service: None,
        }
    }

    /// Takes the ports of sets from this Service of the user's alone, and not from all that
    /// select the Deployment's pods.
    #[must_use]
    pub fn with_service(mut self, service: &str) -> Self {
        self.service = Some(service.to_owned());
        self
    }

    /// Name of the user's Deployment.
    #[must_use]
    pub fn workload(&self) -> &str {
        &self.deployment
    }

    /// The user's Service that was chosen, if one was.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// Creates every object of the release's set that does not exist yet. What exists and was made
    /// the same is left as it is, so that a call that was cut short can be made again.
    ///
    /// # Errors
    ///
    /// If the record does not fit the user's Deployment, something that its pods need is missing,
    /// an object of the same name is another one, or the API server or an admission webhook
    /// refuses one.
    pub async fn create(
        &self,
        release: &Release,
        replicas: u32,
        owner: Option<&ReleaseOwner>,
    ) -> Result<(), Failure> {
        let template = self.template().await?;
        let order = Order { release, policy: &self.policy, replicas, owner };
        for object in build::build(&template, &order)? {
            self.ensure(&object).await?;
        }
        Ok(())
    }

    /// Creates an object unless the same one exists.
    async fn ensure(&self, object: &Value) -> Result<(), Failure> {
        let Some(sort) = Sort::of(object) else {
            let message = format!("{} is not part of a set", object["kind"]);
            return Err(Failure::new(Kind::Refused, message));
        };
        if self.objects.create(sort, object).await?.is_some() {
            return Ok(());
        }
        let name = objects::name(object);
        let told = self.objects.in_words(sort, name);
        let Some(found) = self.objects.get(sort, name).await? else {
            let message = format!("{told} was deleted while it was being created");
            return Err(Failure::new(Kind::Failed, message));
        };
        let content = |object| objects::annotation(object, names::CONTENT).map(str::to_owned);
        if found["metadata"]["deletionTimestamp"].is_string() {
            let message = format!("{told} is still being deleted");
            return Err(Failure::new(Kind::Failed, message));
        }
        if objects::label(&found, "app.kubernetes.io/managed-by") == Some(names::MANAGED_BY)
            && content(&found) == content(object)
        {
            return Ok(());
        }
        let place = difference(object, &found, "")
            .unwrap_or_else(|| format!("metadata.annotations[{}]", names::CONTENT));
        let message = format!("{told} exists and is another one: it differs in {place}");
        Err(Failure::new(Kind::Refused, message).with_help(
            "the workload was changed since the set was made: record a new release, or delete \
             the object",
        ))
    }

    /// The sets that exist, oldest first.
    ///
    /// # Errors
    ///
    /// If they cannot be listed.
    pub async fn list(&self) -> Result<Vec<SetSummary>, Failure> {
        let labels = ours(&format!("{}={}", names::WORKLOAD, self.deployment));
        let found = self.objects.list(objects::DEPLOYMENT, &labels).await?;
        let mut sets: Vec<SetSummary> = found.iter().map(SetSummary::of).collect();
        sets.sort_by(|a, b| (&a.created, &a.name).cmp(&(&b.created, &b.name)));
        Ok(sets)
    }

    /// Removes a set that asks for no replicas any more, object by object, and nothing else.
    ///
    /// # Errors
    ///
    /// If it still asks for replicas, is another one than the precondition says, or something
    /// could not be deleted; calling it again goes on where it ended.
    pub async fn remove(&self, set: &str, only: Precondition) -> Result<(), Failure> {
        if let Some(deployment) = self.deployment_of(set).await? {
            let told = self.objects.in_words(objects::DEPLOYMENT, set);
            if uid(&deployment) != only.uid {
                let message = format!("{told} is not the one that was to be removed");
                return Err(Failure::new(Kind::Refused, message));
            }
            let desired = objects::count(&deployment["spec"]["replicas"], 1);
            if desired > 0 {
                let message = format!("{told} still asks for {desired} replicas");
                return Err(Failure::new(Kind::Refused, message)
                    .with_help("scale the set to 0 before it is removed"));
            }
        }
        self.purge(set).await
    }

    /// Removes whatever belongs to this set, its Deployment last: it says which Secrets there
    /// are, which must not need the permission to list all Secrets of the namespace.
    pub(super) async fn purge(&self, set: &str) -> Result<(), Failure> {
        let deployment = self.deployment_of(set).await?;
        let pod_spec = deployment.as_ref().map(|object| &object["spec"]["template"]["spec"]);
        let referred = pod_spec.map(references::of).unwrap_or_default();
        for (source, name) in referred.into_keys() {
            if source == Source::Secret
                && let Some(secret) = self.objects.get(objects::SECRET, &name).await?
                && objects::label(&secret, names::RELEASE) == Some(set)
            {
                self.delete(objects::SECRET, &secret).await?;
            }
        }
        let labels = ours(&format!("{}={set}", names::RELEASE));
        for sort in objects::OF_A_SET {
            for object in self.listed(sort, &labels).await? {
                self.delete(sort, &object).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, sort: Sort, object: &Value) -> Result<(), Failure> {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        self.objects.delete(sort, objects::name(object), uid).await
    }

    /// Objects of ours by labels; Secrets only where they may be listed.
    async fn listed(&self, sort: Sort, labels: &str) -> Result<Vec<Value>, Failure> {
        match self.objects.list(sort, labels).await {
            Err(failure) if sort == objects::SECRET && failure.kind == Kind::Missing => {
                Ok(Vec::new())
            }
            listed => listed,
        }
    }

    /// The Deployment of a set, if there is one, and it is ours.
    async fn deployment_of(&self, set: &str) -> Result<Option<Value>, Failure> {
        let Some(deployment) = self.objects.get(objects::DEPLOYMENT, set).await? else {
            return Ok(None);
        };
        let managed_by = objects::label(&deployment, "app.kubernetes.io/managed-by");
        if managed_by != Some(names::MANAGED_BY)
            || objects::label(&deployment, names::RELEASE) != Some(set)
        {
            let told = self.objects.in_words(objects::DEPLOYMENT, set);
            let message = format!("{told} is not part of a set of Backout's");
            return Err(Failure::new(Kind::Refused, message)
                .with_help("another tool made it; rename it, or record a new release"));
        }
        Ok(Some(deployment))
    }
}

impl SetSummary {
    fn of(deployment: &Value) -> Self {
        let version = objects::annotation(deployment, names::context::VERSION);
        Self {
            name: objects::name(deployment).to_owned(),
            uid: uid(deployment),
            version: version.unwrap_or_default().to_owned(),
            desired: objects::count(&deployment["spec"]["replicas"], 1),
            failed: objects::label(deployment, names::FAILED).is_some(),
            created: deployment["metadata"]["creationTimestamp"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

/// A label selector for objects of ours.
pub(super) fn ours(and: &str) -> String {
    format!("app.kubernetes.io/managed-by={},{and}", names::MANAGED_BY)
}

/// An object's unique id as the engine knows it: the first eight bytes of a hash of it.
#[must_use]
pub fn uid(object: &Value) -> u64 {
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    let digest = Digest::of_bytes(uid.as_bytes());
    let first = digest.hex().get(..16).unwrap_or_default();
    u64::from_str_radix(first, 16).unwrap_or_default()
}

/// The first place where something that is wanted is otherwise in what was found. The server adds
/// defaults, so that what is only in the found object does not count. Values are not told: they
/// may be secret.
fn difference(wanted: &Value, found: &Value, at: &str) -> Option<String> {
    match (wanted, found) {
        (Value::Object(wanted), Value::Object(found)) => wanted.iter().find_map(|(key, value)| {
            let skipped = at == ".metadata" && key == "ownerReferences"
                || at == ".spec" && key == "replicas"
                || key == names::CONTENT;
            let here = if key.contains(['.', '/']) {
                format!("{at}[{key}]")
            } else {
                format!("{at}.{key}")
            };
            match found.get(key) {
                _ if skipped => None,
                Some(found) => difference(value, found, &here),
                None if value.is_null() => None,
                None => Some(here.trim_start_matches('.').to_owned()),
            }
        }),
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            let mut pairs = wanted.iter().zip(found).enumerate();
            pairs.find_map(|(index, (wanted, found))| {
                difference(wanted, found, &format!("{at}[{index}]"))
            })
        }
        (wanted, found) if wanted == found => None,
        _ => Some(at.trim_start_matches('.').to_owned()),
    }
}

#[cfg(test)]
mod tests;
