//! What a real API server makes of the definitions.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{DIGEST, example};
use crate::cluster::{api, apply, client, condition, define, namespace};

/// A change of a document, and a part of what the server must answer.
type Variant = (&'static str, fn(&mut Value), &'static str);

const POLICIES: [Variant; 20] = [
    ("no strategy", |spec| spec["strategy"] = json!({}), "neither `canary` nor `blueGreen`"),
    (
        "two strategies",
        |spec| spec["strategy"]["blueGreen"] = json!({ "analyse": "5m" }),
        "not both; remove one",
    ),
    (
        "last weight",
        |spec| spec["strategy"]["canary"]["steps"] = json!([{ "setWeight": 5 }]),
        "the last weight is not 100%",
    ),
    ("falling weights", |spec| steps(spec, &[50, 25, 100]), "weights must rise"),
    ("a weight twice", |spec| steps(spec, &[50, 50, 100]), "the step is there twice"),
    ("a weight of nothing", |spec| steps(spec, &[0, 100]), "a weight of 0% sends no traffic"),
    ("a weight above all", |spec| steps(spec, &[101, 100]), "less than or equal to 100"),
    (
        "an empty step",
        |spec| spec["strategy"]["canary"]["steps"][0] = json!({}),
        "at least 1 properties",
    ),
    (
        "a step of two",
        |spec| spec["strategy"]["canary"]["steps"][0] = json!({ "setWeight": 5, "approve": {} }),
        "must have at most 1 item",
    ),
    (
        "a part of a Service",
        |spec| spec["traffic"]["route"]["kind"] = json!("Service"),
        "a Service cannot carry a part of the traffic",
    ),
    (
        "analysis first",
        |spec| {
            spec["strategy"]["canary"]["steps"] =
                json!([{ "analyse": "5m" }, { "setWeight": 100 }]);
        },
        "nothing can be analysed before",
    ),
    ("no signal", |spec| spec["signals"] = json!([]), "there is no signal"),
    (
        "a signal twice",
        |spec| spec["signals"][1]["name"] = spec["signals"][0]["name"].clone(),
        "give each signal a name of its own",
    ),
    (
        "a signal of two kinds",
        |spec| spec["signals"][0]["gauge"] = json!("up"),
        "exactly one of `ratio`, `quantile`, `gauge` and `preset`",
    ),
    (
        "an empty query",
        |spec| spec["signals"][0]["ratio"]["bad"] = json!(" "),
        "the query is empty",
    ),
    (
        "a unit that does not fit",
        |spec| spec["signals"][0]["max"] = json!("400ms"),
        "is a percentage such as 1%",
    ),
    ("no environment", |spec| spec["environments"] = json!([]), "there is no environment"),
    (
        "no windows",
        |spec| spec["triggers"]["consecutive"] = json!(0),
        "zero windows decide nothing",
    ),
    (
        "a window of words",
        |spec| spec["triggers"]["window"] = json!("soon"),
        "spec.triggers.window",
    ),
    (
        "a short window",
        |spec| spec["triggers"]["window"] = json!("500ms"),
        "shorter than any scrape interval",
    ),
];

const RELEASES: [Variant; 6] = [
    (
        "a tag for a digest",
        |spec| spec["images"][0]["digest"] = json!("1.42.0"),
        "a digest is sha256: and 64",
    ),
    ("no image", |spec| spec["images"] = json!([]), "the release has no image"),
    ("a short commit", |spec| spec["context"]["gitSha"] = json!("93d6c48"), "a commit is 40"),
    (
        "a migration twice",
        |spec| spec["migrations"][1]["id"] = spec["migrations"][0]["id"].clone(),
        "duplicate entries for key",
    ),
    (
        "an unknown flag",
        |spec| spec["migrations"][0]["guardedBy"] = json!("nothing"),
        "the release does not have",
    ),
    ("an unknown field", |spec| spec["colour"] = json!("red"), "colour"),
];

fn steps(spec: &mut Value, weights: &[u32]) {
    let steps: Vec<Value> = weights.iter().map(|weight| json!({ "setWeight": weight })).collect();
    spec["strategy"]["canary"]["steps"] = json!(steps);
}

/// The definitions are accepted, and so is the example; what the rules forbid is not.
#[tokio::test]
async fn an_api_server_holds_the_rules() {
    let Some(client) = client().await else { return };
    for definition in define(&client).await {
        assert!(!condition(&definition, "NonStructuralSchema"), "{definition}");
    }
    namespace(&client, "shop").await;
    let policy = example("backout.yaml");
    let kept = apply(&client, &policy).await.expect("the example's policy is accepted");
    assert_eq!(kept.data["spec"]["triggers"]["metricsDelay"], "15s", "defaults are filled in");
    let read = super::parse_policy(&kept).expect("what the server kept is read");
    assert_eq!(read.metadata.name.as_str(), "checkout");
    let release = example("releases/1.42.0.yaml");
    for file in ["releases/1.41.0.yaml", "releases/1.42.0.yaml"] {
        let kept =
            apply(&client, &example(file)).await.expect("the example's releases are accepted");
        super::parse_release(&kept).expect("what the server kept is read");
    }
    let mut missed = Vec::new();
    for (document, variants) in [(&policy, &POLICIES[..]), (&release, &RELEASES[..])] {
        for (what, change, expected) in variants {
            let mut document = document.clone();
            document["metadata"]["name"] = json!("variant");
            change(&mut document["spec"]);
            match apply(&client, &document).await {
                Err(error) if error.to_string().contains(expected) => {}
                other => missed.push(format!("{what}: {other:?}")),
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[tokio::test]
async fn records_cannot_be_changed_and_statuses_can() {
    let Some(client) = client().await else { return };
    define(&client).await;
    namespace(&client, "records").await;
    let mut release = example("releases/1.42.0.yaml");
    release["metadata"]["namespace"] = json!("records");
    apply(&client, &release).await.expect("accepted");
    let name = release["metadata"]["name"].as_str().expect("a name").to_owned();
    let status = json!({ "status": { "observedGeneration": 1, "phase": "Analysing", "weight": 5,
        "signals": [], "lastCommands": [], "conditions": [] } });
    let releases = api(&client, &release);
    let kept = releases.patch_status(&name, &PatchParams::default(), &Patch::Merge(&status)).await;
    assert_eq!(kept.expect("a status can be written").data["status"]["phase"], "Analysing");
    release["spec"]["version"] = json!("1.42.1");
    let refused = apply(&client, &release).await.expect_err("a record is not changed");
    assert!(refused.to_string().contains("immutable record"), "{refused}");

    let mut quarantine = json!({
        "apiVersion": "backout.dev/v1alpha1",
        "kind": "Quarantine",
        "metadata": { "name": "bad", "namespace": "records" },
        "spec": { "digest": DIGEST, "reason": "error rate 12%" },
    });
    apply(&client, &quarantine).await.expect("accepted");
    quarantine["spec"]["reason"] = json!("another");
    let refused = apply(&client, &quarantine).await.expect_err("a quarantine is not changed");
    assert!(refused.to_string().contains("delete it to lift it"), "{refused}");
}
