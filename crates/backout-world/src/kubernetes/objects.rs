//! Objects as JSON, so that fields that are not known here survive. Every request has a time
//! limit, and every list a size limit.

use std::future::Future;
use std::time::Duration;

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch,
    PatchParams, PostParams, Preconditions,
};
use kube::{Client, Error};
use serde_json::Value;

use super::{answer, names};
use crate::failure::{Failure, Kind};

/// How long a request that reads may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a request that writes may take: admission webhooks may have this long to answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often a change is begun anew when someone else wrote in between.
const TRIES: u32 = 4;

/// How many objects one page of a list holds.
const PAGE: u32 = 500;

/// How many objects a list may hold. A set has as many pods as replicas; more than this is not
/// read in pieces that fit into memory by accident.
const MOST: usize = 10_000;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version.
    pub version: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Name in paths.
    pub plural: &'static str,
}

impl Sort {
    const fn new(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
        plural: &'static str,
    ) -> Self {
        Self { group, version, kind, plural }
    }

    /// The kind of this object, if it is one that a set consists of.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let kind = object["kind"].as_str()?;
        OF_A_SET.into_iter().find(|sort| sort.kind == kind)
    }

    /// The kind of route of this name, if it is one that traffic is moved by.
    #[must_use]
    pub fn of_route(kind: &str) -> Option<Self> {
        ROUTES.into_iter().find(|sort| sort.kind == kind)
    }

    fn resource(self) -> ApiResource {
        let gvk = GroupVersionKind::gvk(self.group, self.version, self.kind);
        ApiResource::from_gvk_with_plural(&gvk, self.plural)
    }
}

/// Deployments.
pub const DEPLOYMENT: Sort = Sort::new("apps", "v1", "Deployment", "deployments");
/// ReplicaSets.
pub const REPLICA_SET: Sort = Sort::new("apps", "v1", "ReplicaSet", "replicasets");
/// Pods.
pub const POD: Sort = Sort::new("", "v1", "Pod", "pods");
/// Services.
pub const SERVICE: Sort = Sort::new("", "v1", "Service", "services");
/// ConfigMaps.
pub const CONFIG_MAP: Sort = Sort::new("", "v1", "ConfigMap", "configmaps");
/// Secrets.
pub const SECRET: Sort = Sort::new("", "v1", "Secret", "secrets");
/// EndpointSlices.
pub const ENDPOINT_SLICE: Sort =
    Sort::new("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
/// HorizontalPodAutoscalers.
pub const AUTOSCALER: Sort =
    Sort::new("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
/// PodDisruptionBudgets.
pub const DISRUPTION_BUDGET: Sort =
    Sort::new("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets");
/// NetworkPolicies.
pub const NETWORK_POLICY: Sort =
    Sort::new("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");
/// Gateway API HTTPRoutes.
pub const HTTP_ROUTE: Sort =
    Sort::new("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes");
/// Gateway API GRPCRoutes.
pub const GRPC_ROUTE: Sort =
    Sort::new("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes");
/// Quarantined digests.
pub const QUARANTINE: Sort = Sort::new("backout.dev", "v1alpha1", "Quarantine", "quarantines");
/// Argo CD Applications.
pub const APPLICATION: Sort = Sort::new("argoproj.io", "v1alpha1", "Application", "applications");
/// Flux Kustomizations.
pub const KUSTOMIZATION: Sort =
    Sort::new("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", "kustomizations");
/// Flux HelmReleases.
pub const HELM_RELEASE: Sort =
    Sort::new("helm.toolkit.fluxcd.io", "v2", "HelmRelease", "helmreleases");

/// The kinds that a set consists of, in the order in which they are removed: what would make it
/// larger first, and last the Deployment, which says what else there is.
pub const OF_A_SET: [Sort; 6] =
    [AUTOSCALER, SERVICE, DISRUPTION_BUDGET, CONFIG_MAP, SECRET, DEPLOYMENT];

/// The kinds that move traffic.
const ROUTES: [Sort; 3] = [HTTP_ROUTE, GRPC_ROUTE, SERVICE];

/// The objects of one namespace.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    namespace: String,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Objects").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Objects {
    /// The objects of this namespace.
    #[must_use]
    pub fn new(client: Client, namespace: impl Into<String>) -> Self {
        Self { client, namespace: namespace.into() }
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The same client for another namespace.
    #[must_use]
    pub fn within(&self, namespace: &str) -> Self {
        Self::new(self.client.clone(), namespace)
    }

    /// An object in words, such as `Deployment shop/checkout`.
    #[must_use]
    pub fn in_words(&self, sort: Sort, name: &str) -> String {
        format!("{} {}/{name}", sort.kind, self.namespace)
    }

    fn api(&self, sort: Sort) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &sort.resource())
    }

    /// Reads an object; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or the cluster does not know its kind.
    pub async fn get(&self, sort: Sort, name: &str) -> Result<Option<Value>, Failure> {
        let told = self.in_words(sort, name);
        match limited(&told, false, self.api(sort).get(name)).await? {
            Ok(object) => value(sort, &told, object).map(Some),
            Err(error) if is_missing_object(&error) => Ok(None),
            Err(error) => Err(unread(answer::failure(&told, &error))),
        }
    }

    /// Reads an object that must be there.
    ///
    /// # Errors
    ///
    /// As [`Self::get`], and if there is none of that name.
    pub async fn need(&self, sort: Sort, name: &str) -> Result<Value, Failure> {
        self.get(sort, name).await?.ok_or_else(|| {
            let told = self.in_words(sort, name);
            Failure::new(Kind::Missing, format!("{told} does not exist"))
        })
    }

    /// Lists objects by labels, such as `a=b,c=d`; all of the namespace for an empty text.
    ///
    /// # Errors
    ///
    /// If they cannot be listed, or there are too many.
    pub async fn list(&self, sort: Sort, labels: &str) -> Result<Vec<Value>, Failure> {
        let told = self.in_words(sort, if labels.is_empty() { "*" } else { labels });
        let mut params = ListParams::default().limit(PAGE);
        if !labels.is_empty() {
            params = params.labels(labels);
        }
        let mut objects = Vec::new();
        loop {
            let page = read(&told, self.api(sort).list(&params)).await?;
            for object in page.items {
                objects.push(value(sort, &told, object)?);
            }
            if objects.len() > MOST {
                let message = format!("{told}: more than {MOST} objects");
                return Err(Failure::new(Kind::Failed, message));
            }
            match page.metadata.continue_ {
                Some(token) if !token.is_empty() => params = params.continue_token(&token),
                _ => return Ok(objects),
            }
        }
    }

    /// Creates an object; `None` if there is one of that name.
    ///
    /// # Errors
    ///
    /// If it was refused, or may not have been created.
    pub async fn create(&self, sort: Sort, object: &Value) -> Result<Option<Value>, Failure> {
        let told = self.in_words(sort, name(object));
        let body: DynamicObject = serde_json::from_value(object.clone()).map_err(|error| {
            Failure::new(Kind::Refused, format!("{told} is not an object: {error}"))
        })?;
        let params =
            PostParams { field_manager: Some(names::MANAGER.to_owned()), ..PostParams::default() };
        match limited(&told, true, self.api(sort).create(&params, &body)).await? {
            Ok(object) => value(sort, &told, object).map(Some),
            Err(Error::Api(status)) if status.reason == "AlreadyExists" => Ok(None),
            Err(error) => Err(answer::failure(&told, &error)),
        }
    }

    /// Changes an object with a merge patch.
    ///
    /// # Errors
    ///
    /// If it was refused, or may not have been changed.
    pub async fn merge(&self, sort: Sort, name: &str, patch: &Value) -> Result<Value, Failure> {
        let told = self.in_words(sort, name);
        self.patch(sort, name, patch)
            .await?
            .map_err(|error| answer::failure(&told, &error))
            .and_then(|object| value(sort, &told, object))
    }

    async fn patch(
        &self,
        sort: Sort,
        name: &str,
        patch: &Value,
    ) -> Result<Result<DynamicObject, Error>, Failure> {
        let params = PatchParams {
            field_manager: Some(names::MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let told = self.in_words(sort, name);
        limited(&told, true, self.api(sort).patch(name, &params, &Patch::Merge(patch))).await
    }

    /// Reads an object, asks what to change, and writes that under the version that was read. When
    /// someone else wrote meanwhile it reads and asks again, so that the question always sees what
    /// it changes. A merge patch that carries the version is used rather than a JSON patch with a
    /// test: the server answers a version that has moved on with a conflict, and not with the same
    /// code as an invalid object.
    ///
    /// # Errors
    ///
    /// If there is no such object, whatever `wanted` answers, and if the change was refused, may not
    /// have been made, or someone else wrote in between every time.
    pub async fn change(
        &self,
        sort: Sort,
        name: &str,
        mut wanted: impl FnMut(&Value) -> Result<Option<Value>, Failure>,
    ) -> Result<(), Failure> {
        let told = self.in_words(sort, name);
        for _ in 0..TRIES {
            let object = self.need(sort, name).await?;
            let Some(mut patch) = wanted(&object)? else { return Ok(()) };
            patch["metadata"]["resourceVersion"] = object["metadata"]["resourceVersion"].clone();
            match self.patch(sort, name, &patch).await? {
                Ok(_) => return Ok(()),
                Err(Error::Api(status)) if status.code == 409 && status.reason == "Conflict" => {}
                Err(error) => return Err(answer::failure(&told, &error)),
            }
        }
        let message = format!("{told}: someone else wrote it at each of {TRIES} tries");
        Err(Failure::new(Kind::Failed, message).with_help("find out who writes it all the time"))
    }

    /// Deletes exactly this object, and what it owns; one that is gone already, or was made anew
    /// under the same name, is left alone.
    ///
    /// # Errors
    ///
    /// If it was refused, or may not have been deleted.
    pub async fn delete(&self, sort: Sort, name: &str, uid: &str) -> Result<(), Failure> {
        let told = self.in_words(sort, name);
        let only = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        let params = DeleteParams::background().preconditions(only);
        match limited(&told, true, self.api(sort).delete(name, &params)).await? {
            Ok(_) => Ok(()),
            Err(error) if is_missing_object(&error) => Ok(()),
            Err(error) => Err(answer::failure(&told, &error)),
        }
    }
}

/// An object's name, or nothing.
#[must_use]
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// A label of an object.
#[must_use]
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"][key].as_str()
}

/// An annotation of an object.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

/// A number of replicas or pods; missing is this many.
#[must_use]
pub fn count(value: &Value, missing: u32) -> u32 {
    value.as_u64().map_or(missing, |number| u32::try_from(number).unwrap_or(u32::MAX))
}

fn is_missing_object(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 404
        && status.message != "404 page not found"
        && !status.message.contains("could not find the requested resource"))
}

/// Reading again never does harm, so that a read without an answer is simply not done.
fn unread(mut failure: Failure) -> Failure {
    if failure.kind == Kind::Ambiguous {
        failure.kind = Kind::Failed;
    }
    failure
}

/// What a request that only reads was answered, within its time.
pub(crate) async fn read<T>(
    told: &str,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    limited(told, false, request).await?.map_err(|error| unread(answer::failure(told, &error)))
}

async fn limited<T>(
    told: &str,
    writes: bool,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<Result<T, Error>, Failure> {
    let (limit, kind) =
        if writes { (WRITE_TIMEOUT, Kind::Ambiguous) } else { (READ_TIMEOUT, Kind::Failed) };
    tokio::time::timeout(limit, request)
        .await
        .map_err(|_| Failure::new(kind, format!("{told}: no answer within {} s", limit.as_secs())))
}

/// The server leaves kind and version out of the objects of a list.
fn value(sort: Sort, told: &str, object: DynamicObject) -> Result<Value, Failure> {
    let mut value = serde_json::to_value(object).map_err(|error| {
        Failure::new(Kind::Failed, format!("{told}: the answer cannot be read: {error}"))
    })?;
    let version = match sort.group {
        "" => sort.version.to_owned(),
        group => format!("{group}/{}", sort.version),
    };
    value["apiVersion"] = Value::String(version);
    value["kind"] = Value::String(sort.kind.to_owned());
    Ok(value)
}
