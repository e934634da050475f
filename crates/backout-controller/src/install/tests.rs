//! What is installed, and what a real API server makes of it.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{Options, manifests};
use crate::cluster::{api, apply, client, define, namespace, until};

const BAD: &str = "sha256:300530181695c9885f702902bc7fed7f2cc510a936d4a73bd8014daedf200f3b";
const GOOD: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

#[test]
fn a_namespaced_installation_holds_no_rights_over_the_cluster() {
    let options =
        Options { watch: vec!["shop".to_owned(), "pay".to_owned()], ..Options::default() };
    let bindings: Vec<Value> = manifests(&options).into_iter().map(|it| it.object).collect();
    assert!(bindings.iter().all(|it| it["kind"] != "ClusterRoleBinding"));
    let roles = bindings.iter().filter(|it| it["kind"] == "Role").count();
    assert_eq!(roles, 3, "one for each watched namespace, and one for leadership");
}

#[test]
fn secrets_are_never_listed() {
    for manifest in manifests(&Options { cluster_wide: true, ..Options::default() }) {
        for rule in manifest.object["rules"].as_array().into_iter().flatten() {
            if rule["resources"].to_string().contains("secrets") {
                assert_eq!(rule["verbs"], json!(["get", "create", "delete"]));
            }
            assert!(!rule.to_string().contains('*'), "{rule}");
        }
    }
}

/// A namespace of this process alone, so that one cluster serves many runs.
fn place() -> String {
    format!("guarded-{}", std::process::id())
}

fn deployment(name: &str, digest: &str, replicas: u32) -> Value {
    let labels = json!({ "app": name });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": place() },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "a", "image": format!("registry.example/a@{digest}") }] },
            },
        },
    })
}

#[tokio::test]
async fn an_installation_guards_and_is_guarded() {
    let Some(client) = client().await else { return };
    define(&client).await;
    namespace(&client, "backout").await;
    namespace(&client, &place()).await;
    // It runs already when its image goes into quarantine.
    apply(&client, &deployment("before", BAD, 2)).await.expect("nothing guards yet");
    let options = Options { watch: vec![place()], ..Options::default() };
    for manifest in manifests(&options) {
        apply(&client, &manifest.object).await.unwrap_or_else(|error| panic!("{error}"));
    }
    apply(
        &client,
        &json!({
            "apiVersion": "backout.dev/v1alpha1",
            "kind": "Quarantine",
            "metadata": { "name": "bad", "namespace": place() },
            "spec": { "digest": BAD, "reason": "error rate 12%" },
        }),
    )
    .await
    .expect("a quarantine is accepted");

    // The policy takes effect some time after it was written.
    let refused = until(|| async {
        let deployments = api(&client, &deployment("new", BAD, 1));
        match apply(&client, &deployment("new", BAD, 1)).await {
            Err(error) => Some(error.to_string()),
            Ok(_) => {
                deployments.delete("new", &DeleteParams::default()).await.expect("it is deleted");
                None
            }
        }
    })
    .await;
    let lift = format!("kubectl delete quarantine -n {} bad", place());
    for part in ["is in quarantine: error rate 12%", BAD, &lift] {
        assert!(refused.contains(part), "{refused}");
    }
    apply(&client, &deployment("other", GOOD, 1)).await.expect("other images are let through");
    let deployments = api(&client, &deployment("before", BAD, 2));
    let scaled = json!({ "spec": { "replicas": 0 } });
    deployments
        .patch("before", &PatchParams::default(), &Patch::Merge(&scaled))
        .await
        .expect("scaling down is let through");
    apply(&client, &deployment("before", GOOD, 1))
        .await
        .expect("going to a good image is let through");
    let back = apply(&client, &deployment("before", BAD, 1)).await.expect_err("and back is not");
    assert!(back.to_string().contains("is in quarantine"), "{back}");
    let mut pod = deployment("pod", GOOD, 1)["spec"]["template"].clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"] = json!({ "name": "pod", "namespace": place() });
    pod["spec"]["initContainers"] = json!([{ "name": "b", "image": format!("b:1@{BAD}") }]);
    let refused = apply(&client, &pod).await.expect_err("a pod is refused");
    assert!(refused.to_string().contains("is in quarantine"), "{refused}");
    permissions(client).await;
}

/// Asks the API server what the controller's account may do.
async fn permissions(client: kube::Client) {
    let reviews: Api<SubjectAccessReview> = Api::all(client);
    for (namespace, verb, group, resource, expected) in [
        (&place() as &str, "patch", "gateway.networking.k8s.io", "httproutes", true),
        (&place() as &str, "create", "apps", "deployments", true),
        (&place() as &str, "get", "", "secrets", true),
        (&place() as &str, "list", "", "secrets", false),
        (&place() as &str, "watch", "", "secrets", false),
        (&place() as &str, "delete", "", "pods", false),
        (&place() as &str, "delete", "backout.dev", "quarantines", false),
        (&place() as &str, "create", "rbac.authorization.k8s.io", "roles", false),
        ("backout", "create", "coordination.k8s.io", "leases", true),
        ("backout", "create", "apps", "deployments", false),
        ("kube-system", "get", "", "configmaps", false),
    ] {
        let attributes = ResourceAttributes {
            namespace: Some(namespace.to_owned()),
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            ..ResourceAttributes::default()
        };
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some("system:serviceaccount:backout:backout".to_owned()),
                resource_attributes: Some(attributes),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = reviews.create(&PostParams::default(), &review).await.expect("an answer");
        let allowed = answer.status.is_some_and(|status| status.allowed);
        assert_eq!(allowed, expected, "{verb} {resource}.{group} in {namespace}");
    }
}
