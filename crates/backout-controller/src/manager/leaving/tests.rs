//! Releases that are deleted, on a real API server.

use backout_core::release::Release;
use backout_world::live::{KnownGood, PolicyRecord};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use super::*;
use crate::cluster::{api as api_of, apply, client, define, namespace};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn release(namespace: &str, version: &str) -> Value {
    json!({
        "apiVersion": "backout.dev/v1alpha1", "kind": "Release",
        "metadata": { "name": format!("checkout-{version}"), "namespace": namespace },
        "spec": {
            "workload": "checkout", "version": version,
            "images": [{ "name": "api", "repository": "registry.example/checkout",
                "tag": version, "digest": DIGEST }],
            "config": { "revision": "0123456789abcdef0123456789abcdef01234567",
                "chartVersion": "1.0.0" },
            "context": { "gitSha": "89abcdef0123456789abcdef0123456789abcdef", "gitRef": "main",
                "repository": "shop/checkout", "buildNumber": 7,
                "builtAt": "2026-01-01T00:00:00Z" },
        },
    })
}

fn policy(namespace: &str) -> Value {
    json!({
        "apiVersion": "backout.dev/v1alpha1", "kind": "ReleasePolicy",
        "metadata": { "name": "checkout", "namespace": namespace },
        "spec": {
            "workload": { "kind": "Deployment", "name": "checkout" },
            "environments": [{ "name": "production", "config": { "chart": "deploy/chart" } }],
            "traffic": { "route": { "kind": "Service", "name": "checkout" } },
            "strategy": { "blueGreen": { "analyse": "5m" } },
            "signals": [{ "name": "saturation", "max": "80%", "gauge": "x{release=\"$release\"}" }],
            "gates": [],
        },
    })
}

fn workload(namespace: &str) -> [Value; 2] {
    let labels = json!({ "app": "checkout" });
    let deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "checkout", "namespace": namespace },
        "spec": { "replicas": 0, "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": {
                "containers": [{ "name": "api", "image": "registry.example/checkout:1",
                    "ports": [{ "name": "http", "containerPort": 80 }] }] } } } });
    let service = json!({ "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "checkout", "namespace": namespace },
        "spec": { "selector": labels,
            "ports": [{ "name": "http", "port": 80, "targetPort": "http" }] } });
    [deployment, service]
}

/// A namespace with a policy, a workload, and two releases with their sets, both of which began.
async fn place(name: &str) -> Option<(Client, String, [Release; 2])> {
    let client = client().await?;
    define(&client).await;
    let name = format!("{name}-{}", std::process::id());
    namespace(&client, &name).await;
    for document in workload(&name).iter().chain([&policy(&name)]) {
        apply(&client, document).await.expect("it can be applied");
    }
    let sets = Sets::new(client.clone(), &name, "checkout", "checkout");
    let mut made = Vec::new();
    for version in ["1", "2"] {
        let document = release(&name, version);
        let object = apply(&client, &document).await.expect("a release");
        let parsed = parse_release(&object).expect("it is valid");
        let owner = backout_world::kubernetes::set::ReleaseOwner {
            name: object.metadata.name.clone().expect("a name"),
            uid: object.metadata.uid.clone().expect("a uid"),
        };
        sets.create(&parsed, 1, Some(&owner)).await.expect("a set");
        rollout::hold(&client, &name, &owner.name).await.expect("it can be held");
        let releases = api::objects(&client, &name, Resource::Release);
        let ended = json!({ "phase": "Promoted", "startedAt": "2026-01-01T00:00:00Z",
            "endedAt": "2026-01-01T01:00:00Z", "outcome": "promoted", "observedGeneration": 1,
            "conditions": [], "signals": [], "lastCommands": [] });
        releases.apply_status(&owner.name, ended).await.expect("a status");
        made.push(parsed);
    }
    let made = <[Release; 2]>::try_from(made).expect("two");
    Some((client, name, made))
}

async fn serves(client: &Client, namespace: &str, release: &Release) {
    let known = KnownGood {
        release: Some(release.metadata.name.to_string()),
        set: Some(release.set_name()),
    };
    let record = PolicyRecord::new(client.clone(), namespace, "checkout");
    record.write(&known).await.expect("the record can be written");
}

#[tokio::test]
async fn a_release_goes_only_when_its_set_serves_nobody() {
    let Some((client, namespace, [first, second])) = place("leaving").await else { return };
    serves(&client, &namespace, &first).await;
    let key = Key { namespace: namespace.clone(), name: "checkout-1".to_owned() };
    assert_eq!(leave(&client, &key).await, Ok(Left::Gone), "it is not being deleted");

    let document = release(&namespace, "1");
    let releases = api_of(&client, &document);
    releases.delete("checkout-1", &DeleteParams::default()).await.expect("it is asked to go");
    for _ in 0..2 {
        assert_eq!(leave(&client, &key).await, Ok(Left::Stays));
        let object = releases.get("checkout-1").await.expect("it stays");
        let status = status_of(&object);
        let stalled = status.conditions.last().expect("conditions");
        assert_eq!(stalled.reason, "Serves");
        assert!(stalled.message.contains("release another one, or"), "{}", stalled.message);
    }
    let sets = Sets::new(client.clone(), &namespace, "checkout", "checkout");
    let names = |sets: Vec<SetSummary>| sets.into_iter().map(|set| set.name).collect::<Vec<_>>();
    assert_eq!(names(sets.list().await.expect("readable")).len(), 2, "nothing was taken away");

    // Another release serves now, but the route still sends users to this one.
    serves(&client, &namespace, &second).await;
    let policy = parse_policy(
        &api_of(&client, &policy(&namespace)).get("checkout").await.expect("it is there"),
    )
    .expect("it is valid");
    let provider = traffic::provider(&policy.spec.traffic.route, client.clone());
    let mut arms = Arms {
        namespace: namespace.clone(),
        route: "checkout".to_owned(),
        service: None,
        workload: "checkout".to_owned(),
        stable: first.set_name(),
        candidate: None,
    };
    provider.adopt(&arms).await.expect("the Service can be taken over");
    assert_eq!(leave(&client, &key).await, Ok(Left::Stays));
    let status = status_of(&releases.get("checkout-1").await.expect("it stays"));
    let stalled = status.conditions.last().expect("conditions");
    assert!(stalled.message.contains("has 100% of the users"), "{}", stalled.message);

    arms.candidate = Some(second.set_name());
    let fence = traffic::Fence { run: "checkout-2".to_owned(), generation: 1 };
    let full = backout_core::units::Weight::FULL;
    provider.write(&arms, full, None, &fence).await.expect("traffic moves");
    assert_eq!(leave(&client, &key).await, Ok(Left::Gone));
    assert_eq!(names(sets.list().await.expect("readable")), [second.set_name()]);
    let gone = releases.get_opt("checkout-1").await.expect("readable");
    assert!(gone.is_none(), "nothing holds it any more: {gone:?}");
}

#[tokio::test]
async fn without_a_policy_a_set_that_runs_stays() {
    let Some((client, namespace, [first, _])) = place("leaving-policy").await else { return };
    let policies = api_of(&client, &policy(&namespace));
    policies.delete("checkout", &DeleteParams::default()).await.expect("it goes");
    let key = Key { namespace: namespace.clone(), name: "checkout-1".to_owned() };
    let releases = api_of(&client, &release(&namespace, "1"));
    releases.delete("checkout-1", &DeleteParams::default()).await.expect("it is asked to go");
    assert_eq!(leave(&client, &key).await, Ok(Left::Stays));
    let status = status_of(&releases.get("checkout-1").await.expect("it stays"));
    let stalled = status.conditions.last().expect("conditions");
    assert!(stalled.message.contains("scale Deployment"), "{}", stalled.message);

    let sets = Sets::new(client.clone(), &namespace, "checkout", "checkout");
    let set = first.set_name();
    sets.scale(&set, 0, ScalePurpose::CleanUp, None).await.expect("a person scales it");
    assert_eq!(leave(&client, &key).await, Ok(Left::Gone));
    assert!(releases.get_opt("checkout-1").await.expect("readable").is_none());
}
