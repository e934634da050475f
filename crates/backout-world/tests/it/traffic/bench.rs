//! One provider with its object, sets and pods in a namespace of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backout_core::machine::Precondition;
use backout_core::policy::Route;
use backout_core::snapshot::RouteFacts;
use backout_core::units::Weight;
use backout_world::failure::Failure;
use backout_world::traffic::{Arms, Fence, Provider, provider};
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::cluster::{Cluster, cluster};

pub(super) const WORKLOAD: &str = "shop";
pub(super) const STABLE: &str = "shop-aaaaaaaa";
pub(super) const CANDIDATE: &str = "shop-bbbbbbbb";
pub(super) const THIRD: &str = "shop-cccccccc";

/// Field manager of whoever writes beside us.
pub(super) const SOMEONE: &str = "someone";

/// How long anything that controllers do may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A provider, and what the contract has to know of its object.
pub(super) struct Case {
    /// The policy's `spec.traffic.route`. Its name is `shop`.
    pub(super) route: Value,
    /// Name of the object's kind in paths.
    pub(super) plural: &'static str,
    /// The object as the user wrote it, with more in it than the provider needs to know.
    pub(super) object: Value,
    /// Shares that it can give, in percent, where the stable set has three pods and the candidate
    /// one. The last but one is 100 or has it before, and the last is 0.
    pub(super) weights: &'static [u8],
    /// The candidate's share that a spec says, read without the provider.
    pub(super) shows: fn(&Value) -> Option<u8>,
    /// What of the spec someone changes so that a third set is named in it.
    pub(super) third: fn(&Value) -> Value,
}

pub(super) struct Bench {
    pub(super) cluster: Cluster,
    pub(super) case: Case,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) api: Api<DynamicObject>,
    pub(super) arms: Arms,
    pub(super) fence: Fence,
}

pub(super) fn percent(percent: u8) -> Weight {
    Weight::from_percent(percent).expect("a percentage")
}

impl Bench {
    /// The sets with their pods, and the user's objects; unless there is no cluster.
    pub(super) async fn new(name: &str, case: Case) -> Option<Self> {
        let cluster = cluster(name).await?;
        definitions(&cluster).await;
        let route: Route = serde_json::from_value(case.route.clone()).expect("a route");
        let version = case.object["apiVersion"].as_str().expect("a version");
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = case.object["kind"].as_str().expect("a kind");
        let kind = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, case.plural);
        let bench = Self {
            provider: provider(&route, cluster.client.clone()),
            api: Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &resource),
            arms: Arms {
                namespace: cluster.namespace.clone(),
                route: "shop".to_owned(),
                service: Some("shop".to_owned()),
                workload: WORKLOAD.to_owned(),
                stable: STABLE.to_owned(),
                candidate: Some(CANDIDATE.to_owned()),
            },
            fence: Fence { run: "run".to_owned(), generation: 2 },
            cluster,
            case,
        };
        bench.pods(STABLE, 3).await;
        bench.pods(CANDIDATE, 1).await;
        bench.fresh().await;
        Some(bench)
    }

    /// The arms after the candidate's promotion.
    pub(super) fn promoted(&self) -> Arms {
        Arms { stable: CANDIDATE.to_owned(), candidate: None, ..self.arms.clone() }
    }

    pub(super) fn services(&self) -> Api<DynamicObject> {
        let service = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Service"));
        Api::namespaced_with(self.cluster.client.clone(), &self.cluster.namespace, &service)
    }

    /// The user's objects as they were before anything was adopted.
    pub(super) async fn fresh(&self) {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": "shop" },
            "spec": { "selector": { "app": "shop" }, "ports": [{ "port": 80 }] },
        });
        made(&self.services(), service).await;
        made(&self.api, self.case.object.clone()).await;
    }

    pub(super) async fn adopted(&self) {
        self.provider.adopt(&self.arms).await.expect("adopted");
    }

    /// Writes under the version that was read, as the engine does.
    pub(super) async fn write(&self, weight: u8) {
        let facts = self.shown(&self.arms).await;
        let expected = Precondition { uid: 0, resource_version: facts.resource_version };
        let written =
            self.provider.write(&self.arms, percent(weight), Some(expected), &self.fence).await;
        written.expect("written");
    }

    /// What the provider reads, as soon as it reads something: endpoints follow a selector late.
    pub(super) async fn shown(&self, arms: &Arms) -> RouteFacts {
        let begun = Instant::now();
        loop {
            match self.provider.read(arms).await {
                Ok(facts) => return facts,
                Err(told) => assert!(begun.elapsed() < PATIENCE, "not readable: {told}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn object(&self) -> DynamicObject {
        self.api.get("shop").await.expect("the object")
    }

    pub(super) async fn spec(&self) -> Value {
        self.object().await.data["spec"].clone()
    }

    /// The version of everything in the object, notes included.
    pub(super) async fn version(&self) -> Option<String> {
        self.object().await.metadata.resource_version
    }

    /// What of the object and of the user's Service is the user's, as text.
    pub(super) async fn of_the_user(&self) -> String {
        let service = self.services().get("shop").await.expect("the Service");
        let parts = [self.object().await, service].map(|object| {
            let metadata = object.metadata;
            json!([object.data["spec"], metadata.labels, metadata.annotations])
        });
        json!(parts).to_string()
    }

    /// Someone else writes the spec.
    pub(super) async fn someone_writes(&self, spec: Value) {
        let params = PatchParams { field_manager: Some(SOMEONE.to_owned()), ..Default::default() };
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api.patch("shop", &params, &patch).await.expect("someone else's write");
    }

    /// Pods of a set that run; their names.
    pub(super) async fn pods(&self, set: &str, number: u32) -> Vec<String> {
        let names: Vec<String> = (0..number).map(|index| format!("{set}-{index}")).collect();
        for name in &names {
            let labels = json!({
                "app": "shop", "tier": "web",
                "backout.dev/workload": WORKLOAD, "backout.dev/release": set,
            });
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": labels },
                // The stand-in for a kubelet has a node of the namespace's name.
                "spec": { "nodeName": self.cluster.namespace,
                    "containers": [{ "name": "app", "image": "shop:1" }] },
            });
            self.cluster.create("pods", pod).await;
        }
        for name in &names {
            let is_running = || async {
                let pod = self.cluster.get("", "v1", "Pod", "pods", name).await;
                pod.is_some_and(|pod| pod["status"]["phase"] == "Running")
            };
            self.cluster.until("the pod runs", is_running).await;
        }
        names
    }

    pub(super) async fn gone(&self, pods: &[String]) {
        for name in pods {
            self.cluster.delete("pods", "Pod", name).await;
            let is_gone =
                || async { self.cluster.get("", "v1", "Pod", "pods", name).await.is_none() };
            self.cluster.until("the pod is gone", is_gone).await;
        }
    }
}

/// The message of a failure that is expected.
#[track_caller]
pub(super) fn refused<T>(answer: Result<T, Failure>, why: &str) -> Failure {
    match answer {
        Ok(_) => panic!("must fail: {why}"),
        Err(failure) => failure,
    }
}

/// Makes an object anew.
async fn made(api: &Api<DynamicObject>, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let name = object.metadata.name.clone().unwrap_or_default();
    // There is none the first time.
    let _none = api.delete(&name, &DeleteParams::default()).await;
    let begun = Instant::now();
    while let Err(told) = api.create(&PostParams::default(), &object).await {
        assert!(begun.elapsed() < PATIENCE, "{name} cannot be made: {told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The Gateway API's routes, with the defaults that a client reads back.
async fn definitions(cluster: &Cluster) {
    for (kind, plural) in [("HTTPRoute", "httproutes"), ("GRPCRoute", "grpcroutes")] {
        let open = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let mut backend = open.clone();
        backend["properties"] = json!({
            "group": { "type": "string", "default": "" },
            "kind": { "type": "string", "default": "Service" },
            "name": { "type": "string" },
            "weight": { "type": "integer", "default": 1, "minimum": 0, "maximum": 1_000_000 },
        });
        let mut rule = open.clone();
        rule["properties"] = json!({ "backendRefs": { "type": "array", "items": backend } });
        let mut spec = open.clone();
        spec["properties"] = json!({ "rules": { "type": "array", "items": rule } });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.gateway.networking.k8s.io"),
                "annotations": { "api-approved.kubernetes.io": "unapproved, a test's" } },
            "spec": { "group": "gateway.networking.k8s.io", "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural },
                "versions": [{ "name": "v1", "served": true, "storage": true,
                    "subresources": { "status": {} },
                    "schema": { "openAPIV3Schema": {
                        "type": "object", "properties": { "spec": spec, "status": open } } } }] },
        });
        let (group, kind) = ("apiextensions.k8s.io", "CustomResourceDefinition");
        let plurals = "customresourcedefinitions";
        cluster.create_global(group, "v1", kind, plurals, definition).await;
    }
}
