//! Release sets, adoption and quarantine against a real API server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backout_core::machine::Precondition;
use backout_core::plan::ScalePurpose;
use backout_core::release::Release;
use backout_core::snapshot::{RouteFacts, SetFacts};
use backout_core::units::{Digest, Weight};
use backout_world::failure::{Failure, Kind};
use backout_world::kubernetes::adoption::{Adoption, Stage};
use backout_world::kubernetes::names;
use backout_world::kubernetes::quarantine::{Entry, Quarantine};
use backout_world::kubernetes::set::Sets;
use backout_world::traffic::{Arms, Fence, Provider};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::cluster::{Cluster, cluster, digest_of};

const STABLE: &str = "registry.example/shop/checkout:1.0";

/// What the user has: a Deployment with settings, a Service, an autoscaler and a budget.
async fn checkout(cluster: &Cluster) {
    cluster
        .create(
            "configmaps",
            json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "settings"}, "data": {"currency": "EUR"}}),
        )
        .await;
    cluster
        .create(
            "secrets",
            json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "payment"}, "stringData": {"key": "not-told"}}),
        )
        .await;
    cluster
        .create(
            "services",
            json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "checkout", "labels": {"app": "checkout"}},
            "spec": {"selector": {"app": "checkout"},
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}}),
        )
        .await;
    cluster
        .create(
            "horizontalpodautoscalers",
            json!({"apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler", "metadata": {"name": "checkout"},
            "spec": {"minReplicas": 3, "maxReplicas": 6, "scaleTargetRef": {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}}}),
        )
        .await;
    cluster
        .create(
            "poddisruptionbudgets",
            json!({"apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget", "metadata": {"name": "checkout"},
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "checkout"}}}}),
        )
        .await;
    cluster
        .create(
            "deployments",
            json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "checkout", "labels": {"app": "checkout"}},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "checkout"}},
                "template": {"metadata": {"labels": {"app": "checkout"}}, "spec": {
                    "terminationGracePeriodSeconds": 0,
                    // Nodes of other tests are left without a heartbeat when those end, and take
                    // the readiness of the pods that they were given with them.
                    "affinity": {"nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                            {"matchFields": [{"key": "metadata.name", "operator": "In",
                                "values": [cluster.namespace]}]}]}}},
                    "containers": [{"name": "api", "image": STABLE,
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "resources": {"requests": {"cpu": "1000m"}},
                        "envFrom": [{"configMapRef": {"name": "settings"}},
                            {"configMapRef": {"name": "not-there", "optional": true}}],
                        "env": [{"name": "KEY", "valueFrom": {
                            "secretKeyRef": {"name": "payment", "key": "key"}}}]}]}}}}),
        )
        .await;
    ready(cluster, "checkout", 3).await;
}

async fn ready(cluster: &Cluster, deployment: &str, wanted: u64) {
    cluster
        .until(&format!("{deployment} has {wanted} ready pods"), || async {
            let status = cluster.deployment(deployment).await["status"].clone();
            status["availableReplicas"].as_u64().unwrap_or_default() == wanted
                && status["replicas"].as_u64().unwrap_or_default() == wanted
        })
        .await;
}

fn release(cluster: &Cluster, name: &str, image: &str) -> Release {
    serde_json::from_value(json!({
        "apiVersion": "backout.dev/v1alpha1", "kind": "Release",
        "metadata": {"name": name, "namespace": cluster.namespace},
        "spec": {
            "workload": "checkout", "version": name,
            "images": [{"name": "api", "repository": image, "tag": name,
                "digest": digest_of(&format!("{image}:{name}"))}],
            "config": {"revision": "0123456789abcdef0123456789abcdef01234567",
                "chartVersion": "1.0.0"},
            "context": {"gitSha": "89abcdef0123456789abcdef0123456789abcdef",
                "gitRef": "main", "repository": "shop/checkout", "buildNumber": 7,
                "builtAt": "2026-01-01T00:00:00Z"},
        },
    }))
    .expect("a release")
}

fn sets(cluster: &Cluster) -> Sets {
    Sets::new(cluster.client.clone(), &cluster.namespace, "checkout", "checkout")
}

async fn observe(sets: &Sets, set: &str) -> SetFacts {
    sets.observe(set).await.expect("the set can be read").expect("the set exists")
}

async fn ready_set(cluster: &Cluster, sets: &Sets, set: &str, wanted: u32) -> SetFacts {
    cluster
        .until(&format!("{set} has {wanted} ready pods"), || async {
            observe(sets, set).await.ready == wanted
        })
        .await;
    observe(sets, set).await
}

fn only(facts: &SetFacts) -> Precondition {
    Precondition { uid: facts.uid, resource_version: facts.resource_version }
}

/// Notes what it is asked for, and how many of the user's and of the set's pods were ready then.
#[derive(Clone)]
struct Noting {
    client: kube::Client,
    asked: Arc<Mutex<Vec<String>>>,
}

impl std::fmt::Debug for Noting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Noting")
    }
}

impl Noting {
    async fn note(&self, what: &str, arms: &Arms) -> Result<(), Failure> {
        use k8s_openapi::api::apps::v1::Deployment;
        let api: kube::Api<Deployment> =
            kube::Api::namespaced(self.client.clone(), &arms.namespace);
        let mut told = vec![what.to_owned()];
        for name in [&arms.workload, &arms.stable] {
            let found = api.get(name).await.expect("the Deployment exists");
            let ready = found.status.and_then(|status| status.ready_replicas).unwrap_or_default();
            told.push(ready.to_string());
        }
        self.asked.lock().expect("no test panicked with it").push(told.join(" "));
        Ok(())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panicked with it").clone()
    }
}

impl Provider for Noting {
    fn kind(&self) -> &'static str {
        "Noting"
    }

    fn read<'a>(&'a self, _: &'a Arms) -> BoxFuture<'a, Result<RouteFacts, Failure>> {
        Box::pin(async { Err(Failure::new(Kind::Missing, "not asked for here")) })
    }

    fn write<'a>(
        &'a self,
        _: &'a Arms,
        _: Weight,
        _: Option<Precondition>,
        _: &'a Fence,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async { Err(Failure::new(Kind::Missing, "not asked for here")) })
    }

    fn adopt<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.note("adopt", arms))
    }

    fn follow<'a>(&'a self, _: &'a Arms, _: &'a Fence) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async { Err(Failure::new(Kind::Missing, "not asked for here")) })
    }

    fn detach<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(self.note("detach", arms))
    }
}

#[tokio::test]
async fn a_workload_is_adopted_released_and_given_back() {
    let Some(cluster) = cluster("adopt").await else { return };
    checkout(&cluster).await;
    let sets = sets(&cluster);
    let provider = Noting { client: cluster.client.clone(), asked: Arc::default() };
    let adoption = Adoption {
        sets: &sets,
        provider: &provider,
        route: "checkout",
        record: None,
        ready_within: Duration::from_secs(60),
        drain: Duration::from_millis(10),
    };
    let mut stages = Vec::new();
    let adopted = adoption.adopt(&mut |stage| stages.push(stage)).await.expect("it can be adopted");
    assert_eq!(stages.last(), Some(&Stage::Scaled(0)));
    assert_eq!(provider.asked(), ["adopt 3 3"], "traffic moves while both are whole");
    let stable = adopted.release.set_name();
    assert_eq!(adopted.release.spec.images[0].digest, digest_of(STABLE));
    ready(&cluster, "checkout", 0).await;
    let user = cluster.deployment("checkout").await;
    assert_eq!(user["metadata"]["annotations"][names::REPLICAS], "3");
    assert!(cluster.autoscaler(&stable).await.is_some(), "full size comes with its autoscaler");
    let again = adoption.adopt(&mut |_| {}).await.expect("adopting again does nothing");
    assert_eq!(again, adopted);

    candidate(&cluster, &sets).await;

    let running = adoption.detach(None, Some("checkout-1.1"), &mut |_| {}).await;
    assert_eq!(running.expect_err("a rollout is running").kind, Kind::Refused);
    adoption.detach(None, None, &mut |_| {}).await.expect("it can be given back");
    assert_eq!(provider.asked()[1], "detach 3 3", "traffic moves back while both are whole");
    assert_eq!(adoption.left().await.expect("readable"), Vec::<String>::new());
    assert_eq!(cluster.deployment("checkout").await["spec"]["replicas"], 3);
    assert!(cluster.autoscaler("checkout").await.is_some(), "the user's own stays");
}

/// A candidate's life: created, grown, failed, kept, removed.
async fn candidate(cluster: &Cluster, sets: &Sets) {
    let record = release(cluster, "1.1", "registry.example/shop/checkout");
    let set = record.set_name();
    sets.create(&record, 1, None).await.expect("the set can be created");
    sets.create(&record, 1, None).await.expect("creating it again does nothing");
    let facts = ready_set(cluster, sets, &set, 1).await;
    let running: Vec<&Digest> = facts.running.values().collect();
    assert_eq!(running, [&record.spec.images[0].digest]);
    sets.scale(&set, 1, ScalePurpose::Capacity, Some(only(&facts))).await.expect("nothing to do");
    assert!(cluster.autoscaler(&set).await.is_none(), "a part of full size has no autoscaler");
    let copy = names::copy_name("settings", &set);
    let found = cluster.get("", "v1", "ConfigMap", "configmaps", &copy).await;
    assert_eq!(found.expect("the copy exists")["immutable"], true);

    sets.scale(&set, 3, ScalePurpose::Capacity, Some(only(&facts))).await.expect("it can grow");
    let grown = ready_set(cluster, sets, &set, 3).await;
    assert!(cluster.autoscaler(&set).await.is_some());
    assert_ne!(grown.resource_version, facts.resource_version);
    let stale = sets.scale(&set, 1, ScalePurpose::Evidence, Some(only(&facts))).await;
    assert_eq!(stale.expect_err("it was decided on before it grew").kind, Kind::Failed);
    assert!(cluster.autoscaler(&set).await.is_some(), "nothing is taken away on a stale decision");

    let early = sets.remove(&set, only(&grown)).await.expect_err("it still has replicas");
    assert!(early.in_full().contains("still asks for 3 replicas"), "{early}");
    let evidence = ScalePurpose::Evidence;
    sets.scale(&set, 1, evidence, Some(only(&grown))).await.expect("it can be kept as evidence");
    sets.scale(&set, 1, evidence, Some(only(&grown))).await.expect("asking again does nothing");
    assert!(cluster.autoscaler(&set).await.is_none(), "it would make the set larger again");
    let listed = sets.list().await.expect("sets can be listed");
    assert!(listed.iter().any(|summary| summary.name == set && summary.failed));
    sets.scale(&set, 0, ScalePurpose::CleanUp, None).await.expect("it can be freed");

    cluster
        .patch("configmaps", "ConfigMap", "settings", json!({"data": {"currency": "USD"}}))
        .await;
    let other = sets.create(&record, 1, None).await.expect_err("its settings are others now");
    assert_eq!(other.kind, Kind::Refused);
    assert!(other.message.contains("differs in data.currency"), "{other}");
    assert!(!other.message.contains("USD"), "values are not told");

    let uid = observe(sets, &set).await.uid;
    let only = |uid| Precondition { uid, resource_version: 0 };
    let wrong = sets.remove(&set, only(uid ^ 1)).await;
    assert_eq!(wrong.expect_err("it is another one").kind, Kind::Refused);
    sets.remove(&set, only(uid)).await.expect("it can be removed");
    assert_eq!(sets.observe(&set).await, Ok(None));
    let secret = names::copy_name("payment", &set);
    assert!(cluster.get("", "v1", "Secret", "secrets", &secret).await.is_none());
    assert!(cluster.get("", "v1", "Secret", "secrets", "payment").await.is_some());
}

#[tokio::test]
async fn an_adoption_that_was_cut_short_goes_on() {
    let Some(cluster) = cluster("resume").await else { return };
    checkout(&cluster).await;
    let sets = sets(&cluster);
    let provider = Noting { client: cluster.client.clone(), asked: Arc::default() };
    let adoption = |ready_within| Adoption {
        sets: &sets,
        provider: &provider,
        route: "checkout",
        record: None,
        ready_within,
        drain: Duration::ZERO,
    };
    // Pods cannot be created while the quota is used up, so that it gives up half way.
    cluster
        .create(
            "resourcequotas",
            json!({"apiVersion": "v1", "kind": "ResourceQuota",
            "metadata": {"name": "full"}, "spec": {"hard": {"pods": "3"}}}),
        )
        .await;
    cluster
        .until("the quota counts", || async {
            let quota = cluster.get("", "v1", "ResourceQuota", "resourcequotas", "full").await;
            quota.is_some_and(|quota| quota["status"]["used"]["pods"] == "3")
        })
        .await;
    let failure = adoption(Duration::from_secs(5)).adopt(&mut |_| {}).await;
    let failure = failure.expect_err("there is no room for its pods");
    assert!(failure.message.contains("exceeded quota"), "{failure}");
    assert_eq!(provider.asked(), Vec::<String>::new(), "traffic has not moved");
    assert_eq!(cluster.deployment("checkout").await["spec"]["replicas"], 3);

    cluster.delete("resourcequotas", "ResourceQuota", "full").await;
    adoption(Duration::from_secs(60)).adopt(&mut |_| {}).await.expect("it goes on");
    assert_eq!(provider.asked(), ["adopt 3 3"]);
    adoption(Duration::from_secs(60)).detach(None, None, &mut |_| {}).await.expect("given back");
    let left = adoption(Duration::ZERO).left().await.expect("readable");
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn what_keeps_pods_from_running_is_told() {
    let Some(cluster) = cluster("told").await else { return };
    checkout(&cluster).await;
    let sets = sets(&cluster);
    let broken = release(&cluster, "1.2", "registry.example/shop/broken");
    sets.create(&broken, 1, None).await.expect("the set can be created");
    let set = broken.set_name();
    cluster
        .until("the image cannot be pulled", || async {
            observe(&sets, &set).await.waiting.is_some()
        })
        .await;
    let waiting = observe(&sets, &set).await.waiting.expect("it waits");
    assert!(waiting.contains("cannot pull its image (ImagePullBackOff)"), "{waiting}");

    let policy = json!({"metadata": {"labels": {
        "pod-security.kubernetes.io/enforce": "restricted"}}});
    let namespaces =
        kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(cluster.client.clone());
    let (name, params) = (&cluster.namespace, kube::api::PatchParams::default());
    namespaces.patch(name, &params, &kube::api::Patch::Merge(policy)).await.expect("labelled");
    let refused = release(&cluster, "1.3", "registry.example/shop/checkout");
    sets.create(&refused, 1, None).await.expect("a Deployment is not a pod");
    let set = refused.set_name();
    cluster
        .until("pods are refused", || async { observe(&sets, &set).await.refused.is_some() })
        .await;
    let told = observe(&sets, &set).await.refused.expect("they are refused");
    assert!(told.contains("violates PodSecurity"), "{told}");
}

#[tokio::test]
async fn admission_refuses_a_set_for_good() {
    let Some(cluster) = cluster("denied").await else { return };
    checkout(&cluster).await;
    let (group, version) = ("admissionregistration.k8s.io", "v1");
    let name = format!("no-unsigned-{}", cluster.namespace);
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {"matchConstraints": {"resourceRules": [{"apiGroups": ["apps"],
            "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}]},
            "validations": [{"expression": "!object.spec.template.spec.containers.exists(c, \
                c.image.contains('unsigned'))", "message": "the image has no signature"}]}});
    let (kind, plural) = ("ValidatingAdmissionPolicy", "validatingadmissionpolicies");
    cluster.create_global(group, version, kind, plural, policy).await;
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {
            "namespaceSelector": {"matchLabels": {
                "kubernetes.io/metadata.name": cluster.namespace}}}}});
    let (kind, plural) = ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings");
    cluster.create_global(group, version, kind, plural, binding).await;
    let sets = sets(&cluster);
    // A policy takes a moment until it holds: each attempt is a release of its own.
    for attempt in 0..100 {
        let record = release(&cluster, &format!("2.{attempt}"), "registry.example/unsigned");
        match sets.create(&record, 0, None).await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(failure) => {
                assert_eq!(failure.kind, Kind::Refused, "{failure}");
                assert!(failure.message.contains("the image has no signature"), "{failure}");
                return;
            }
        }
    }
    panic!("the policy never held");
}

#[tokio::test]
async fn quarantine_names_what_is_missing_and_keeps_what_it_was_told() {
    let Some(cluster) = cluster("quarantine").await else { return };
    let quarantine = Quarantine::new(cluster.client.clone(), &cluster.namespace);
    let entry = Entry {
        digest: digest_of("bad"),
        reason: "errors rose".to_owned(),
        release: "checkout-1.1".to_owned(),
        since: "2026-01-01T00:00:00Z".to_owned(),
    };
    if let Err(failure) = quarantine.add(&entry).await {
        assert_eq!(failure.kind, Kind::Missing);
        assert!(failure.in_full().contains("backout install"), "{}", failure.in_full());
        definition(&cluster).await;
    }
    cluster
        .until("the definition is served", || async { quarantine.add(&entry).await.is_ok() })
        .await;
    let later = Entry { reason: "another".to_owned(), ..entry.clone() };
    quarantine.add(&later).await.expect("adding again does nothing");
    let listed = quarantine.list().await.expect("readable");
    assert_eq!(listed.into_values().collect::<Vec<_>>(), std::slice::from_ref(&entry));
    quarantine.remove(&entry.digest).await.expect("it can be lifted");
    quarantine.remove(&entry.digest).await.expect("lifting again does nothing");
    assert!(quarantine.list().await.expect("readable").is_empty());
}

async fn definition(cluster: &Cluster) {
    let body: Value = json!({"apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition", "metadata": {"name": "quarantines.backout.dev"},
        "spec": {"group": "backout.dev", "scope": "Namespaced",
            "names": {"kind": "Quarantine", "plural": "quarantines", "singular": "quarantine"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object",
                    "x-kubernetes-preserve-unknown-fields": true}}}]}});
    let (group, kind) = ("apiextensions.k8s.io", "CustomResourceDefinition");
    cluster.create_global(group, "v1", kind, "customresourcedefinitions", body).await;
}
