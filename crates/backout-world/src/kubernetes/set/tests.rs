use std::collections::BTreeMap;

use backout_core::release::Release;
use serde_json::{Value, json};

use super::build::{self, Order, ReleaseOwner, Template};
use super::{difference, names, selectors};
use crate::failure::Kind;

const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

fn release(container: &str) -> Release {
    serde_json::from_value(json!({
        "apiVersion": "backout.dev/v1alpha1", "kind": "Release",
        "metadata": {"name": "checkout-1.1", "namespace": "shop"},
        "spec": {
            "workload": "checkout", "version": "1.1.0+build.5",
            "images": [{"name": container, "repository": "registry.example/shop/checkout",
                "tag": "1.1.0", "digest": DIGEST}],
            "config": {"revision": "0123456789abcdef0123456789abcdef01234567",
                "chartVersion": "3.2.1"},
            "flags": [{"key": "new-basket", "enabled": true}],
            "migrations": [{"id": "0042"}, {"id": "0043"}],
            "context": {"gitSha": "89abcdef0123456789abcdef0123456789abcdef",
                "gitRef": "main", "repository": "shop/checkout", "buildNumber": 7,
                "buildUrl": "https://ci.example/7", "builtAt": "2026-01-01T00:00:00Z"},
        },
    }))
    .expect("a release")
}

/// What a chart that Argo CD applied looks like in a cluster.
fn template() -> Template {
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "checkout", "namespace": "shop", "uid": "d-1", "generation": 4,
            "resourceVersion": "99", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "app.kubernetes.io/name": "checkout", "app.kubernetes.io/instance": "shop",
                "app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": "checkout-3.2.0",
                "team": "payments",
            },
            "annotations": {
                "argocd.argoproj.io/tracking-id": "shop:apps/Deployment:shop/checkout",
                "deployment.kubernetes.io/revision": "4",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "meta.helm.sh/release-name": "shop", "example.com/owner": "payments",
            },
            "managedFields": [{"manager": "argocd-controller", "operation": "Apply"}],
        },
        "spec": {
            "replicas": 4, "progressDeadlineSeconds": 300, "minReadySeconds": 5,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}},
            "selector": {"matchLabels": {"app.kubernetes.io/name": "checkout"}},
            "template": {
                "metadata": {
                    "labels": {"app.kubernetes.io/name": "checkout", "tier": "web",
                        "app.kubernetes.io/version": "1.0.0"},
                    "annotations": {"checksum/config": "abc", "prometheus.io/scrape": "true"},
                },
                "spec": pod_spec(),
            },
        },
        "status": {"readyReplicas": 4},
    });
    let settings = |kind: &str, name: &str| {
        json!({"apiVersion": "v1", "kind": kind, "data": {"a": "b"},
            "metadata": {"name": name, "uid": "x", "labels": {"helm.sh/chart": "checkout-3.2.0"}}})
    };
    let by_name = |kind: &str, list: &[&str]| -> BTreeMap<String, Value> {
        list.iter().map(|name| ((*name).to_owned(), settings(kind, name))).collect()
    };
    let mut secrets = by_name("Secret", &["payment", "certificate"]);
    for (name, secret) in &mut secrets {
        secret["type"] = json!("Opaque");
        if name == "certificate" {
            secret["metadata"]["annotations"] =
                json!({"cert-manager.io/certificate-name": "checkout"});
        }
    }
    Template {
        deployment,
        services: vec![service()],
        autoscaler: Some(json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "checkout", "uid": "h-1"},
            "spec": {"minReplicas": 4, "maxReplicas": 12, "scaleTargetRef": {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}},
            "status": {"currentReplicas": 4},
        })),
        disruption_budget: Some(json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "checkout-budget"},
            "spec": {"maxUnavailable": "25%",
                "selector": {"matchLabels": {"app.kubernetes.io/name": "checkout"}}},
        })),
        config_maps: by_name("ConfigMap", &["settings", "features"]),
        secrets,
    }
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "checkout", "labels": {"monitored": "yes"}},
        "spec": {
            "type": "LoadBalancer", "clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
            "externalTrafficPolicy": "Local", "selector": {"tier": "web"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": "http", "nodePort": 30080,
                    "protocol": "TCP", "appProtocol": "http"},
            ],
        },
    })
}

fn pod_spec() -> Value {
    json!({
        "serviceAccountName": "checkout",
        "imagePullSecrets": [{"name": "registry"}],
        "aFieldOfTomorrow": {"kept": true},
        "initContainers": [{"name": "warm-up", "image": "registry.example/shop/tool:2",
            "envFrom": [{"configMapRef": {"name": "settings"}}]}],
        "containers": [
            {
                "name": "api", "image": "registry.example/shop/checkout:1.0.0",
                "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                "envFrom": [{"configMapRef": {"name": "settings"}},
                    {"secretRef": {"name": "maybe", "optional": true}}],
                "env": [
                    {"name": "KEY", "valueFrom": {
                        "secretKeyRef": {"name": "payment", "key": "key"}}},
                    {"name": "PLAIN", "value": "1"},
                ],
            },
            {"name": "proxy", "image": "registry.example/proxy:9"},
        ],
        "volumes": [
            {"name": "all", "projected": {"sources": [
                {"configMap": {"name": "features"}}, {"secret": {"name": "payment"}},
                {"serviceAccountToken": {"path": "token"}}]}},
            {"name": "tls", "secret": {"secretName": "certificate"}},
            {"name": "scratch", "emptyDir": {}},
        ],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "checkout"}}}}]}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "checkout"}}}],
    })
}

fn built(template: &Template, release: &Release) -> Vec<Value> {
    let owner = ReleaseOwner { name: "checkout-1.1".to_owned(), uid: "r-1".to_owned() };
    let order = Order { release, policy: "checkout", replicas: 1, owner: Some(&owner) };
    build::build(template, &order).expect("the set can be built")
}

fn of<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).expect("the set has one")
}

#[test]
fn a_set_of_a_realistic_workload() {
    let objects = built(&template(), &release("api"));
    let told: Vec<String> = objects
        .iter()
        .map(|object| serde_json::to_string_pretty(object).expect("an object"))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    let autoscaler = build::autoscaler(of(&objects, "Deployment")).expect("a copy").expect("one");
    insta::assert_snapshot!(serde_json::to_string_pretty(&autoscaler).expect("an object"));
}

#[test]
fn neither_the_users_deployment_nor_their_services_select_the_pods() {
    let template = template();
    let objects = built(&template, &release("api"));
    let labels = &of(&objects, "Deployment")["spec"]["template"]["metadata"]["labels"];
    let labels = selectors::labels(labels);
    assert!(!selectors::selects(&template.deployment["spec"]["selector"], &labels));
    assert!(!selectors::service_selects(&template.services[0], &labels));
    assert!(selectors::service_selects(of(&objects, "Service"), &labels));
    assert!(selectors::selects(&of(&objects, "Deployment")["spec"]["selector"], &labels));
}

#[test]
fn size_and_owner_do_not_make_it_another_set() {
    let (template, release) = (template(), release("api"));
    let content = |replicas, owner: Option<&ReleaseOwner>| {
        let order = Order { release: &release, policy: "checkout", replicas, owner };
        let objects = build::build(&template, &order).expect("the set can be built");
        of(&objects, "Deployment")["metadata"]["annotations"][names::CONTENT].clone()
    };
    let owner = ReleaseOwner { name: "checkout-1.1".to_owned(), uid: "r-2".to_owned() };
    assert_eq!(content(1, None), content(5, Some(&owner)));
}

#[test]
fn what_does_not_fit_is_refused() {
    let order = |release| Order { release, policy: "checkout", replicas: 1, owner: None };
    let missing = release("basket");
    let failure = build::build(&template(), &order(&missing)).expect_err("no such container");
    insta::assert_snapshot!(failure.in_full(), @"Release checkout-1.1: Deployment checkout has no container basket; it has api, proxy; name the images in spec.images of the release after its containers");
    let early = release("warm-up");
    let failure = build::build(&template(), &order(&early)).expect_err("an init container");
    insta::assert_snapshot!(failure.in_full(), @"Release checkout-1.1: image warm-up belongs to an init container of Deployment checkout; a release replaces images of containers only; take it out of spec.images of the release");

    let mut without = template();
    without.config_maps.remove("features");
    let release = release("api");
    let failure = build::build(&without, &order(&release)).expect_err("a ConfigMap is missing");
    assert_eq!(failure.kind, Kind::Missing);
    insta::assert_snapshot!(failure.in_full(), @"ConfigMap features does not exist; volume all of Deployment checkout needs it; create it, or mark the reference as optional");

    let mut twice = template();
    let mut other = service();
    other["metadata"]["name"] = json!("checkout-admin");
    other["spec"]["ports"][0]["targetPort"] = json!("admin");
    twice.services.push(other);
    let failure = build::build(&twice, &order(&release)).expect_err("which port is meant?");
    insta::assert_snapshot!(failure.in_full(), @r#"Service checkout-admin: port 80 leads to "admin", that of another Service to "http"; name the Service that the route sends requests to"#);
}

#[test]
fn a_difference_is_named_without_its_value() {
    let wanted = json!({"data": {"a": "secret"}, "spec": {"replicas": 1, "list": [{"x": 1}]}});
    let mut found = wanted.clone();
    found["spec"]["replicas"] = json!(5);
    found["spec"]["default"] = json!(true);
    assert_eq!(difference(&wanted, &found, ""), None);
    found["spec"]["list"][0]["x"] = json!(2);
    assert_eq!(difference(&wanted, &found, "").as_deref(), Some("spec.list[0].x"));
    found["data"]["a"] = json!("other");
    assert_eq!(difference(&wanted, &found, "").as_deref(), Some("data.a"));
}
