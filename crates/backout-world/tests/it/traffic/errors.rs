//! What a cluster lacks is told with what to do.

use backout_core::units::Weight;
use backout_world::failure::Kind;
use backout_world::kubernetes::objects::{HTTP_ROUTE, Objects, Sort};
use backout_world::traffic::{Arms, Fence, provider};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use crate::cluster::client;

#[tokio::test]
async fn a_kind_that_is_not_installed_is_named() {
    let Some(client) = client("kind").await else { return };
    let objects = Objects::new(client, "default");
    let unknown = Sort { kind: "NoRoute", plural: "noroutes", ..HTTP_ROUTE };
    for sort in [unknown, Sort { group: "nowhere.example", ..unknown }] {
        for told in [
            objects.get(sort, "shop").await.expect_err("unknown"),
            objects.change(sort, "shop", |_| Ok(None)).await.expect_err("unknown"),
        ] {
            assert_eq!(told.kind, Kind::Missing);
            let told = told.in_full();
            assert!(told.contains("install the resource definition of NoRoute"), "{told}");
        }
    }
}

#[tokio::test]
async fn a_permission_that_is_not_granted_is_named() {
    let Some(_) = client("permission").await else { return };
    let path = std::env::var("BACKOUT_E2E_KUBECONFIG").expect("named: there is a client");
    let kubeconfig = Kubeconfig::read_from(&path).expect("the kubeconfig can be read");
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("one");
    config.auth_info.impersonate = Some("nobody".to_owned());
    let client = Client::try_from(config).expect("a client can be made of it");
    let arms = Arms {
        namespace: "default".to_owned(),
        route: "shop".to_owned(),
        service: None,
        workload: "shop".to_owned(),
        stable: "shop-aaaaaaaa".to_owned(),
        candidate: None,
    };
    let fence = Fence { run: "run".to_owned(), generation: 1 };
    for route in [
        json!({ "kind": "HTTPRoute", "name": "shop" }),
        json!({ "kind": "GRPCRoute", "name": "shop" }),
        json!({ "kind": "Service", "name": "shop" }),
        json!({ "kind": "Service", "name": "shop", "by": "replicas" }),
    ] {
        let route = serde_json::from_value(route).expect("a route");
        let provider = provider(&route, client.clone());
        for told in [
            provider.read(&arms).await.map(|_| ()),
            provider.adopt(&arms).await,
            provider.write(&arms, Weight::ZERO, None, &fence).await,
        ] {
            let told = told.expect_err("forbidden");
            assert_eq!(told.kind, Kind::Missing);
            let told = told.in_full();
            assert!(told.contains("cannot get resource") && told.contains("nobody"), "{told}");
            assert!(told.contains("grant the permission"), "{told}");
        }
    }
}
