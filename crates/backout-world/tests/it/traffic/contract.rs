//! What every provider promises.

use std::collections::BTreeMap;

use backout_core::machine::Precondition;
use backout_core::units::Weight;
use backout_world::failure::Kind;
use backout_world::traffic::Fence;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::bench::{Bench, Case, SOMEONE, THIRD, percent, refused};

/// Holds a provider to everything that is promised.
pub(super) async fn holds(name: &str, case: Case) {
    let Some(bench) = Bench::new(name, case).await else { return };
    what_is_missing_is_named(&bench).await;
    bench.fresh().await;
    nothing_moves_before_adoption(&bench).await;
    bench.fresh().await;
    what_is_written_is_read(&bench).await;
    bench.fresh().await;
    an_old_generation_is_refused(&bench).await;
    bench.fresh().await;
    a_changed_object_is_refused(&bench).await;
    bench.fresh().await;
    who_wrote_it_is_told(&bench).await;
    bench.fresh().await;
    a_third_set_is_never_zero(&bench).await;
    bench.fresh().await;
    settling_moves_nothing(&bench).await;
    bench.fresh().await;
    the_object_is_given_back(&bench).await;
}

async fn what_is_missing_is_named(bench: &Bench) {
    let mut arms = bench.arms.clone();
    arms.route = "nowhere".to_owned();
    let kind = bench.provider.kind();
    let told = [
        bench.provider.read(&arms).await.map(|_| ()),
        bench.provider.adopt(&arms).await,
        bench.provider.write(&arms, Weight::FULL, None, &bench.fence).await,
        bench.provider.follow(&arms, &bench.fence).await,
        bench.provider.detach(&arms).await,
    ];
    for told in told {
        let told = refused(told, "there is no such object");
        assert_eq!(told.kind, Kind::Missing);
        assert!(told.message.contains(&format!("{kind} {}/nowhere", arms.namespace)), "{told}");
        assert!(told.help.expect("what to do").contains("spec.traffic.route"));
    }
}

async fn nothing_moves_before_adoption(bench: &Bench) {
    let before = bench.of_the_user().await;
    let read = refused(bench.provider.read(&bench.arms).await, "it is not adopted");
    let written = bench.provider.write(&bench.arms, Weight::FULL, None, &bench.fence).await;
    for told in [read, refused(written, "it is not adopted")] {
        assert!(told.in_full().contains("adopt it before"), "{}", told.in_full());
    }
    bench.provider.detach(&bench.arms).await.expect("nothing to give back");
    assert_eq!(bench.of_the_user().await, before);
}

async fn what_is_written_is_read(bench: &Bench) {
    bench.adopted().await;
    assert_eq!((bench.case.shows)(&bench.spec().await), Some(0), "all traffic is the stable set's");
    let once = bench.version().await;
    bench.adopted().await;
    assert_eq!(bench.version().await, once, "adopting twice writes once");
    for weight in bench.case.weights {
        bench.write(*weight).await;
        assert_eq!((bench.case.shows)(&bench.spec().await), Some(*weight), "as the object says it");
        let facts = bench.shown(&bench.arms).await;
        assert_eq!(facts.candidate_weight, percent(*weight), "as it is read");
        assert_eq!(facts.written_by, "backout");
        let once = bench.version().await;
        // Also under the version that was read before the write: an answer may have been lost.
        for expected in [None, Some(Precondition { uid: 0, resource_version: 1 })] {
            let weight = percent(*weight);
            let again = bench.provider.write(&bench.arms, weight, expected, &bench.fence).await;
            again.expect("done already");
        }
        assert_eq!(bench.version().await, once, "writing twice writes once");
        let status = Patch::Merge(json!({ "status": { "conditions": [] } }));
        bench.api.patch_status("shop", &PatchParams::default(), &status).await.expect("a status");
        let now = bench.shown(&bench.arms).await;
        assert_eq!(now.resource_version, facts.resource_version, "a status changes nothing");
    }
}

async fn an_old_generation_is_refused(bench: &Bench) {
    bench.adopted().await;
    let newer = Fence { generation: bench.fence.generation + 1, ..bench.fence.clone() };
    let weight = percent(bench.case.weights[0]);
    bench.provider.write(&bench.arms, weight, None, &newer).await.expect("newer");
    let before = bench.version().await;
    for asked in [Weight::ZERO, weight, Weight::FULL] {
        let told = bench.provider.write(&bench.arms, asked, None, &bench.fence).await;
        let told = refused(told, "a newer generation wrote it");
        assert_eq!(told.kind, Kind::Refused);
        assert!(told.message.contains("generation 3 of run run"), "{told}");
    }
    let told = bench.provider.follow(&bench.arms, &bench.fence).await;
    assert!(refused(told, "a newer generation wrote it").message.contains("generation 3"));
    assert_eq!(bench.version().await, before, "nothing was written");
    let another = Fence { run: "another".to_owned(), generation: 1 };
    let written = bench.provider.write(&bench.arms, Weight::ZERO, None, &another).await;
    written.expect("another run has generations of its own");
}

/// The merge patch that turns one object into another.
fn merge(from: &Value, to: &Value) -> Value {
    let (Some(old), Some(new)) = (from.as_object(), to.as_object()) else { return to.clone() };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key, Value::Null));
    let kept = new.iter().map(|(key, to)| (key, merge(&from[key], to)));
    json!(gone.chain(kept).collect::<BTreeMap<_, _>>())
}

async fn a_changed_object_is_refused(bench: &Bench) {
    let user = bench.spec().await;
    bench.adopted().await;
    bench.write(bench.case.weights[0]).await;
    let facts = bench.shown(&bench.arms).await;
    let expected = Precondition { uid: 0, resource_version: facts.resource_version };
    // As a GitOps tool does that was not told.
    let back = merge(&bench.spec().await, &user);
    bench.someone_writes(back).await;
    let told = refused(bench.provider.read(&bench.arms).await, "the user's own is back");
    assert!(told.message.contains(SOMEONE), "{told}");
    let before = bench.version().await;
    let written = bench.provider.write(&bench.arms, Weight::FULL, Some(expected), &bench.fence);
    let told = refused(written.await, "it changed");
    assert_eq!(told.kind, Kind::Failed, "the engine reads it again and decides anew");
    assert!(told.message.contains("changed since"), "{told}");
    assert_eq!(bench.version().await, before, "nothing was written");
    let mended = bench.provider.write(&bench.arms, Weight::ZERO, None, &bench.fence).await;
    mended.expect("the way back is always open");
    assert_eq!(bench.shown(&bench.arms).await.candidate_weight, Weight::ZERO);
    assert_eq!((bench.case.shows)(&bench.spec().await), Some(0));
}

/// Someone gives users back to the stable set behind our back: it is read as it is, with who did it.
async fn who_wrote_it_is_told(bench: &Bench) {
    bench.adopted().await;
    let none = bench.spec().await;
    bench.write(bench.case.weights[0]).await;
    let some = bench.spec().await;
    if bench.case.route["by"] == "replicas" {
        // The numbers of replicas tell the share, and they are not the route's.
        return;
    }
    bench.someone_writes(merge(&some, &none)).await;
    let facts = bench.shown(&bench.arms).await;
    assert_eq!(facts.candidate_weight, Weight::ZERO);
    assert_eq!(facts.written_by, SOMEONE, "the engine tells people who it was");
}

async fn a_third_set_is_never_zero(bench: &Bench) {
    bench.adopted().await;
    for asked in [0, 100] {
        bench.write(asked).await;
        let spec = bench.spec().await;
        bench.someone_writes((bench.case.third)(&spec)).await;
        let told = refused(bench.provider.read(&bench.arms).await, "a third set is named");
        assert_eq!(told.kind, Kind::Failed);
        assert!(told.message.contains(THIRD) && told.message.contains(SOMEONE), "{told}");
        let told = bench.provider.follow(&bench.arms, &bench.fence).await;
        assert!(refused(told, "a third set is named").message.contains(THIRD));
        bench.fresh().await;
        bench.adopted().await;
    }
}

async fn settling_moves_nothing(bench: &Bench) {
    bench.adopted().await;
    bench.write(bench.case.weights[0]).await;
    let part = bench.case.weights[0] < 100;
    let settled = if part { bench.promoted() } else { bench.arms.clone() };
    let before = bench.version().await;
    let told = bench.provider.follow(&settled, &bench.fence).await;
    let told = refused(told, "the set does not have all traffic");
    assert_eq!(told.kind, Kind::Refused);
    assert_eq!(bench.version().await, before, "nothing was written");
    bench.write(100).await;
    let promoted = bench.promoted();
    for _ in 0..2 {
        bench.provider.follow(&promoted, &bench.fence).await.expect("settled");
        assert_eq!((bench.case.shows)(&bench.spec().await).unwrap_or(100), 100, "as it was");
        assert_eq!(bench.shown(&promoted).await.candidate_weight, Weight::ZERO);
    }
    let service = bench.services().get("shop").await.expect("the Service");
    let selector = &service.data["spec"]["selector"];
    assert_eq!(*selector, json!({ "backout.dev/release": promoted.stable }), "clients follow");
    bench.provider.detach(&promoted).await.expect("given back");
}

async fn the_object_is_given_back(bench: &Bench) {
    let before = bench.of_the_user().await;
    for weight in bench.case.weights {
        bench.adopted().await;
        assert_ne!(bench.of_the_user().await, before);
        bench.write(*weight).await;
        for _ in 0..2 {
            bench.provider.detach(&bench.arms).await.expect("given back");
            assert_eq!(bench.of_the_user().await, before, "from {weight}%");
        }
    }
    bench.adopted().await;
    bench.provider.detach(&bench.promoted()).await.expect("given back");
    assert_eq!(bench.of_the_user().await, before, "at once");
}
