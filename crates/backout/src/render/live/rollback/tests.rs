use backout_core::machine::Phase;

use super::*;
use crate::render::live::testing::{Recorded, plain, recorded};

/// What a rollback would do once the candidate has traffic.
fn intended(run: &Recorded, change: impl Fn(&mut Snapshot), undone_by: Vec<String>) -> Intended {
    let (state, _) =
        run.status_when(|state| state.watch.is_some() && state.phase == Phase::Forward);
    let mut snapshots = run.snapshots.iter();
    let newest = snapshots.rfind(|snapshot| snapshot.as_of <= state.last_step);
    let mut snapshot = newest.unwrap().clone();
    change(&mut snapshot);
    Intended::of(&run.brief, state, &snapshot, undone_by)
}

#[test]
fn a_rollback_is_shown_before_it_is_done() {
    let run = recorded("none");
    insta::assert_snapshot!(plain(&intended(&run, |_| {}, Vec::new()).render()));
}

#[test]
fn what_is_not_known_and_who_would_undo_it_come_first() {
    let run = recorded("none");
    let unknown = |snapshot: &mut Snapshot| {
        let reason = "HTTP 503 from the flag service".to_owned();
        snapshot.flags = Fact::Unknown { reason };
        let reason = "no registry is configured".to_owned();
        snapshot.targets[0].in_registry = Fact::Unknown { reason };
    };
    let argo = "Application argocd/checkout heals HTTPRoute checkout by itself".to_owned();
    insta::assert_snapshot!(plain(&intended(&run, unknown, vec![argo]).render()));
}

#[test]
fn a_release_that_cannot_go_back_says_why() {
    let run = recorded("migration-breaks-stable");
    insta::assert_snapshot!(plain(&intended(&run, |_| {}, Vec::new()).render()));
}

#[test]
fn what_is_shown_is_what_is_done() {
    let run = recorded("error-rate");
    let (state, _) = run.status_when(|state| state.phase == Phase::Back);
    let (before, _) = run.status_when(|state| state.phase == Phase::Deciding);
    let seen = run.snapshots.iter().find(|snapshot| snapshot.as_of >= before.last_step).unwrap();
    let shown = Intended::of(&run.brief, before, seen, Vec::new());
    assert_eq!(Some(&shown.decision), state.decision.as_deref());
    let names = |plan: &Plan| plan.steps.iter().map(|step| step.name.clone()).collect::<Vec<_>>();
    let (mut shown, mut done) = (names(&shown.plan.unwrap()), names(&state.track.plan));
    // A person's command blames no image, so that nothing is put into quarantine.
    shown.retain(|name| !name.contains("quarantine"));
    done.retain(|name| !name.contains("quarantine"));
    assert_eq!(shown, done);
}
