//! Our own resources, read and written with a time limit. What goes wrong is told with the object.

use std::time::Duration;

use backout_world::failure::{Failure, Kind};
use backout_world::kubernetes::{answer, names};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use serde_json::Value;

use crate::resources::Resource;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Objects of one kind in one namespace.
#[derive(Clone)]
pub struct Objects {
    api: Api<DynamicObject>,
    resource: Resource,
    namespace: String,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// The objects of a kind in a namespace.
#[must_use]
pub fn objects(client: &Client, namespace: &str, resource: Resource) -> Objects {
    Objects {
        api: Api::namespaced_with(client.clone(), namespace, &resource.api()),
        resource,
        namespace: namespace.to_owned(),
    }
}

impl Objects {
    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn told(&self, name: &str) -> String {
        format!("{} {}/{name}", self.resource.kind(), self.namespace)
    }

    /// Reads an object; `None` if there is none.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn get(&self, name: &str) -> Result<Option<DynamicObject>, Failure> {
        let told = self.told(name);
        match self.need(name).await {
            Ok(object) => Ok(Some(object)),
            Err(failure)
                if failure.kind == Kind::Missing
                    && failure.message == format!("{told} does not exist") =>
            {
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads an object that must be there.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or there is none.
    pub async fn need(&self, name: &str) -> Result<DynamicObject, Failure> {
        limited(&self.told(name), false, self.api.get(name)).await
    }

    /// All objects.
    ///
    /// # Errors
    ///
    /// When they cannot be listed.
    pub async fn list(&self) -> Result<Vec<DynamicObject>, Failure> {
        let params = ListParams::default();
        limited(&self.told("*"), false, self.api.list(&params)).await.map(|list| list.items)
    }

    /// Creates an object.
    ///
    /// # Errors
    ///
    /// When it was refused, or exists.
    pub async fn create(&self, object: &DynamicObject) -> Result<DynamicObject, Failure> {
        let parameters =
            PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() };
        let told = self.told(object.metadata.name.as_deref().unwrap_or_default());
        limited(&told, true, self.api.create(&parameters, object)).await
    }

    /// Makes the named fields of an object what they are here, by server-side apply.
    ///
    /// # Errors
    ///
    /// When it was refused.
    pub async fn apply(&self, name: &str, object: &Value) -> Result<DynamicObject, Failure> {
        let parameters = PatchParams::apply(names::MANAGER).force();
        let patch = Patch::Apply(object);
        limited(&self.told(name), true, self.api.patch(name, &parameters, &patch)).await
    }

    /// Changes an object with a merge patch.
    ///
    /// # Errors
    ///
    /// When it was refused.
    pub async fn merge(&self, name: &str, patch: &Value) -> Result<DynamicObject, Failure> {
        let parameters = PatchParams {
            field_manager: Some(names::MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(patch);
        limited(&self.told(name), true, self.api.patch(name, &parameters, &patch)).await
    }

    /// Makes the status of an object this one, by server-side apply: what was said before and is
    /// not said now is taken away.
    ///
    /// # Errors
    ///
    /// When it was refused.
    pub async fn apply_status(&self, name: &str, status: Value) -> Result<DynamicObject, Failure> {
        let object = serde_json::json!({
            "apiVersion": format!("{}/{}", crate::resources::GROUP, crate::resources::VERSION),
            "kind": self.resource.kind(),
            "metadata": { "name": name, "namespace": self.namespace },
            "status": status,
        });
        let parameters = PatchParams::apply(names::MANAGER).force();
        let patch = Patch::Apply(&object);
        limited(&self.told(name), true, self.api.patch_status(name, &parameters, &patch)).await
    }

    /// Deletes an object; one that is gone is fine.
    ///
    /// # Errors
    ///
    /// When it was refused.
    pub async fn delete(&self, name: &str) -> Result<(), Failure> {
        let told = self.told(name);
        let parameters = kube::api::DeleteParams::default();
        match limited(&told, true, self.api.delete(name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.message == format!("{told} does not exist") => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

async fn limited<T>(
    told: &str,
    writes: bool,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Failure> {
    let mut failure = match tokio::time::timeout(LIMIT, request).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => answer::failure(told, &error),
        Err(_) => {
            let message = format!("{told}: no answer within {} s", LIMIT.as_secs());
            Failure::new(Kind::Ambiguous, message)
        }
    };
    if !writes && failure.kind == Kind::Ambiguous {
        failure.kind = Kind::Failed;
    }
    if failure.message.contains("does not know the kind") {
        failure = failure.with_help("run `backout install` to install the resource definitions");
    }
    Err(failure)
}
