//! Sends events to the cluster, as a task of its own that nobody waits for.
//!
//! An event that repeats becomes a series, and a run that says new things without end is cut to a
//! steady trickle: events are kept by the same store as everything else in the cluster.
//! (`kube`'s own recorder tells repetitions by their reason alone, and would keep only the first
//! of several weights.)

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use backout_world::kubernetes::answer;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Queue, Told};

/// Who says so, in every event.
const CONTROLLER: &str = "backout.dev/controller";

/// Most events that wait to be sent.
const MOST_WAITING: usize = 256;

/// Longest time that one request takes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// An event that comes again within this time is a repetition.
const SERIES: Duration = Duration::from_secs(360);

/// Least time between two requests for the same series.
const BETWEEN_COUNTS: Duration = Duration::from_secs(10);

/// How many different events an object may have at once: more than a whole release tells.
const BURST: u32 = 40;

/// Time after which an object that used them up may have one more.
const ONE_MORE: Duration = Duration::from_secs(20);

/// Most objects and series that are remembered.
const MOST_KNOWN: usize = 1024;

/// One event on its way.
#[derive(Clone, Debug)]
struct Post {
    object: ObjectReference,
    told: Told,
    at: Timestamp,
}

/// Where events are put in. Clones share the same queue; when the last one is dropped, the sender
/// sends what waits, and ends.
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Slot>);

#[derive(Debug)]
struct Slot(Arc<Queue<Option<Post>>>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.push(None);
    }
}

impl Outbox {
    /// Says something about an object. Returns at once; when too much waits, the oldest is
    /// dropped.
    pub fn tell(&self, object: ObjectReference, told: Told) {
        self.0.0.push(Some(Post { object, told, at: Timestamp::now() }));
    }

    /// How many events were dropped because too much waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.0.dropped()
    }
}

/// Sends events, one after the other. A failure is logged once, and the event forgotten.
pub struct Sender {
    client: Client,
    instance: String,
    known: Known,
    failing: bool,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Sender {
    /// Starts the task. `instance` is the process, for example the pod's name. Needs the
    /// permissions create and patch on events of `events.k8s.io`.
    #[must_use]
    pub fn start(client: Client, instance: &str) -> (Outbox, JoinHandle<()>) {
        let queue = Arc::new(Queue::new(MOST_WAITING));
        let outbox = Outbox(Arc::new(Slot(Arc::clone(&queue))));
        let instance = cut(instance, 128);
        let sender = Self { client, instance, known: Known::default(), failing: false };
        (outbox, tokio::spawn(sender.run(queue)))
    }

    async fn run(mut self, queue: Arc<Queue<Option<Post>>>) {
        while let Some(post) = queue.next().await {
            let answer = match self.known.take(&post, Instant::now()) {
                Say::Nothing => continue,
                Say::Create(name) => self.create(&post, &name).await,
                Say::Count(name, count) => self.count(&post, &name, count).await,
            };
            if answer.is_err() {
                // What is not known to be there is made anew.
                self.known.forget(&post);
            }
            self.note(&answer);
        }
    }

    async fn create(&self, post: &Post, name: &str) -> Result<(), String> {
        let namespace = namespace(&post.object);
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            event_time: Some(MicroTime(post.at)),
            regarding: Some(post.object.clone()),
            reason: Some(post.told.reason.to_owned()),
            action: Some(post.told.reason.to_owned()),
            note: Some(post.told.note.clone()),
            type_: Some(if post.told.warning { "Warning" } else { "Normal" }.to_owned()),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        };
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        sent(namespace, events.create(&PostParams::default(), &event)).await
    }

    async fn count(&self, post: &Post, name: &str, count: i32) -> Result<(), String> {
        let namespace = namespace(&post.object);
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let series =
            json!({ "series": { "count": count, "lastObservedTime": MicroTime(post.at) } });
        let parameters = PatchParams::default();
        sent(namespace, events.patch(name, &parameters, &Patch::Merge(&series))).await
    }

    fn note(&mut self, answer: &Result<(), String>) {
        if let Err(error) = answer
            && !self.failing
        {
            tracing::warn!(error, "events cannot be sent; releases go on without them");
        }
        self.failing = answer.is_err();
    }
}

async fn sent(
    namespace: &str,
    request: impl Future<Output = Result<Event, kube::Error>>,
) -> Result<(), String> {
    match timeout(REQUEST_TIMEOUT, request).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(answer::failure(&format!("Event in {namespace}"), &error).in_full()),
        Err(_) => Err(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())),
    }
}

/// Events about objects without a namespace are in `default`, where kubectl looks for them.
fn namespace(object: &ObjectReference) -> &str {
    object.namespace.as_deref().unwrap_or("default")
}

/// What is to be done about an event.
#[derive(Debug, PartialEq)]
enum Say {
    /// It is one too many.
    Nothing,
    /// It is new, under this name.
    Create(String),
    /// It was seen so many times by now.
    Count(String, i32),
}

/// What makes two events the same.
type Key = (String, &'static str, String);

/// What was sent lately, and how much each object may still say.
#[derive(Debug, Default)]
struct Known {
    series: BTreeMap<Key, Series>,
    allowances: BTreeMap<String, Allowance>,
    names: u64,
}

#[derive(Debug)]
struct Series {
    name: String,
    count: i32,
    seen: Instant,
    sent: Instant,
}

/// A bucket that fills up again.
#[derive(Debug)]
struct Allowance {
    left: u32,
    filled: Instant,
}

impl Known {
    fn take(&mut self, post: &Post, now: Instant) -> Say {
        self.series.retain(|_, series| now.duration_since(series.seen) < SERIES);
        let key = key(post);
        if let Some(series) = self.series.get_mut(&key) {
            series.count = series.count.saturating_add(1);
            series.seen = now;
            if now.duration_since(series.sent) < BETWEEN_COUNTS {
                return Say::Nothing;
            }
            series.sent = now;
            return Say::Count(series.name.clone(), series.count);
        }
        if self.series.len() >= MOST_KNOWN || !self.allowed(&key.0, now) {
            return Say::Nothing;
        }
        self.names = self.names.wrapping_add(1);
        let name = name(post, self.names);
        let series = Series { name: name.clone(), count: 1, seen: now, sent: now };
        self.series.insert(key, series);
        Say::Create(name)
    }

    fn allowed(&mut self, object: &str, now: Instant) -> bool {
        let full = ONE_MORE * BURST;
        self.allowances.retain(|_, allowance| now.duration_since(allowance.filled) < full);
        if !self.allowances.contains_key(object) && self.allowances.len() >= MOST_KNOWN {
            return false;
        }
        let allowance = self
            .allowances
            .entry(object.to_owned())
            .or_insert_with(|| Allowance { left: BURST, filled: now });
        while allowance.left < BURST && now.duration_since(allowance.filled) >= ONE_MORE {
            allowance.left += 1;
            allowance.filled += ONE_MORE;
        }
        if allowance.left == BURST {
            allowance.filled = now;
        }
        let allowed = allowance.left > 0;
        allowance.left = allowance.left.saturating_sub(1);
        allowed
    }

    fn forget(&mut self, post: &Post) {
        self.series.remove(&key(post));
    }
}

fn key(post: &Post) -> Key {
    let object = &post.object;
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    let object = [&object.kind, &object.namespace, &object.name, &object.uid].map(part).join("/");
    (object, post.told.reason, post.told.note.clone())
}

/// A name that no other event has: the object's name, the time and a number.
fn name(post: &Post, number: u64) -> String {
    let object = post.object.name.as_deref().unwrap_or("backout");
    let object = cut(object, 200);
    let object = object.trim_end_matches(['.', '-']);
    format!("{object}.{:x}{:02x}", post.at.as_microsecond(), number % 256)
}

/// At most so many bytes, cut between two characters.
fn cut(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use kube::api::ListParams;

    use super::*;
    use crate::stand_in::{self, Asked, refusal};

    fn release(namespace: &str) -> ObjectReference {
        ObjectReference {
            api_version: Some("backout.dev/v1alpha1".to_owned()),
            kind: Some("Release".to_owned()),
            name: Some("checkout-2".to_owned()),
            namespace: Some(namespace.to_owned()),
            uid: Some("4b1d".to_owned()),
            ..ObjectReference::default()
        }
    }

    fn shifted(note: impl Into<String>) -> Told {
        Told { reason: "TrafficShifted", warning: false, note: note.into() }
    }

    fn post(note: impl Into<String>) -> Post {
        Post { object: release("shop"), told: shifted(note), at: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn a_repetition_is_counted_and_something_new_is_said() {
        let (mut known, start) = (Known::default(), Instant::now());
        let Say::Create(first) = known.take(&post("5 %"), start) else { panic!("it is new") };
        let Say::Create(second) = known.take(&post("50 %"), start) else { panic!("it is new") };
        assert_ne!(first, second);
        assert_eq!(known.take(&post("5 %"), start + BETWEEN_COUNTS / 2), Say::Nothing);
        let later = start + BETWEEN_COUNTS;
        assert_eq!(known.take(&post("5 %"), later), Say::Count(first, 3));
        assert!(matches!(known.take(&post("5 %"), later + SERIES), Say::Create(_)));
    }

    #[test]
    fn a_run_without_end_is_cut_to_a_trickle() {
        let (mut known, start) = (Known::default(), Instant::now());
        let mut said = 0;
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            said += u32::from(known.take(&post(second.to_string()), now) != Say::Nothing);
        }
        let hour = Duration::from_secs(3600).div_duration_f64(ONE_MORE);
        assert!((f64::from(said) - f64::from(BURST) - hour).abs() <= 1.0, "{said}");
        let mut other = post("5 %");
        other.object.uid = Some("another".to_owned());
        let now = start + Duration::from_secs(3600);
        assert_ne!(known.take(&other, now), Say::Nothing, "another object is not held back");
    }

    #[tokio::test]
    async fn a_server_that_refuses_stops_nothing() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let client = stand_in::start(move |it: Asked| {
            let seen = Arc::clone(&seen);
            async move {
                seen.lock().expect("no panic").push(it.body["note"].clone());
                (403, refusal(403))
            }
        })
        .await;
        let (outbox, task) = Sender::start(client, "pod");
        outbox.clone().tell(release("shop"), shifted("5 %"));
        outbox.tell(release("shop"), shifted("5 %"));
        drop(outbox);
        let ended = timeout(Duration::from_secs(20), task).await.expect("it ends by itself");
        ended.expect("it does not panic");
        // The first was not taken, so that the second is no repetition of it.
        assert_eq!(*asked.lock().expect("no panic"), ["5 %", "5 %"]);
    }

    #[tokio::test]
    async fn a_real_server_takes_events() {
        let Some(client) = crate::cluster::client().await else { return };
        let namespace = format!("events-{}", std::process::id());
        crate::cluster::namespace(&client, &namespace).await;
        let (outbox, task) = Sender::start(client.clone(), "pod");
        outbox.tell(release(&namespace), shifted("5 %"));
        drop(outbox);
        timeout(Duration::from_secs(20), task).await.expect("it ends").expect("without a panic");
        let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
        let made = events.list(&ListParams::default()).await.expect("a list").items;
        assert_eq!(made.len(), 1, "{made:?}");
        assert_eq!(made[0].note.as_deref(), Some("5 %"));

        let mut post = post("5 %");
        (post.object, post.at) = (release(&namespace), Timestamp::now());
        let name = made[0].metadata.name.clone().expect("a name");
        let instance = "pod".to_owned();
        let sender = Sender { client, instance, known: Known::default(), failing: false };
        sender.count(&post, &name, 2).await.expect("a series is taken");
        let counted = events.get(&name).await.expect("it is there").series.expect("a series");
        assert_eq!(counted.count, 2);
    }
}
