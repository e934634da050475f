//! Candidates against a server that keeps one Lease as an API server does, and that can be made to
//! hang or to refuse; and against a real API server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper::Method;
use k8s_openapi::jiff::{Span, Timestamp};
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::{Leadership, Timing, held_by};
use crate::stand_in::{self, Asked, refusal};

const QUICK: Timing = Timing {
    lease: Duration::from_secs(2),
    hold: Duration::from_millis(1200),
    renew: Duration::from_millis(100),
    retry: Duration::from_millis(50),
    request: Duration::from_millis(400),
};

/// Longest time that a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_order_of_times_holds_for_every_lease() {
    for seconds in [0, 1, 3, 7, 15, 60, 300] {
        let Timing { lease, hold, renew, retry, request } =
            Timing::lasting(Duration::from_secs(seconds));
        assert!(lease.subsec_nanos() == 0 && lease >= super::SHORTEST_LEASE, "{seconds} s");
        assert!(hold < lease && renew * 3 < hold && retry <= renew, "{seconds} s");
        assert!(renew + request < hold, "{seconds} s: a renewal that hangs is tried once more");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Works,
    /// Carries requests out, and never answers.
    Hangs,
    Fails,
}

/// One Lease, with versions that conflict.
type Kept = Arc<Mutex<(u64, Option<Value>)>>;

/// A way to the Lease, with a mood of its own: what one candidate sees of the API server.
#[derive(Debug)]
struct Server {
    kept: Kept,
    mood: Mutex<Mood>,
}

impl Server {
    async fn start() -> (Arc<Self>, Client) {
        Self::start_with(Kept::default()).await
    }

    async fn start_with(kept: Kept) -> (Arc<Self>, Client) {
        let server = Arc::new(Self { kept, mood: Mutex::new(Mood::Works) });
        let shared = Arc::clone(&server);
        let client = stand_in::start(move |asked| Arc::clone(&shared).answer(asked)).await;
        (server, client)
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("no panic") = mood;
    }

    fn spec(&self) -> Value {
        self.kept.lock().expect("no panic").1.clone().unwrap_or_default()["spec"].clone()
    }

    /// What someone else writes into the Lease.
    fn write(&self, spec: &Value) {
        let mut kept = self.kept.lock().expect("no panic");
        kept.0 += 1;
        let version = kept.0.to_string();
        kept.1 = Some(json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": spec,
            "metadata": { "name": "backout-controller", "resourceVersion": version },
        }));
    }

    async fn answer(self: Arc<Self>, asked: Asked) -> (u16, Value) {
        let mood = *self.mood.lock().expect("no panic");
        let answer = match mood {
            Mood::Fails => (500, refusal(500)),
            Mood::Works | Mood::Hangs => self.perform(&asked.method, &asked.body),
        };
        if mood == Mood::Hangs {
            std::future::pending::<()>().await;
        }
        answer
    }

    fn perform(&self, method: &Method, sent: &Value) -> (u16, Value) {
        let now = self.kept.lock().expect("no panic").1.clone();
        match (method, now) {
            (&Method::GET, Some(now)) => return (200, now),
            (&Method::POST, None) => self.write(&sent["spec"]),
            (&Method::PUT, Some(now))
                if now["metadata"]["resourceVersion"] == sent["metadata"]["resourceVersion"] =>
            {
                self.write(&sent["spec"]);
            }
            (&Method::POST | &Method::PUT, Some(_)) => return (409, refusal(409)),
            _ => return (404, refusal(404)),
        }
        (200, self.kept.lock().expect("no panic").1.clone().expect("it was written"))
    }
}

fn candidate(client: &Client, name: &str) -> Leadership {
    Leadership::start_with(client.clone(), "backout", super::LEASE, name, QUICK)
}

async fn shows(watch: &mut watch::Receiver<bool>, wanted: bool) {
    timeout(PATIENCE, watch.wait_for(|leads| *leads == wanted))
        .await
        .expect("it shows in time")
        .expect("the candidate lives");
}

#[tokio::test]
async fn one_leads_and_hands_over_at_once() {
    let (server, client) = Server::start().await;
    let first = candidate(&client, "first");
    let mut watch = first.watch();
    shows(&mut watch, true).await;
    assert_eq!(server.spec()["holderIdentity"], first.identity());
    let second = candidate(&client, "second");
    // Far longer than the Lease lasts: the first renews it.
    let mut other = second.watch();
    assert!(timeout(QUICK.lease * 2, other.wait_for(|leads| *leads)).await.is_err());
    assert!(*watch.borrow());

    let released = Instant::now();
    first.release().await;
    assert!(!*watch.borrow());
    shows(&mut other, true).await;
    assert!(released.elapsed() < QUICK.lease, "it did not wait for the Lease to expire");
    assert_eq!(server.spec()["holderIdentity"], second.identity());
    assert_eq!(server.spec()["leaseTransitions"], 2);
}

#[tokio::test]
async fn whoever_cannot_renew_stops_before_another_starts() {
    let (server, client) = Server::start().await;
    let first = candidate(&client, "first");
    let mut watch = first.watch();
    shows(&mut watch, true).await;
    for mood in [Mood::Hangs, Mood::Fails] {
        server.set(mood);
        let broken = Instant::now();
        shows(&mut watch, false).await;
        // The time since the last renewal is at most one period longer than the time since now.
        assert!(broken.elapsed() < QUICK.lease, "{mood:?}: {:?}", broken.elapsed());
        server.set(Mood::Works);
        shows(&mut watch, true).await;
    }
}

#[tokio::test]
async fn whoever_is_cut_off_knows_it_before_another_leads() {
    let (way, client) = Server::start().await;
    let (other_way, other_client) = Server::start_with(Arc::clone(&way.kept)).await;
    let (first, second) = (candidate(&client, "first"), candidate(&other_client, "second"));
    let (mut one, mut two) = (first.watch(), second.watch());
    for mood in [Mood::Hangs, Mood::Fails] {
        tokio::select! {
            () = shows(&mut one, true) => {}
            () = shows(&mut two, true) => {}
        }
        let (cut_off, leader, follower) = if *one.borrow() {
            (&way, &mut one, &mut two)
        } else {
            (&other_way, &mut two, &mut one)
        };
        cut_off.set(mood);
        shows(follower, true).await;
        assert!(!*leader.borrow(), "two lead");
        cut_off.set(Mood::Works);
        let again = timeout(QUICK.lease, leader.wait_for(|leads| *leads)).await;
        assert!(again.is_err(), "it takes nothing back");
    }
}

#[tokio::test]
async fn a_lease_that_another_has_is_lost_at_once() {
    let (server, client) = Server::start().await;
    let first = candidate(&client, "first");
    let mut watch = first.watch();
    shows(&mut watch, true).await;
    let other = json!({ "holderIdentity": "other", "leaseDurationSeconds": 2 });
    server.write(&other);
    let taken = Instant::now();
    shows(&mut watch, false).await;
    assert!(taken.elapsed() < QUICK.hold, "the next renewal shows it");
    assert_eq!(server.spec()["holderIdentity"], "other", "and takes nothing away");
    // Its times are wrong by hours, and play no part: it is not renewed, so it is over.
    shows(&mut watch, true).await;
    assert!(taken.elapsed() >= QUICK.lease);
}

#[tokio::test]
async fn a_clock_that_is_behind_takes_nothing_away() {
    let (server, client) = Server::start().await;
    let past = |minutes: i64| {
        let past = Timestamp::now() - Span::new().minutes(minutes);
        json!({ "holderIdentity": "other", "leaseDurationSeconds": 2, "renewTime": past.to_string() })
    };
    server.write(&past(60));
    let first = candidate(&client, "first");
    let watch = first.watch();
    // It is renewed for three Leases, with a clock that is an hour behind.
    let mut renewals = tokio::time::interval(QUICK.renew);
    for minute in 0..59 {
        renewals.tick().await;
        server.write(&past(59 - minute));
        assert!(!*watch.borrow());
    }
    assert_eq!(server.spec()["holderIdentity"], "other");
}

#[tokio::test]
async fn a_watcher_never_believes_a_task_that_is_gone() {
    let (server, client) = Server::start().await;
    let first = candidate(&client, "first");
    let mut watch = first.watch();
    shows(&mut watch, true).await;
    drop(first);
    timeout(PATIENCE, async { while watch.changed().await.is_ok() {} }).await.expect("it ends");
    assert!(!*watch.borrow());
    assert_ne!(server.spec()["holderIdentity"], Value::Null, "dropped is not released");
}

#[tokio::test]
async fn who_holds_a_lease_is_told() {
    let (server, client) = Server::start().await;
    let told = || held_by(client.clone(), "backout", super::LEASE);
    assert_eq!(told().await, Ok(None), "no Lease");
    let first = candidate(&client, "first");
    shows(&mut first.watch(), true).await;
    let identity = first.identity().to_owned();
    assert!(identity.starts_with("first_"));
    assert_eq!(told().await, Ok(Some(identity)));
    first.release().await;
    assert_eq!(told().await, Ok(None), "released");
    let past = "2020-01-01T00:00:00.000000Z";
    server
        .write(&json!({ "holderIdentity": "gone", "leaseDurationSeconds": 15, "renewTime": past }));
    assert_eq!(told().await, Ok(None), "expired");
    server.set(Mood::Fails);
    let failure = told().await.expect_err("the server fails");
    assert!(failure.message.starts_with("Lease backout/backout-controller: "), "{failure}");
}

#[tokio::test]
async fn a_real_server_agrees() {
    let Some(client) = crate::cluster::client().await else { return };
    let namespace = format!("lead-{}", std::process::id());
    crate::cluster::namespace(&client, &namespace).await;
    let start = |name| {
        let lasts = super::LEASE_LASTS;
        Leadership::start(client.clone(), &namespace, super::LEASE, name, lasts)
    };
    let first = start("first");
    shows(&mut first.watch(), true).await;
    let second = start("second");
    let held = held_by(client.clone(), &namespace, super::LEASE).await;
    assert_eq!(held, Ok(Some(first.identity().to_owned())));
    let released = Instant::now();
    first.release().await;
    shows(&mut second.watch(), true).await;
    assert!(released.elapsed() < Duration::from_secs(4), "{:?}", released.elapsed());
    second.release().await;
    assert_eq!(held_by(client, &namespace, super::LEASE).await, Ok(None));
}
