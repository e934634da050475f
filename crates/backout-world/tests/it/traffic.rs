//! A route on a real API server: adopted, moved, settled and given back. It runs when the variable
//! `BACKOUT_E2E_KUBECONFIG` names a kubeconfig, and says so when it does not.

use backout_core::machine::Precondition;
use backout_core::units::Weight;
use backout_world::traffic::http_route::HttpRoute;
use backout_world::traffic::selector::Selector;
use backout_world::traffic::{Arms, Fence, Provider};
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::cluster::client;

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

async fn create(client: &kube::Client, kind: &ApiResource, namespace: &str, object: Value) {
    let mut object = object;
    object["apiVersion"] = json!(kind.api_version);
    object["kind"] = json!(kind.kind);
    let object: DynamicObject = serde_json::from_value(object).expect("an object");
    let api: Api<DynamicObject> = if namespace.is_empty() {
        Api::all_with(client.clone(), kind)
    } else {
        Api::namespaced_with(client.clone(), namespace, kind)
    };
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => panic!("{error}"),
    }
}

/// What of an object is the user's.
async fn user_part(api: &Api<DynamicObject>, name: &str) -> Value {
    let object = api.get(name).await.expect("the object");
    let metadata = &object.metadata;
    json!([object.data["spec"], metadata.labels, metadata.annotations])
}

fn arms(namespace: &str, candidate: bool) -> Arms {
    Arms {
        namespace: namespace.to_owned(),
        route: "shop".to_owned(),
        service: Some("shop".to_owned()),
        workload: "shop".to_owned(),
        stable: "shop-aaaaaaaa".to_owned(),
        candidate: candidate.then(|| "shop-bbbbbbbb".to_owned()),
    }
}

async fn round(
    client: &kube::Client,
    namespace: &str,
    provider: &dyn Provider,
    api: &Api<DynamicObject>,
    weights: &[u8],
    taken: Value,
) {
    let fence = Fence { run: "run".to_owned(), generation: 2 };
    let before = user_part(api, "shop").await;
    let arms = arms(namespace, true);
    assert!(provider.read(&arms).await.is_err(), "not adopted");
    provider.adopt(&arms).await.expect("adopted");
    let once = api.get("shop").await.expect("it").metadata.resource_version;
    provider.adopt(&arms).await.expect("adopted twice");
    assert_eq!(api.get("shop").await.expect("it").metadata.resource_version, once);
    for percent in weights {
        let weight = Weight::from_percent(*percent).expect("a percentage");
        let facts = provider.read(&arms).await.expect("facts");
        let expected = Precondition { uid: 0, resource_version: facts.resource_version };
        provider.write(&arms, weight, Some(expected), &fence).await.expect("written");
        provider.write(&arms, weight, Some(expected), &fence).await.expect("written again");
        let facts = provider.read(&arms).await.expect("facts");
        assert_eq!((facts.candidate_weight, facts.written_by.as_str()), (weight, "backout"));
    }
    let older = Fence { generation: 1, ..fence.clone() };
    let told = provider.write(&arms, Weight::FULL, None, &older).await.expect_err("older");
    assert!(told.message.contains("generation 2"), "{told}");
    let facts = provider.read(&arms).await.expect("facts");
    let stranger = PatchParams { field_manager: Some("someone".to_owned()), ..Default::default() };
    api.patch("shop", &stranger, &Patch::Merge(taken)).await.expect("a third party's write");
    let told = provider.read(&arms).await.expect_err("not ours");
    assert!(told.message.contains("someone"), "{told}");
    let expected = Precondition { uid: 0, resource_version: facts.resource_version };
    let told = provider.write(&arms, Weight::FULL, Some(expected), &fence).await;
    assert!(told.expect_err("changed").message.contains("changed since"));
    provider.write(&arms, Weight::ZERO, None, &fence).await.expect("back");
    provider.follow(&arms, &fence).await.expect("settled");
    provider.detach(&arms).await.expect("detached");
    assert_eq!(user_part(api, "shop").await, before);
    let services = Api::namespaced_with(client.clone(), namespace, &resource("", "v1", "Service"));
    assert_eq!(user_part(&services, "shop").await[0]["selector"], json!({ "app": "shop" }));
}

async fn namespace(client: &kube::Client, name: &str) {
    create(client, &resource("", "v1", "Namespace"), "", json!({ "metadata": { "name": name } }))
        .await;
    let service = json!({ "metadata": { "name": "shop" },
        "spec": { "selector": { "app": "shop" }, "ports": [{ "port": 80 }] } });
    create(client, &resource("", "v1", "Service"), name, service).await;
}

#[tokio::test]
async fn a_selector_is_switched_and_given_back() {
    let Some(client) = client("selector").await else { return };
    namespace(&client, "by-selector").await;
    let api = Api::namespaced_with(client.clone(), "by-selector", &resource("", "v1", "Service"));
    let provider = Selector::new(client.clone());
    let taken = json!({ "spec": { "selector": { "app": "shop" } } });
    round(&client, "by-selector", &provider, &api, &[100, 0], taken).await;
}

#[tokio::test]
async fn an_http_route_moves_and_is_given_back() {
    let Some(client) = client("http-route").await else { return };
    let definition = json!({ "metadata": { "name": "httproutes.gateway.networking.k8s.io",
            "annotations": { "api-approved.kubernetes.io": "unapproved, a test's" } },
        "spec": { "group": "gateway.networking.k8s.io", "scope": "Namespaced",
            "names": { "kind": "HTTPRoute", "plural": "httproutes" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": { "type": "object",
                    "x-kubernetes-preserve-unknown-fields": true } } }] } });
    let definitions = resource("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    create(&client, &definitions, "", definition).await;
    let all: Api<DynamicObject> = Api::all_with(client.clone(), &definitions);
    let established = kube::runtime::wait::await_condition(
        all,
        "httproutes.gateway.networking.k8s.io",
        |object: Option<&DynamicObject>| {
            object.is_some_and(|object| {
                object.data["status"]["conditions"].as_array().is_some_and(|all| {
                    all.iter().any(|one| one["type"] == "Established" && one["status"] == "True")
                })
            })
        },
    );
    let waited = tokio::time::timeout(std::time::Duration::from_secs(20), established).await;
    waited.expect("in time").expect("established");
    namespace(&client, "by-route").await;
    let kind = resource("gateway.networking.k8s.io", "v1", "HTTPRoute");
    let route = json!({ "metadata": { "name": "shop" }, "spec": { "hostnames": ["shop"], "rules": [
        { "backendRefs": [{ "name": "shop", "port": 80, "weight": 3 },
            { "name": "legacy", "port": 81, "weight": 1 }] },
        { "backendRefs": [{ "name": "shop", "port": 80 }] },
        { "filters": [{ "type": "RequestRedirect" }] }] } });
    let api = Api::namespaced_with(client.clone(), "by-route", &kind);
    create(&client, &kind, "by-route", route.clone()).await;
    let provider = HttpRoute::new(client.clone());
    let taken = json!({ "spec": { "rules": route["spec"]["rules"] } });
    round(&client, "by-route", &provider, &api, &[5, 33, 100, 0], taken).await;
}
