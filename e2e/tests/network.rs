//! Runs the network's own trial in a namespace where a control plane already runs.

use std::path::PathBuf;

/// Needs `KUBECONFIG` of a control plane and `ENVOY`, the proxy's program, in a network namespace
/// where 10.244.0.0/16 and 10.96.0.0/16 are local.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane in a network namespace"]
async fn weights_shift_without_failures() {
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::INFO).init();
    let envoy = PathBuf::from(std::env::var_os("ENVOY").expect("ENVOY is the proxy's program"));
    let client = kube::Client::try_default().await.expect("a control plane");
    let directory = tempfile::tempdir().expect("a directory");
    backout_e2e::network::shifts_weights_without_failures(client, directory.path(), &envoy)
        .await
        .expect("the trial holds");
}

/// Needs `KUBECONFIG` of a control plane, and `prometheus` in the path.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a control plane in a network namespace"]
async fn prometheus_scrapes_a_running_pod_and_comes_back() {
    use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
    let client = kube::Client::try_default().await.expect("a control plane");
    let directory = tempfile::tempdir().expect("a directory");
    let listen = "127.0.0.1:9090".parse().expect("an address");
    let mut prometheus =
        backout_e2e::metrics::Prometheus::start(client.clone(), directory.path(), listen)
            .await
            .expect("Prometheus starts");
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(client, "default");
    // No kubelet runs here, so that the test says itself that the pod runs.
    let pod = serde_json::from_value(serde_json::json!({
        "metadata": {
            "name": "scraped", "labels": { "backout.dev/release": "v7" },
            "annotations": { "prometheus.io/port": "9999" },
        },
        "spec": {
            "nodeName": "nowhere", "automountServiceAccountToken": false,
            "containers": [{ "name": "web", "image": "web" }],
        },
    }))
    .expect("a pod");
    pods.create(&PostParams::default(), &pod).await.expect("the pod is made");
    let status = serde_json::json!({ "status": { "phase": "Running", "podIP": "10.244.201.1",
        "podIPs": [{ "ip": "10.244.201.1" }] } });
    pods.patch_status("scraped", &PatchParams::default(), &Patch::Merge(status))
        .await
        .expect("the pod runs");
    // Nothing listens there: a scrape that fails is a result of its own.
    let query = "up{release=\"v7\", pod=\"scraped\", namespace=\"default\"}";
    let within = backout_e2e::metrics::DISCOVERY_LAG * 2;
    let first = prometheus.await_result(query, within).await;
    prometheus.stop().await.expect("stops");
    prometheus.start_again().await.expect("starts again");
    let second = prometheus.await_result(query, within).await;
    let gone = DeleteParams::default().grace_period(0);
    pods.delete("scraped", &gone).await.expect("the pod is deleted");
    assert_eq!(first.expect("a first scrape")[0]["value"][1], "0");
    second.expect("a scrape after the restart");
}
