//! What tests against a real API server share. They run when `BACKOUT_E2E_KUBECONFIG` names a
//! kubeconfig.

use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde_json::{Value, json};

/// The API server to test against, if one is named.
pub(crate) async fn client() -> Option<Client> {
    let Some(path) = std::env::var_os("BACKOUT_E2E_KUBECONFIG") else {
        tracing::warn!("skipped: BACKOUT_E2E_KUBECONFIG names no kubeconfig");
        return None;
    };
    let kubeconfig = Kubeconfig::read_from(path).expect("the kubeconfig can be read");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Some(Client::try_from(config.expect("the kubeconfig fits")).expect("a client"))
}

/// The objects of a document's kind, in its namespace.
pub(crate) fn api(client: &Client, document: &Value) -> Api<DynamicObject> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&document["apiVersion"]);
    let (group, version) = version.split_once('/').unwrap_or(("", &version));
    let kind = text(&document["kind"]);
    let plural = match kind.as_str() {
        "ReleasePolicy" | "ValidatingAdmissionPolicy" => {
            format!("{}ies", kind.to_lowercase().trim_end_matches('y'))
        }
        _ => format!("{}s", kind.to_lowercase()),
    };
    let kind = GroupVersionKind::gvk(group, version, &kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, &plural);
    match document["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

/// Applies a document as a person would: unknown fields are an error.
pub(crate) async fn apply(client: &Client, document: &Value) -> Result<DynamicObject, kube::Error> {
    let parameters = PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::apply("test").force()
    };
    let name = document["metadata"]["name"].as_str().expect("a name");
    api(client, document).patch(name, &parameters, &Patch::Apply(document)).await
}

/// A namespace, made if it is not there.
pub(crate) async fn namespace(client: &Client, name: &str) {
    let document = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    apply(client, &document).await.expect("a namespace can be made");
}

/// Applies the definitions and waits until they are served; returns them.
pub(crate) async fn define(client: &Client) -> Vec<Value> {
    let mut made = Vec::new();
    for definition in crate::resources::definitions() {
        apply(client, &definition).await.unwrap_or_else(|error| panic!("{error}"));
        let name = definition["metadata"]["name"].as_str().expect("a name");
        made.push(
            until(|| async {
                let object = api(client, &definition).get(name).await.ok()?;
                condition(&object.data, "Established").then_some(object.data)
            })
            .await,
        );
    }
    made
}

/// Whether a condition of a definition is true.
pub(crate) fn condition(object: &Value, kind: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| it["type"] == kind && it["status"] == "True")
}

/// Asks until there is an answer, for at most half a minute.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(ask: impl Fn() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asking).await.expect("an answer in time")
}
