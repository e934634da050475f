//! A Service that selects both sets.

use backout_core::units::Weight;
use backout_world::failure::Kind;
use serde_json::json;

use super::bench::{Bench, CANDIDATE, Case, STABLE, THIRD, WORKLOAD};
use super::{contract, selector};

/// One of four pods is the candidate's.
fn case() -> Case {
    Case {
        route: json!({ "kind": "Service", "name": "shop", "by": "replicas" }),
        weights: &[25, 100, 25, 0],
        shows: |spec| {
            if spec["selector"] == json!({ "backout.dev/workload": WORKLOAD }) {
                Some(25)
            } else {
                selector::shows(spec)
            }
        },
        ..selector::case()
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    contract::holds("replicas", case()).await;
}

#[tokio::test]
async fn a_third_set_gets_no_users() {
    let Some(bench) = Bench::new("third-set", case()).await else { return };
    let quarter = Weight::from_percent(25).expect("a percentage");
    bench.adopted().await;
    let failed = bench.pods(THIRD, 1).await;
    let before = bench.spec().await;
    let told = bench.provider.write(&bench.arms, quarter, None, &bench.fence).await;
    let told = told.expect_err("a third set's pod runs");
    assert_eq!(told.kind, Kind::Refused);
    assert!(told.message.contains(THIRD) && told.message.contains(STABLE), "{told}");
    assert!(told.help.expect("what to do").contains("scale their Deployment to 0"));
    assert_eq!(bench.spec().await, before);
    // Whole weights name one set, so that the third is no danger.
    bench.write(100).await;
    assert_eq!(bench.shown(&bench.arms).await.candidate_weight, Weight::FULL);
    bench.gone(&failed).await;
    bench.write(25).await;
    assert_eq!(bench.shown(&bench.arms).await.candidate_weight, quarter);
    // One that comes later is seen.
    bench.pods(THIRD, 1).await;
    bench
        .cluster
        .until("the third set is seen", || async {
            let told = bench.provider.read(&bench.arms).await;
            told.is_err_and(|told| told.message.contains(THIRD) && told.message.contains(CANDIDATE))
        })
        .await;
}
