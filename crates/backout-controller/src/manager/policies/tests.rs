//! What is said about a policy; against a real API server where that answers.

use std::net::{Ipv4Addr, SocketAddr};

use backout_world::live::{KnownGood, PolicyRecord};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::cluster::{api as api_of, apply, client, define, namespace};
use crate::manager::{Index, Manager, Scope};
use crate::rollout::Options;

/// A policy that a rollout could begin with, measured at this address.
fn policy(namespace: &str, prometheus: &str) -> Value {
    let query = |name: &str| format!("sum(increase({name}{{release=\"$release\"}}[$window]))");
    json!({
        "apiVersion": "backout.dev/v1alpha1", "kind": "ReleasePolicy",
        "metadata": { "name": "checkout", "namespace": namespace },
        "spec": {
            "workload": { "kind": "Deployment", "name": "checkout" },
            "environments": [{ "name": "production", "config": { "chart": "deploy/chart" } }],
            "traffic": { "route": { "kind": "Service", "name": "checkout" } },
            "strategy": { "blueGreen": { "analyse": "5m" } },
            "signals": [{ "name": "error-rate", "max": "1%",
                "ratio": { "bad": query("errors_total"), "total": query("requests_total") } }],
            "metrics": { "prometheus": { "address": prometheus, "timeout": "2s" } },
            "gates": [],
        },
    })
}

fn deployment(namespace: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "checkout", "namespace": namespace },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "app": "checkout" } },
            "template": { "metadata": { "labels": { "app": "checkout" } }, "spec": {
                "containers": [{ "name": "api", "image": "registry.example/checkout:1" }] } } } })
}

fn service(namespace: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "checkout", "namespace": namespace },
        "spec": { "selector": { "app": "checkout" }, "ports": [{ "name": "http", "port": 80 }] } })
}

/// Answers every query with nothing, as Prometheus would.
async fn empty_prometheus() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 8192];
            let _read = stream.read(&mut request).await;
            let body = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{body}",
                body.len()
            );
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

const NOWHERE: &str = "http://127.0.0.1:1";

/// A namespace with the definitions, unless there is no server to test against.
async fn place(name: &str) -> Option<(Client, String)> {
    let client = client().await?;
    define(&client).await;
    let name = format!("{name}-{}", std::process::id());
    namespace(&client, &name).await;
    Some((client, name))
}

/// What is said about the policy after it was looked at: reason and message of `Ready`, and which
/// of the abnormal conditions is there.
async fn looked(client: &Client, document: &Value) -> (String, String, Option<String>) {
    let object = api_of(client, document).get("checkout").await.expect("it is there");
    let basis = basis(&object, &Around::of(&[], &[]));
    at(client, &object, &basis, false).await.expect("its status can be written");
    let object = api_of(client, document).get("checkout").await.expect("it is there");
    assert_eq!(object.data["status"]["observedGeneration"], 1);
    let conditions: Vec<Condition> =
        serde_json::from_value(object.data["status"]["conditions"].clone()).expect("conditions");
    let ready = conditions.first().expect("one at least").clone();
    let abnormal = conditions.get(1).map(|condition| format!("{:?}", condition.kind));
    (ready.reason, ready.message, abnormal)
}

#[tokio::test]
async fn each_missing_part_is_told_until_none_is() {
    let Some((client, namespace)) = place("policy-parts").await else { return };
    let document = policy(&namespace, NOWHERE);
    apply(&client, &document).await.expect("the policy is valid");
    let stalled = Some("Stalled".to_owned());
    let (reason, message, abnormal) = looked(&client, &document).await;
    assert_eq!((reason.as_str(), &abnormal), ("MissingDeployment", &stalled));
    assert!(message.contains("correct `spec.workload.name`"), "{message}");
    assert!(message.contains("Service") && message.contains("backout adopt"), "{message}");

    apply(&client, &deployment(&namespace)).await.expect("a Deployment");
    let (reason, message, abnormal) = looked(&client, &document).await;
    assert_eq!((reason.as_str(), &abnormal), ("MissingRoute", &stalled));
    assert!(message.contains("correct `spec.traffic.route`"), "{message}");

    apply(&client, &service(&namespace)).await.expect("a Service");
    let (reason, message, abnormal) = looked(&client, &document).await;
    assert_eq!(reason, "PrometheusUnreachable");
    assert_eq!(abnormal.as_deref(), Some("Reconciling"), "it may come back by itself");
    assert!(message.contains("check `metrics.prometheus.address`"), "{message}");
}

#[tokio::test]
async fn what_is_not_adopted_waits_and_what_is_recorded_stays() {
    let Some((client, namespace)) = place("policy-adopted").await else { return };
    let prometheus = format!("http://{}", empty_prometheus().await);
    let document = policy(&namespace, &prometheus);
    for document in [&document, &deployment(&namespace), &service(&namespace)] {
        apply(&client, document).await.expect("it can be applied");
    }
    let (reason, message, abnormal) = looked(&client, &document).await;
    assert_eq!((reason.as_str(), abnormal), ("NotAdopted", None), "{message}");
    assert!(message.contains("run `backout adopt`"), "{message}");

    let known = KnownGood { release: Some("checkout-1".to_owned()), set: Some("set-1".to_owned()) };
    let record = PolicyRecord::new(client.clone(), &namespace, "checkout");
    record.write(&known).await.expect("the record can be written");
    let (_, message, _) = looked(&client, &document).await;
    assert_eq!(record.read().await.expect("readable"), known, "the record is not ours to write");
    // No data is a note; that the Service was never taken over is what is wrong.
    assert!(message.contains("note: signal error-rate finds nothing"), "{message}");
    assert!(message.contains("was not adopted"), "{message}");
    let object = api_of(&client, &document).get("checkout").await.expect("it is there");
    assert_eq!(object.data["status"]["adopted"], true);
}

#[tokio::test]
async fn a_kind_of_route_that_is_not_installed_is_told() {
    let Some((client, namespace)) = place("policy-kind").await else { return };
    let mut document = policy(&namespace, NOWHERE);
    document["spec"]["traffic"]["route"]["kind"] = json!("GRPCRoute");
    for document in [&document, &deployment(&namespace)] {
        apply(&client, document).await.expect("it can be applied");
    }
    let (reason, message, abnormal) = looked(&client, &document).await;
    assert_eq!(abnormal.as_deref(), Some("Stalled"));
    // Another test may have installed it on a server that is used again.
    let definition = json!({ "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition", "metadata": {} });
    let name = "grpcroutes.gateway.networking.k8s.io";
    match api_of(&client, &definition).get_opt(name).await.expect("readable") {
        Some(_) => assert_eq!(reason, "MissingRoute"),
        None => {
            assert_eq!(reason, "MissingResourceDefinition");
            assert!(message.contains("install the resource definition of GRPCRoute"), "{message}");
        }
    }
}

#[tokio::test]
async fn a_missing_permission_names_what_to_grant() {
    let Some((client, namespace)) = place("policy-permission").await else { return };
    let document = policy(&namespace, NOWHERE);
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "reads", "namespace": namespace },
        "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"] }] });
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "reads", "namespace": namespace },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads" },
        "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": namespace }] });
    let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": { "name": "reader", "namespace": namespace } });
    let all = [&document, &deployment(&namespace), &service(&namespace), &account, &role, &binding];
    for document in all {
        apply(&client, document).await.expect("it can be applied");
    }
    let object = api_of(&client, &document).get("checkout").await.expect("it is there");
    let basis = basis(&object, &Around::of(&[], &[]));
    let reader = acting_as(&format!("system:serviceaccount:{namespace}:reader")).await;
    // A binding takes a moment until it holds.
    let message = crate::cluster::until(|| async {
        let report = examine::examine(&reader, &object, &basis, false).await;
        let said = said(&report, Vec::new(), &basis, Timestamp::now());
        assert_eq!(said["conditions"][0]["reason"], "MissingPermission");
        let message = said["conditions"][0]["message"].as_str().expect("a text").to_owned();
        (!message.contains("cannot get resource")).then_some(message)
    })
    .await;
    assert!(message.contains("create/patch/delete deployments.apps"), "{message}");
    assert!(message.contains("create/delete secrets"), "{message}");
    assert!(!message.contains("httproutes") && !message.contains("pods"), "{message}");
    assert!(message.contains("`backout install -o yaml` prints what is needed"), "{message}");
}

async fn acting_as(user: &str) -> Client {
    let path = std::env::var_os("BACKOUT_E2E_KUBECONFIG").expect("there is a server");
    let kubeconfig = Kubeconfig::read_from(path).expect("the kubeconfig can be read");
    let options = KubeConfigOptions::default();
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("the kubeconfig fits");
    config.auth_info.impersonate = Some(user.to_owned());
    Client::try_from(config).expect("a client")
}

#[tokio::test]
async fn whoever_leads_looks_at_policies_and_lets_releases_go() {
    let Some((client, namespace)) = place("policy-leader").await else { return };
    let document = policy(&namespace, NOWHERE);
    let digest = format!("sha256:{}", "a".repeat(64));
    let release = json!({
        "apiVersion": "backout.dev/v1alpha1", "kind": "Release",
        "metadata": { "name": "checkout-1", "namespace": namespace,
            "finalizers": [crate::rollout::FINALIZER] },
        "spec": { "workload": "checkout", "version": "1",
            "images": [{ "name": "api", "repository": "registry.example/checkout", "tag": "1",
                "digest": digest }],
            "config": { "revision": "0123456789abcdef0123456789abcdef01234567",
                "chartVersion": "1.0.0" },
            "context": { "gitSha": "89abcdef0123456789abcdef0123456789abcdef", "gitRef": "main",
                "repository": "shop/checkout", "buildNumber": 7,
                "builtAt": "2026-01-01T00:00:00Z" } },
    });
    for document in [&document, &release] {
        apply(&client, document).await.expect("it can be applied");
    }
    let releases = api_of(&client, &release);
    let parameters = kube::api::DeleteParams::default();
    releases.delete("checkout-1", &parameters).await.expect("it is asked to go");
    let index = Index::watch(&client, &Scope::Namespaces(vec![namespace.clone()]));
    let options = Options {
        identity: "test".to_owned(),
        runs_programs: false,
        limits: backout_world::driver::Limits::default(),
    };
    let mut manager =
        Manager::new(client.clone(), index, options, Arc::new(|_, _| {}), Arc::new(|_, _| {}));
    let (lead, mut leads) = tokio::sync::watch::channel(true);
    let policies = api_of(&client, &document);
    let seen = async {
        let reason = crate::cluster::until(|| async {
            let object = policies.get("checkout").await.ok()?;
            object.data["status"]["conditions"][0]["reason"].as_str().map(str::to_owned)
        })
        .await;
        crate::cluster::until(|| async {
            releases.get_opt("checkout-1").await.ok()?.is_none().then_some(())
        })
        .await;
        lead.send_replace(false);
        reason
    };
    let ((), reason) = tokio::join!(manager.work(&mut leads, &|_, _| {}), seen);
    assert_eq!(reason, "MissingDeployment");
}

fn object(document: &Value) -> Arc<DynamicObject> {
    let mut object = DynamicObject::new("", &Resource::ReleasePolicy.api());
    object.metadata = serde_json::from_value(document["metadata"].clone()).expect("metadata");
    object.data = json!({ "spec": document["spec"] });
    Arc::new(object)
}

#[tokio::test]
async fn what_the_policy_itself_gets_wrong_is_told_at_once() {
    let mut document = policy("shop", NOWHERE);
    let mut environments = document["spec"]["environments"].as_array().cloned().unwrap_or_default();
    environments.push(json!({ "name": "staging", "config": { "chart": "deploy/chart" } }));
    document["spec"]["environments"] = json!(environments);
    document["spec"]["gates"] =
        json!([{ "artifactDigest": {} }, { "smokeTest": { "run": ["a"] } }]);
    document["spec"].as_object_mut().expect("a mapping").remove("metrics");
    let mut other = document.clone();
    other["metadata"]["name"] = json!("another");
    let policies = [object(&document), object(&other)];
    let basis = basis(&policies[0], &Around::of(&policies, &[]));
    assert_eq!(basis.rivals, ["another"]);
    // Nothing answers, so that everything else only may pass.
    let config = Config::new("http://127.0.0.1:1".parse().expect("an address"));
    let client = Client::try_from(config).expect("a client");
    let report = examine::examine(&client, &policies[0], &basis, false).await;
    let said = said(&report, Vec::new(), &basis, Timestamp::now());
    let message = said["conditions"][0]["message"].as_str().expect("a text");
    assert_eq!(said["conditions"][0]["reason"], "SeveralPolicies", "{message}");
    for part in [
        "same workload: another; keep one of them",
        "annotate it with backout.dev/environment",
        "gate artifact-digest cannot be evaluated",
        "runs no programs of a policy",
        "set `spec.metrics.prometheus.address`",
        "run `backout adopt`",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(report.may_pass());
}

#[test]
fn a_release_on_its_way_is_named_until_it_is_promoted() {
    let document = policy("shop", NOWHERE);
    let policies = [object(&document)];
    let release = ReleaseView {
        key: Key { namespace: "shop".to_owned(), name: "checkout-2".to_owned() },
        workload: "checkout".to_owned(),
        created: String::new(),
        begun: true,
        promoted: false,
        ended: false,
        leaving: false,
        retried: false,
        held: false,
    };
    let basis_of = |release| basis(&policies[0], &Around::of(&policies, &[release]));
    let active = basis_of(release.clone());
    assert_eq!(active.active.as_deref(), Some("checkout-2"));
    let said = said(&Report::default(), Vec::new(), &active, Timestamp::now());
    assert_eq!(said["activeRelease"], "checkout-2");
    assert_eq!(said["conditions"][1]["reason"], "RollingOut");
    assert!(said.get("knownGood").is_none() && said.get("adopted").is_none());
    let promoted = ReleaseView { promoted: true, ..release };
    assert_eq!(basis_of(promoted).active, None);
}

#[test]
fn looks_are_spread() {
    let times: Vec<Duration> = (0..20)
        .map(|number| {
            let name = format!("checkout-{number}");
            spread(EVERY, &Key { namespace: "shop".to_owned(), name })
        })
        .collect();
    assert!(times.iter().all(|time| (EVERY * 4 / 5..=EVERY * 6 / 5).contains(time)), "{times:?}");
    assert!(times.iter().max() > times.iter().min());
}
