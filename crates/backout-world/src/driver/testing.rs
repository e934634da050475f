//! A small world and a store in memory, for tests of the driver alone. What a real cluster does is
//! tested on a real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backout_core::document::{Limits as ReadLimits, read};
use backout_core::journal::{self, Entry, Header, Live};
use backout_core::judgement::{Bucket, Limit, Measurement};
use backout_core::machine::{Effect, EffectResult, Request, SignalMeasured};
use backout_core::plan::{Action, Brief, Plan, ScalePurpose, forward};
use backout_core::policy::{External, ReleasePolicy};
use backout_core::release::Release;
use backout_core::snapshot::{Arm, Fact, PerArm, RouteFacts, SetFacts, Snapshot, TargetFacts};
use backout_core::units::{Digest, Name, Share, Span, Time, Weight};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::sync::Notify;

use super::store::{Journal, Kept, Store, StoreFailure, Stored, Version};
use super::{UnixWindow, World};
use crate::failure::{Failure, Kind};

const POLICY: &[u8] = include_bytes!("../../../../examples/checkout/backout.yaml");
const STABLE: &[u8] = include_bytes!("../../../../examples/checkout/releases/1.41.0.yaml");
const CANDIDATE: &[u8] = include_bytes!("../../../../examples/checkout/releases/1.42.0.yaml");

/// The example project, as a cluster alone can run it.
pub(super) fn brief() -> Brief {
    let limits = ReadLimits::default();
    let mut policy: ReleasePolicy = read("backout.yaml", POLICY, &limits).expect("good").value;
    policy.spec.external = External::ALL.to_vec();
    policy.spec.gates.clear();
    policy.spec.rollback.keep_previous = Span::from_mins(10);
    let release = |name, bytes| read::<Release>(name, bytes, &limits).expect("good").value;
    let stable: Release = release("1.41.0.yaml", STABLE);
    let mut candidate: Release = release("1.42.0.yaml", CANDIDATE);
    // Nothing in it keeps the previous release from running, so that going back is automatic.
    candidate.spec.migrations.clone_from(&stable.spec.migrations);
    candidate.spec.infrastructure.clone_from(&stable.spec.infrastructure);
    Brief {
        policy: Arc::new(policy),
        environment: Name::from_static("production"),
        stable: Arc::new(stable),
        candidate: Arc::new(candidate),
    }
}

/// How the candidate behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    Good,
    Bad,
    NeverReady,
    /// It is bad, and the world does not keep what is in quarantine.
    BadAndForgotten,
}

#[derive(Debug)]
struct Inside {
    weight: Weight,
    version: u64,
    candidate: Option<SetFacts>,
    stable: SetFacts,
    known_good: Name,
    quarantine: BTreeSet<Digest>,
    /// Every change of the world, in order.
    changes: Vec<Action>,
}

#[derive(Debug)]
pub(super) struct SmallWorld {
    brief: Brief,
    behaves: Candidate,
    inside: Mutex<Inside>,
    changed: Notify,
    looks: AtomicU64,
    looks_take_ms: AtomicU64,
}

impl SmallWorld {
    pub(super) fn new(brief: &Brief, behaves: Candidate) -> Arc<Self> {
        let images = brief.stable.spec.images.iter();
        let running: BTreeMap<_, _> =
            images.map(|image| (image.name.clone(), image.digest.clone())).collect();
        let stable = SetFacts {
            uid: 1,
            resource_version: 1,
            desired: 4,
            ready: 4,
            running: Arc::new(running),
            evidence: false,
            refused: None,
            waiting: None,
        };
        let inside = Inside {
            weight: Weight::ZERO,
            version: 1,
            candidate: None,
            stable,
            known_good: brief.stable.metadata.name.clone(),
            quarantine: BTreeSet::new(),
            changes: Vec::new(),
        };
        Arc::new(Self {
            brief: brief.clone(),
            behaves,
            inside: Mutex::new(inside),
            changed: Notify::new(),
            looks: AtomicU64::new(0),
            looks_take_ms: AtomicU64::new(0),
        })
    }

    /// Tells that something changed.
    pub(super) fn touch(&self) {
        self.changed.notify_one();
    }

    /// Changes something that a look shows and no plan rests on.
    pub(super) fn stir(&self) {
        self.inside.lock().expect("no test panics inside").stable.resource_version += 1;
        self.touch();
    }

    /// From now on a look takes this long, and shows what was there when it began.
    pub(super) fn slow_down(&self, look: Duration) {
        let ms = u64::try_from(look.as_millis()).expect("a short time");
        self.looks_take_ms.store(ms, Ordering::SeqCst);
    }

    /// How often it was looked at.
    pub(super) fn looks(&self) -> u64 {
        self.looks.load(Ordering::SeqCst)
    }

    pub(super) fn changes(&self) -> Vec<Action> {
        self.inside.lock().expect("no test panics inside").changes.clone()
    }

    pub(super) fn weight(&self) -> Weight {
        self.inside.lock().expect("no test panics inside").weight
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let inside = self.inside.lock().expect("no test panics inside");
        let now = Time::ZERO;
        let outside = || "a pipeline does it".to_owned();
        Snapshot {
            as_of: now,
            route: Fact::known(
                now,
                RouteFacts {
                    candidate_weight: inside.weight,
                    resource_version: inside.version,
                    written_by: "backout".to_owned(),
                },
            ),
            sets: PerArm {
                stable: Fact::known(now, Some(inside.stable.clone())),
                candidate: Fact::known(now, inside.candidate.clone()),
            },
            config: Fact::Unknown { reason: outside() },
            database: Fact::Unknown { reason: outside() },
            flags: Fact::Unknown { reason: outside() },
            modules: Fact::Unknown { reason: outside() },
            quarantine: Fact::known(now, Arc::new(inside.quarantine.clone())),
            known_good: Fact::known(now, inside.known_good.clone()),
            targets: vec![TargetFacts {
                release: self.brief.stable.reference(),
                in_registry: Fact::known(now, true),
                admitted: Fact::known(now, true),
                config_restorable: Fact::known(now, true),
                has_capacity: Fact::known(now, true),
                reintroduces: Fact::known(now, Vec::new()),
                is_stable_arm: true,
            }],
        }
    }

    fn apply(&self, action: &Action, effect: &Effect) -> EffectResult {
        let mut inside = self.inside.lock().expect("no test panics inside");
        match action {
            Action::SetWeight { candidate } => {
                let expected = effect.precondition.map(|expected| expected.resource_version);
                if expected != Some(inside.version) {
                    return EffectResult::Failed("the route changed since it was read".to_owned());
                }
                inside.weight = *candidate;
                inside.version += 1;
            }
            Action::CreateSet { replicas, digests } => {
                let ready = if self.behaves == Candidate::NeverReady { 0 } else { *replicas };
                inside.candidate.get_or_insert(SetFacts {
                    uid: 2,
                    resource_version: 1,
                    desired: *replicas,
                    ready,
                    running: Arc::clone(digests),
                    evidence: false,
                    refused: None,
                    waiting: None,
                });
            }
            Action::Scale { arm, replicas, purpose } => {
                let set = match arm {
                    Arm::Stable => Some(&mut inside.stable),
                    Arm::Candidate => inside.candidate.as_mut(),
                };
                let Some(set) = set else { return EffectResult::Failed("no set".to_owned()) };
                set.desired = match purpose {
                    ScalePurpose::Capacity => set.desired.max(*replicas),
                    ScalePurpose::Evidence | ScalePurpose::CleanUp => set.desired.min(*replicas),
                };
                set.evidence = *purpose == ScalePurpose::Evidence;
                set.ready = set.desired;
                set.resource_version += 1;
            }
            Action::MarkKnownGood { release } => inside.known_good = release.clone(),
            Action::Quarantine { digests } if self.behaves != Candidate::BadAndForgotten => {
                inside.quarantine.extend(digests.iter().cloned());
            }
            Action::Notify { .. } | Action::Quarantine { .. } => {}
            other => return EffectResult::Refused(format!("not in this world: {other}")),
        }
        if !matches!(action, Action::Notify { .. }) {
            inside.changes.push(action.clone());
            self.touch();
        }
        EffectResult::Applied
    }

    fn measure(&self) -> EffectResult {
        let inside = self.inside.lock().expect("no test panics inside");
        let bad = matches!(self.behaves, Candidate::Bad | Candidate::BadAndForgotten)
            && inside.weight > Weight::ZERO;
        let signals = self.brief.signals().expect("a good policy");
        let measured = signals.into_iter().map(|(_, kind)| SignalMeasured {
            candidate: measurement(kind.limit(), bad),
            stable: measurement(kind.limit(), false),
            note: None,
        });
        EffectResult::Measured(measured.collect())
    }
}

fn measurement(limit: Limit, bad: bool) -> Measurement {
    match limit {
        Limit::Ratio { .. } => {
            Measurement::Ratio { bad: Some(if bad { 200 } else { 0 }), total: Some(1_000) }
        }
        Limit::Quantile { max, .. } => Measurement::Histogram {
            buckets: Some(vec![
                Bucket { le: Some(max), count: 1_000 },
                Bucket { le: None, count: 1_000 },
            ]),
        },
        Limit::Gauge { .. } => Measurement::Gauge { levels: Some(vec![Share::from_ppm(100_000)]) },
    }
}

impl World for SmallWorld {
    fn observe(&self) -> BoxFuture<'_, Result<Snapshot, Failure>> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        let took = Duration::from_millis(self.looks_take_ms.load(Ordering::SeqCst));
        async move {
            let seen = self.snapshot();
            if !took.is_zero() {
                tokio::time::sleep(took).await;
            }
            Ok(seen)
        }
        .boxed()
    }

    fn perform<'a>(
        &'a self,
        effect: &'a Effect,
        window: Option<UnixWindow>,
    ) -> BoxFuture<'a, EffectResult> {
        async move {
            match &effect.request {
                Request::Probe { expected, probes } => {
                    let probes = u64::from(*probes);
                    let hits = probes * u64::from(expected.as_percent()) / 100;
                    EffectResult::Share { hits, probes }
                }
                Request::Query(_) if window.is_none() => EffectResult::Failed("when?".to_owned()),
                Request::Query(_) => self.measure(),
                Request::Apply(action) => self.apply(action, effect),
                Request::Observe | Request::RunGate(_) => EffectResult::Failed("no".to_owned()),
            }
        }
        .boxed()
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        self.changed.notified().boxed()
    }
}

/// What goes wrong with storing, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is not stored.
    Fails,
    /// It is stored, and nobody hears of it.
    AnswerLost,
}

#[derive(Debug, Default)]
struct Kept0 {
    stored: Option<Stored>,
    version: u64,
    entries: Vec<Entry>,
    trouble: Vec<Trouble>,
}

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<Kept0>);

impl Memory {
    pub(super) fn stores(&self) -> u64 {
        self.0.lock().expect("no test panics inside").version
    }

    pub(super) fn trouble(&self, trouble: &[Trouble]) {
        self.0.lock().expect("no test panics inside").trouble = trouble.to_vec();
    }
}

impl Store for Memory {
    fn load(&self) -> BoxFuture<'_, Result<Option<Kept>, Failure>> {
        let kept = self.0.lock().expect("no test panics inside");
        let version = Version(kept.version.to_string());
        let found = kept.stored.clone().map(|stored| Kept { stored, version });
        async { Ok(found) }.boxed()
    }

    fn store<'a>(
        &'a self,
        stored: &'a Stored,
        entries: &'a [Entry],
        version: Option<&'a Version>,
    ) -> BoxFuture<'a, Result<Version, StoreFailure>> {
        async move {
            let mut kept = self.0.lock().expect("no test panics inside");
            let failed = || StoreFailure::Failed(Failure::new(Kind::Ambiguous, "a test"));
            let trouble = kept.trouble.pop();
            if trouble == Some(Trouble::Fails) {
                return Err(failed());
            }
            let is = kept.stored.is_some().then(|| Version(kept.version.to_string()));
            if is.as_ref() != version {
                return Err(StoreFailure::Overtaken);
            }
            // Through text, as a real store does it.
            let text = serde_json::to_string(stored).expect("JSON");
            kept.stored = Some(serde_json::from_str(&text).expect("it reads back"));
            kept.entries.extend_from_slice(entries);
            kept.version += 1;
            if trouble == Some(Trouble::AnswerLost) {
                return Err(failed());
            }
            Ok(Version(kept.version.to_string()))
        }
        .boxed()
    }

    fn journal(&self) -> BoxFuture<'_, Result<Journal, Failure>> {
        let kept = self.0.lock().expect("no test panics inside");
        let header = kept.stored.as_ref().expect("it was stored").header.clone();
        let entries = kept.entries.clone();
        async { Ok(Journal { header, entries }) }.boxed()
    }
}

/// The beginning of a run in this world.
pub(super) fn begin(brief: &Brief, world: &SmallWorld) -> (Header, Arc<Plan>, Timestamp) {
    let started = Timestamp::now();
    let planned_on = world.snapshot();
    let plan = forward::plan(brief, &planned_on).expect("a plan");
    let live = Live { started_at: started.to_string(), brief: brief.clone(), planned_on };
    let header = Header {
        format: journal::FORMAT.to_owned(),
        policy: brief.policy.metadata.name.clone(),
        environment: brief.environment.clone(),
        stable: brief.stable.reference(),
        candidate: brief.candidate.reference(),
        strategy: "canary".to_owned(),
        rehearsal: None,
        live: Some(Box::new(live)),
    };
    (header, Arc::new(plan), started)
}
