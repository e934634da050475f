//! Nobody's write is lost when two write at once.

use backout_world::failure::{Failure, Kind};
use backout_world::kubernetes::objects::{Objects, SERVICE, annotation};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::bench::Bench;
use super::selector;

/// Changes the Service while someone else writes in between, this many times.
async fn changed(bench: &Bench, times: u32) -> (Result<(), Failure>, Vec<String>) {
    let objects = Objects::new(bench.cluster.client.clone(), &bench.cluster.namespace);
    let mut seen = Vec::new();
    let change = objects.change(SERVICE, "shop", |object| {
        seen.push(object["spec"]["selector"]["tier"].as_str().unwrap_or_default().to_owned());
        let number = u32::try_from(seen.len()).expect("a few");
        if number <= times {
            let theirs = json!({ "selector": { "tier": format!("web{number}") } });
            block_in_place(|| Handle::current().block_on(bench.someone_writes(theirs)));
        }
        Ok(Some(json!({ "metadata": { "annotations": { "ours": number.to_string() } } })))
    });
    let changed = change.await;
    (changed, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_sees_what_it_changes() {
    let Some(bench) = Bench::new("change", selector::case()).await else { return };
    let (changed, seen) = changed(&bench, 2).await;
    changed.expect("the third try is alone");
    assert_eq!(seen, ["web", "web1", "web2"]);
    let object = serde_json::to_value(bench.object().await).expect("an object");
    assert_eq!(annotation(&object, "ours"), Some("3"));
    assert_eq!(object["spec"]["selector"]["tier"], "web2", "their write is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_gives_up_against_someone_who_writes_all_the_time() {
    let Some(bench) = Bench::new("fight", selector::case()).await else { return };
    let (changed, seen) = changed(&bench, u32::MAX).await;
    let told = changed.expect_err("someone wrote every time");
    assert_eq!((told.kind, seen.len()), (Kind::Failed, 4));
    assert!(told.message.contains("someone else wrote it"), "{told}");
    let object = serde_json::to_value(bench.object().await).expect("an object");
    assert_eq!(annotation(&object, "ours"), None);
}
