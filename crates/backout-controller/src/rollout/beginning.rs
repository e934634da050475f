//! What is done before the first step of a rollout: the Release is held, so that deleting it never
//! takes a set away that serves, and who would undo a way back is found out.

use backout_core::policy::ReleasePolicy;
use backout_world::failure::{Failure, Kind};
use backout_world::kubernetes::objects::{Objects, Sort};
use backout_world::kubernetes::owners;
use kube::Client;
use serde_json::{Value, json};

use crate::api;
use crate::resources::Resource;

/// Finalizer of a Release whose rollout began: its set belongs to it, and would go with it.
pub const FINALIZER: &str = "backout.dev/set";

/// How often a change is begun anew when someone else wrote in between.
const TRIES: u32 = 4;

/// Holds the Release until its set serves nobody any more.
///
/// # Errors
///
/// If there is no such Release any more, it is being deleted, or may not be changed.
pub(crate) async fn hold(client: &Client, namespace: &str, name: &str) -> Result<(), Failure> {
    finalizers(client, namespace, name, |held, is_leaving| {
        if is_leaving {
            let message = format!("Release {namespace}/{name} is being deleted");
            return Err(Failure::new(Kind::Failed, message));
        }
        held.push(FINALIZER.to_owned());
        Ok(())
    })
    .await
}

/// Lets the Release go.
///
/// # Errors
///
/// If it may not be changed.
pub(crate) async fn let_go(client: &Client, namespace: &str, name: &str) -> Result<(), Failure> {
    finalizers(client, namespace, name, |_, _| Ok(())).await
}

/// Changes the finalizers of a Release: ours is taken off, and then asked for by `wanted`, which is
/// also told whether the Release is being deleted.
async fn finalizers(
    client: &Client,
    namespace: &str,
    name: &str,
    wanted: impl Fn(&mut Vec<String>, bool) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let objects = api::objects(client, namespace, Resource::Release);
    let mut tries = 0;
    loop {
        let object = objects.need(name).await?;
        let before = object.metadata.finalizers.unwrap_or_default();
        let mut after: Vec<String> =
            before.iter().filter(|held| *held != FINALIZER).cloned().collect();
        wanted(&mut after, object.metadata.deletion_timestamp.is_some())?;
        if after == before {
            return Ok(());
        }
        let list = if after.is_empty() { Value::Null } else { json!(after) };
        let version = object.metadata.resource_version;
        let patch = json!({ "metadata": { "resourceVersion": version, "finalizers": list } });
        tries += 1;
        match objects.merge(name, &patch).await {
            Ok(_) => return Ok(()),
            // Someone else wrote in between: the version says so.
            Err(failure) if failure.kind == Kind::Failed && tries < TRIES => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// Who would undo a way back of this policy's route, in words that say what to write where. What
/// cannot be read stops no rollout: it is logged.
pub(super) async fn undone_by(client: &Client, policy: &ReleasePolicy) -> Vec<String> {
    let route = &policy.spec.traffic.route;
    let Some(sort) = Sort::of_route(&route.kind.to_string()) else { return Vec::new() };
    let objects = Objects::new(client.clone(), policy.metadata.namespace.as_str());
    let read = async {
        let object = objects.need(sort, route.name.as_str()).await?;
        owners::owner(&objects, &object).await
    };
    match read.await {
        Ok(owner) => owner.warning().into_iter().collect(),
        Err(failure) => {
            tracing::warn!(failure = failure.in_full(), "it is not known who owns the route");
            Vec::new()
        }
    }
}
