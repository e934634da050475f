//! A real API server with its controllers, and a stand-in for a kubelet: it writes what a kubelet
//! would write of pods, and lets them go when they are deleted.

use std::future::Future;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use backout_core::units::Digest;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch,
    PatchParams, PostParams,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

static NEXT_ADDRESS: AtomicU32 = AtomicU32::new(0);

/// A namespace of its own, with a kubelet's stand-in that ends with it.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    kubelet: tokio::task::JoinHandle<()>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.kubelet.abort();
    }
}

/// A client of the cluster, unless there is none to test against.
pub(crate) async fn client(test: &str) -> Option<Client> {
    let Ok(path) = std::env::var("BACKOUT_E2E_KUBECONFIG") else {
        // Written past the test harness, which would swallow it when the test passes.
        let told = writeln!(
            std::io::stderr(),
            "skipped {test}: BACKOUT_E2E_KUBECONFIG does not name a kubeconfig"
        );
        told.expect("standard error takes text");
        return None;
    };
    let kubeconfig = Kubeconfig::read_from(&path).expect("the kubeconfig can be read");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("the kubeconfig is one");
    Some(Client::try_from(config).expect("a client can be made of it"))
}

/// The cluster, unless there is none to test against.
pub(crate) async fn cluster(test: &str) -> Option<Cluster> {
    let client = client(test).await?;
    let namespace = format!("{test}-{:08x}", rand::random::<u32>());
    node(&client, &namespace).await;
    let kubelet = tokio::spawn(kubelet(client.clone(), namespace.clone()));
    let cluster = Cluster { client, namespace, kubelet };
    let body =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}});
    cluster.create_global("", "v1", "Namespace", "namespaces", body).await;
    // Pods are refused until their service account exists.
    cluster
        .until("the service account exists", || async {
            cluster.get("", "v1", "ServiceAccount", "serviceaccounts", "default").await.is_some()
        })
        .await;
    Some(cluster)
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

impl Cluster {
    fn api(&self, group: &str, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let resource = resource(group, version, kind, plural);
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// Creates an object in the namespace.
    pub(crate) async fn create(&self, plural: &str, object: Value) {
        let version = object["apiVersion"].as_str().expect("an object has a version");
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = object["kind"].as_str().expect("an object has a kind").to_owned();
        let api = self.api(group, version, &kind, plural);
        let object = serde_json::from_value(object).expect("an object");
        api.create(&PostParams::default(), &object).await.expect("the object can be created");
    }

    /// Creates an object outside of namespaces, unless it exists.
    pub(crate) async fn create_global(
        &self,
        group: &str,
        version: &str,
        kind: &str,
        plural: &str,
        object: Value,
    ) {
        let resource = resource(group, version, kind, plural);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        let object = serde_json::from_value(object).expect("an object");
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
            Err(error) => panic!("{kind} cannot be created: {error}"),
        }
    }

    pub(crate) async fn get(
        &self,
        group: &str,
        version: &str,
        kind: &str,
        plural: &str,
        name: &str,
    ) -> Option<Value> {
        let found = self.api(group, version, kind, plural).get_opt(name).await.expect("readable");
        found.map(|found| serde_json::to_value(found).expect("an object"))
    }

    pub(crate) async fn deployment(&self, name: &str) -> Value {
        let found = self.get("apps", "v1", "Deployment", "deployments", name).await;
        found.expect("the Deployment exists")
    }

    pub(crate) async fn autoscaler(&self, name: &str) -> Option<Value> {
        let plural = "horizontalpodautoscalers";
        self.get("autoscaling", "v2", "HorizontalPodAutoscaler", plural, name).await
    }

    pub(crate) async fn patch(&self, plural: &str, kind: &str, name: &str, patch: Value) {
        let group = if kind == "Deployment" { "apps" } else { "" };
        let api = self.api(group, "v1", kind, plural);
        let params = PatchParams::default();
        api.patch(name, &params, &Patch::Merge(patch)).await.expect("the object can be changed");
    }

    pub(crate) async fn delete(&self, plural: &str, kind: &str, name: &str) {
        let api = self.api("", "v1", kind, plural);
        api.delete(name, &DeleteParams::default()).await.expect("the object can be deleted");
    }

    /// Looks until it is so, for at most a minute.
    pub(crate) async fn until<F, Looked>(&self, what: &str, mut look: F)
    where
        F: FnMut() -> Looked,
        Looked: Future<Output = bool>,
    {
        let begun = Instant::now();
        while !look().await {
            assert!(begun.elapsed() < Duration::from_secs(60), "a minute went by until {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Makes a node for the test alone: one that an earlier test left has no heartbeat any more.
async fn node(client: &Client, name: &str) {
    let api = nodes(client);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    let node = serde_json::from_value(node).expect("a node");
    api.create(&PostParams::default(), &node).await.expect("the node can be created");
    heartbeat(&api, name).await;
    // A new node carries taints until the node controller has seen that it is ready.
    let bare = json!({"spec": {"taints": null}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(bare)).await.expect("no taints");
}

fn nodes(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &resource("", "v1", "Node", "nodes"))
}

async fn heartbeat(nodes: &Api<DynamicObject>, name: &str) {
    let room = json!({"cpu": "64", "memory": "64Gi", "pods": "500"});
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let status = json!({"status": {
        "capacity": room, "allocatable": room,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": "",
            "lastHeartbeatTime": now, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    }});
    // One that is lost is made up for by the next.
    let _lost = nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await;
}

/// Runs every pod that has a node. An image whose name has `broken` in it cannot be pulled.
async fn kubelet(client: Client, namespace: String) {
    let nodes = nodes(&client);
    let mut beaten = Instant::now();
    let pods: Api<DynamicObject> =
        Api::namespaced_with(client, &namespace, &resource("", "v1", "Pod", "pods"));
    loop {
        if beaten.elapsed() > Duration::from_secs(3) {
            heartbeat(&nodes, &namespace).await;
            beaten = Instant::now();
        }
        for pod in pods.list(&ListParams::default()).await.into_iter().flat_map(|list| list.items) {
            let name = pod.metadata.name.clone().unwrap_or_default();
            if pod.metadata.deletion_timestamp.is_some() {
                let _gone = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
            } else if pod.data["spec"]["nodeName"].is_string()
                && pod.data["status"]["containerStatuses"].is_null()
            {
                let patch = Patch::Merge(status(&pod.data));
                let _gone = pods.patch_status(&name, &PatchParams::default(), &patch).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn status(pod: &Value) -> Value {
    let number = NEXT_ADDRESS.fetch_add(1, Ordering::Relaxed);
    let address = format!("10.244.{}.{}", 1 + number / 200, 1 + number % 200);
    let now = "2026-01-01T00:00:00Z";
    let mut is_ready = "True";
    let containers = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let mut told = Vec::new();
    for container in containers {
        let image = container["image"].as_str().unwrap_or_default();
        let mut status = json!({
            "name": container["name"], "image": image, "imageID": image_id(image),
            "ready": true, "started": true, "restartCount": 0,
            "state": {"running": {"startedAt": now}},
        });
        if image.contains("broken") {
            is_ready = "False";
            status["ready"] = json!(false);
            status["imageID"] = json!("");
            status["state"] = json!({"waiting": {
                "reason": "ImagePullBackOff", "message": "Back-off pulling image: not found",
            }});
        }
        told.push(status);
    }
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastTransitionTime": now});
    json!({"status": {
        "phase": if is_ready == "True" { "Running" } else { "Pending" },
        "podIP": address, "podIPs": [{"ip": address}], "startTime": now,
        "conditions": [
            condition("PodScheduled", "True"), condition("Initialized", "True"),
            condition("ContainersReady", is_ready), condition("Ready", is_ready),
        ],
        "containerStatuses": told,
    }})
}

/// What a container runtime would tell of an image: by digest what was asked for, by tag whatever
/// the tag stands for.
fn image_id(image: &str) -> String {
    match image.split_once('@') {
        Some(_) => image.to_owned(),
        None => format!("{}@{}", image.split(':').next().unwrap_or(image), digest_of(image)),
    }
}

/// What a tag stands for in these tests.
pub(crate) fn digest_of(image: &str) -> Digest {
    Digest::of_bytes(image.as_bytes())
}
