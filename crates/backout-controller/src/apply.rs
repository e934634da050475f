//! Brings documents into the cluster.

use backout_core::policy::ReleasePolicy;
use backout_core::release::Release;
use backout_world::failure::{Failure, Kind};
use kube::Client;
use kube::core::DynamicObject;
use serde_json::json;

use crate::api;
use crate::resources::{GROUP, Resource, VERSION};
use crate::rollout::ENVIRONMENT;

/// Makes the cluster's policy this one. `environment` is the one that the cluster is, if it is to
/// be noted.
///
/// # Errors
///
/// When it is refused.
pub async fn policy(
    client: &Client,
    policy: &ReleasePolicy,
    environment: Option<&str>,
) -> Result<(), Failure> {
    let (name, namespace) = (policy.metadata.name.as_str(), policy.metadata.namespace.as_str());
    let mut object = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": Resource::ReleasePolicy.kind(),
        "metadata": { "name": name, "namespace": namespace },
        "spec": policy.spec,
    });
    if let Some(environment) = environment {
        object["metadata"]["annotations"] = json!({ ENVIRONMENT: environment });
    }
    api::objects(client, namespace, Resource::ReleasePolicy).apply(name, &object).await.map(drop)
}

/// Creates the Release. One that records the same is taken for it, so that a run that was
/// interrupted goes on; the record of another is never changed.
///
/// # Errors
///
/// When it is refused, or records something else.
pub async fn release(client: &Client, namespace: &str, release: &Release) -> Result<(), Failure> {
    let name = release.metadata.name.as_str();
    let releases = api::objects(client, namespace, Resource::Release);
    if let Some(found) = releases.get(name).await? {
        // Compared as the engine reads it: the server may have filled in what was left out.
        let same =
            crate::resources::parse_release(&found).is_ok_and(|found| found.spec == release.spec);
        if same {
            return Ok(());
        }
        let message = format!("Release {namespace}/{name} exists and records something else");
        return Err(Failure::new(Kind::Refused, message)
            .with_help("a record never changes: give the new release a name of its own"));
    }
    let object = DynamicObject::new(name, &Resource::Release.api())
        .within(namespace)
        .data(json!({ "spec": release.spec }));
    releases.create(&object).await.map(drop)
}
