//! The driver with a world and a store in memory, in the test's own time.

use std::sync::Arc;
use std::time::Duration;

use backout_core::journal::{Entry, Event};
use backout_core::machine::{Command, Outcome, Phase, State};
use backout_core::plan::{Action, Pattern};
use backout_core::replay::{Taken, replay};
use backout_core::units::Weight;
use backout_judge::Windows;
use tokio::task::JoinHandle;

use super::testing::{Candidate, Memory, SmallWorld, Trouble, begin, brief};
use super::{Ended, Handle, Limits, Start, Store, World, drive};

struct Scene {
    world: Arc<SmallWorld>,
    store: Arc<Memory>,
}

impl Scene {
    fn new(behaves: Candidate) -> Self {
        Self { world: SmallWorld::new(&brief(), behaves), store: Arc::new(Memory::default()) }
    }

    fn drive(&self, start: Start) -> (Handle, JoinHandle<Ended>) {
        self.drive_within(Limits::default(), start)
    }

    fn drive_within(&self, limits: Limits, start: Start) -> (Handle, JoinHandle<Ended>) {
        let world: Arc<dyn World> = self.world.clone();
        let store: Arc<dyn Store> = self.store.clone();
        drive(start, world, store, Arc::new(Windows), limits).expect("it begins")
    }

    fn start(&self) -> (Handle, JoinHandle<Ended>) {
        let (header, plan, started) = begin(&brief(), &self.world);
        self.drive(Start::New { header: Box::new(header), plan, started })
    }

    async fn resume(&self) -> (Handle, JoinHandle<Ended>) {
        match self.store.load().await.expect("memory answers") {
            Some(kept) => self.drive(Start::Resumed(Box::new(kept))),
            None => self.start(),
        }
    }

    async fn replays(&self) -> State {
        let journal = self.store.journal().await.expect("memory answers");
        let state = replay(&journal.header, &journal.entries, Arc::new(Windows));
        state.unwrap_or_else(|error| panic!("{error}"))
    }
}

async fn at_rest(driven: JoinHandle<Ended>) -> State {
    match driven.await.expect("the driver does not panic") {
        Ended::AtRest(state) => *state,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_good_release_is_promoted_and_its_journal_replays() {
    let scene = Scene::new(Candidate::Good);
    let (_handle, driven) = scene.start();
    let state = at_rest(driven).await;
    assert_eq!(state.outcome, Some(Outcome::Promoted));
    assert_eq!(scene.world.weight(), Weight::FULL);
    assert_eq!(scene.replays().await, state);
}

#[tokio::test(start_paused = true)]
async fn a_bad_release_goes_back_and_its_journal_replays() {
    let scene = Scene::new(Candidate::Bad);
    let (_handle, driven) = scene.start();
    let state = at_rest(driven).await;
    assert_eq!(state.outcome, Some(Outcome::RolledBack(Pattern::Traffic)));
    assert_eq!(scene.world.weight(), Weight::ZERO);
    assert_eq!(scene.replays().await, state);
}

#[tokio::test(start_paused = true)]
async fn readiness_that_never_comes_is_cancelled_with_no_traffic_moved() {
    let scene = Scene::new(Candidate::NeverReady);
    let (_handle, driven) = scene.start();
    assert_eq!(at_rest(driven).await.outcome, Some(Outcome::Cancelled));
    let moved = |action: &Action| matches!(action, Action::SetWeight { .. });
    assert!(!scene.world.changes().iter().any(moved));
}

/// A driver that is killed after every number of stores, and resumed by another: the run ends as
/// it would have.
#[tokio::test(start_paused = true)]
async fn killed_anywhere_it_ends_the_same() {
    for behaves in [Candidate::Good, Candidate::Bad] {
        let whole = Scene::new(behaves);
        let expected = at_rest(whole.start().1).await.outcome;
        // A good run has many alike; every third of its stores is enough.
        let apart = if behaves == Candidate::Good { 3 } else { 1 };
        for kill_after in (1..whole.store.stores()).step_by(apart) {
            let scene = Scene::new(behaves);
            let (handle, driven) = scene.start();
            let mut state = handle.state();
            while scene.store.stores() < kill_after && state.changed().await.is_ok() {}
            driven.abort();
            let _ = driven.await;
            tokio::time::advance(Duration::from_secs(20)).await;
            let (_handle, driven) = scene.resume().await;
            let state = at_rest(driven).await;
            assert_eq!(state.outcome, expected, "{behaves:?}, killed after {kill_after}");
            assert_eq!(scene.replays().await, state);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_overtaken_stops() {
    let scene = Scene::new(Candidate::Good);
    let (handle, first) = scene.start();
    handle.state().changed().await.expect("it stores");
    let (_other, second) = scene.resume().await;
    assert!(matches!(first.await.expect("no panic"), Ended::Overtaken));
    assert_eq!(at_rest(second).await.outcome, Some(Outcome::Promoted));
    scene.replays().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_tried_again_and_a_lost_answer_is_found_out() {
    let scene = Scene::new(Candidate::Good);
    let (handle, driven) = scene.start();
    handle.state().changed().await.expect("it stores");
    scene.store.trouble(&[Trouble::Fails, Trouble::AnswerLost, Trouble::Fails]);
    assert_eq!(at_rest(driven).await.outcome, Some(Outcome::Promoted));
    scene.replays().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_ends_the_drive_before_anything_is_done() {
    let scene = Scene::new(Candidate::Good);
    scene.store.trouble(&[Trouble::Fails; 500]);
    let (_handle, driven) = scene.start();
    assert!(matches!(driven.await.expect("no panic"), Ended::Failed(_)));
    assert_eq!(scene.world.changes(), []);
}

#[tokio::test(start_paused = true)]
async fn a_command_is_taken_once_and_refused_with_the_reason() {
    let scene = Scene::new(Candidate::Good);
    let (handle, driven) = scene.start();
    let mut state = handle.state();
    state.wait_for(|state| state.weight > Weight::ZERO).await.expect("it gets there");
    let refused = handle.command("1", Command::Promote).await.expect_err("nobody was asked");
    assert!(refused.contains("nobody was asked"), "{refused}");
    handle.command("2", Command::Rollback).await.expect("it is permitted");
    handle.command("2", Command::Rollback).await.expect("it was taken already");
    assert_eq!(at_rest(driven).await.outcome, Some(Outcome::RolledBack(Pattern::Traffic)));
    assert!(
        handle.command("3", Command::Pause).await.expect_err("it is over").contains("not driven")
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_held_waits_for_a_person() {
    let scene = Scene::new(Candidate::Good);
    let (handle, driven) = scene.start();
    let mut state = handle.state();
    state.wait_for(|state| state.weight > Weight::ZERO).await.expect("it gets there");
    handle.stop();
    assert!(matches!(driven.await.expect("no panic"), Ended::Stopped));
    let mut kept = scene.store.load().await.expect("memory answers").expect("it was stored");
    kept.stored.state.phase = Phase::Held;
    kept.stored.state.timers.clear();
    kept.stored.state.watch = None;
    let (handle, driven) = scene.drive(Start::Resumed(Box::new(kept)));
    tokio::time::sleep(Duration::from_secs(24 * 3_600)).await;
    assert!(!driven.is_finished(), "nobody has answered yet");
    handle.command("1", Command::Rollback).await.expect("it is permitted");
    assert_eq!(at_rest(driven).await.outcome, Some(Outcome::RolledBack(Pattern::Traffic)));
}

#[tokio::test(start_paused = true)]
async fn what_the_world_forgets_is_put_back_with_pauses_and_given_up_in_time() {
    let scene = Scene::new(Candidate::BadAndForgotten);
    let (_handle, driven) = scene.start();
    let state = at_rest(driven).await;
    assert_eq!(state.outcome, Some(Outcome::RolledBack(Pattern::Traffic)));
    let put = |action: &&Action| matches!(action, Action::Quarantine { .. });
    let times = scene.world.changes().iter().filter(put).count();
    // Ten minutes of patience, a look every two seconds, and at most two writes per look.
    assert!((2..=301).contains(&times), "{times}");
}

#[tokio::test(start_paused = true)]
async fn changes_within_a_second_are_looked_at_once() {
    let scene = Scene::new(Candidate::Good);
    let (handle, driven) = scene.start();
    handle.state().wait_for(|state| state.weight > Weight::ZERO).await.expect("it gets there");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = scene.world.looks();
    for _ in 0..3 {
        scene.world.touch();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(scene.world.looks(), before + 1);
    driven.abort();
}

/// Looks that began before the run asked say nothing of what it asked about, and must not make it
/// ask again: where every look takes seconds, it would ask for ever.
#[tokio::test(start_paused = true)]
async fn slow_looks_at_a_world_in_motion_do_not_add_up() {
    let scene = Scene::new(Candidate::Good);
    scene.world.slow_down(Duration::from_secs(4));
    let (_handle, driven) = scene.start();
    // Less than a thousand are needed.
    let motion = async {
        while scene.world.looks() < 3_000 {
            scene.world.stir();
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    tokio::select! {
        state = at_rest(driven) => assert_eq!(state.outcome, Some(Outcome::Promoted)),
        () = motion => panic!("it looks without an end"),
    }
    scene.replays().await;
}

#[tokio::test(start_paused = true)]
async fn a_way_back_waits_for_nobody() {
    let scene = Scene::new(Candidate::Bad);
    let limits = Limits::default();
    // Others look all the time.
    let turns = limits.turns.clone();
    let others = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(turns.take().await);
        }
    });
    let (header, plan, started) = begin(&brief(), &scene.world);
    let start = Start::New { header: Box::new(header), plan, started };
    let (_handle, driven) = scene.drive_within(limits, start);
    assert_eq!(at_rest(driven).await.outcome, Some(Outcome::RolledBack(Pattern::Traffic)));
    others.abort();
    let journal = scene.store.journal().await.expect("memory answers");
    let at = |wanted: fn(&Event) -> bool| {
        let found = journal.entries.iter().rfind(|entry| wanted(&entry.event));
        found.expect("it happened").at
    };
    let triggered = at(|event| matches!(event, Event::Triggered { .. }));
    let planned = at(|event| matches!(event, Event::PlanStarted { .. }));
    assert_eq!(triggered, planned, "nothing takes time in this world but waiting for a turn");
}

/// The world tells of everything that the run itself does, which the run looks at anyway: nearly
/// every look has something new to show, or was asked for.
#[tokio::test(start_paused = true)]
async fn what_the_run_did_itself_is_not_looked_at_twice() {
    let scene = Scene::new(Candidate::Good);
    let (_handle, driven) = scene.start();
    at_rest(driven).await;
    let journal = scene.store.journal().await.expect("memory answers");
    let seen = |entry: &&Entry| match &entry.event {
        Event::Took { input } => {
            matches!(**input, Taken::Observed { .. } | Taken::ObservedAgain { .. })
        }
        _ => false,
    };
    let seen = u64::try_from(journal.entries.iter().filter(seen).count()).expect("few");
    let in_vain = scene.world.looks() - seen;
    let changes = u64::try_from(scene.world.changes().len()).expect("few");
    assert!(in_vain * 2 < changes, "{in_vain} looks in vain, {changes} changes");
}
