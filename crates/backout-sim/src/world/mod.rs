//! The virtual world: everything outside the engine, typed and in virtual time.
//!
//! The world performs effects and answers them; it never decides. What goes wrong in it is kept
//! apart in [`Afflictions`], so that "the faults stop" is one assignment.

mod afflictions;
mod events;
mod gates;
mod measure;
mod observe;
mod perform;
pub mod spec;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backout_core::machine::EffectId;
use backout_core::plan::Brief;
use backout_core::policy::External;
use backout_core::release::ReleaseRef;
use backout_core::snapshot::{Arm, PerArm};
use backout_core::units::{Digest, Name, Span, Time};

pub use afflictions::{Afflictions, Ailment, Flip, When};
pub use events::{Event, Happening};
pub use measure::{Queries, Selection};
pub use spec::{Health, WorldDocument, WorldSpec};
pub use traffic::Harm;

use crate::rng::Stream;
use measure::Wanted;
use traffic::Counters;

/// A release's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Unique id.
    pub uid: u64,
    /// Changes with every write.
    pub resource_version: u64,
    /// Replicas asked for.
    pub desired: u32,
    /// Replicas ready.
    pub ready: u32,
    /// Digests that the pods run.
    pub running: Arc<BTreeMap<Name, Digest>>,
    /// It is marked as kept evidence of a failure.
    pub evidence: bool,
}

/// The route object and the data plane behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// Share of the candidate that the object asks for, in parts per million.
    pub asked_ppm: u32,
    /// Share of the candidate that the data plane gives, in parts per million.
    pub given_ppm: u32,
    /// Changes with every write.
    pub resource_version: u64,
    /// Who wrote it last.
    pub written_by: &'static str,
}

/// Configuration of the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Commit that Git holds.
    pub git: String,
    /// Commit that runs.
    pub live: String,
    /// Who made the commit in Git.
    pub author: &'static str,
}

/// What the world knows about the two releases' images and configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// Digests behind the candidate's tags, by container.
    pub candidate_tags: Arc<BTreeMap<Name, Digest>>,
    /// Digests of the stable release, by container.
    pub stable_tags: Arc<BTreeMap<Name, Digest>>,
}

/// The virtual world.
#[derive(Clone, Debug)]
pub struct World {
    /// What it is like.
    pub spec: Arc<WorldSpec>,
    /// What it is asked to run.
    pub brief: Arc<Brief>,
    /// The two releases, by name: a hash over each record, made once.
    pub names: Arc<PerArm<ReleaseRef>>,
    /// Virtual time.
    pub now: Time,
    /// What goes wrong.
    pub afflictions: Afflictions,
    /// Pods.
    pub sets: PerArm<Option<Set>>,
    /// Route and data plane.
    pub gateway: Gateway,
    /// Git and what runs of it.
    pub config: Config,
    /// Images.
    pub registry: Registry,
    /// Migrations that are applied.
    pub applied: Arc<BTreeSet<String>>,
    /// Flags that are known.
    pub flags: Arc<BTreeMap<Name, bool>>,
    /// Infrastructure modules.
    pub modules: Arc<BTreeMap<Name, String>>,
    /// Digests that must not be deployed again.
    pub quarantine: Arc<BTreeSet<Digest>>,
    /// The release that is recorded as known good.
    pub known_good: Name,
    /// Values keys that the environment lacks for the candidate's chart.
    pub missing_keys: Arc<[String]>,
    /// Harm to users so far.
    pub harm: Harm,
    /// Messages that were sent, with the effect that sent them.
    pub messages: Vec<(EffectId, String)>,
    /// What was done to the world, newest last: the oracles read it.
    pub log: Vec<Happening>,
    performed: BTreeSet<EffectId>,
    fence: u32,
    health: Health,
    next_uid: u64,
    events: events::Queue,
    counters: PerArm<Counters>,
    scrapes: traffic::Scrapes,
    queries: Arc<Queries>,
    wanted: Arc<[Wanted]>,
    noise: Stream,
}

impl World {
    /// A healthy world in which the stable release serves.
    ///
    /// `missing_keys` are values keys that the environment really lacks for the candidate's chart.
    #[must_use]
    pub fn new(
        brief: Arc<Brief>,
        spec: Arc<WorldSpec>,
        missing_keys: Arc<[String]>,
        queries: Arc<Queries>,
        seed: u64,
    ) -> Self {
        let digests = |release: &backout_core::release::Release| {
            let images = release.spec.images.iter();
            Arc::new(images.map(|image| (image.name.clone(), image.digest.clone())).collect())
        };
        let stable_tags: Arc<BTreeMap<Name, Digest>> = digests(&brief.stable);
        let stable = &brief.stable.spec;
        let health = spec.health(&brief.policy);
        let mut world = Self {
            names: Arc::new(PerArm {
                stable: brief.stable.reference(),
                candidate: brief.candidate.reference(),
            }),
            now: Time::ZERO,
            afflictions: Afflictions::default(),
            sets: PerArm {
                stable: Some(Set {
                    uid: 1,
                    resource_version: 1,
                    desired: spec.replicas,
                    ready: spec.replicas,
                    running: Arc::clone(&stable_tags),
                    evidence: false,
                }),
                candidate: None,
            },
            gateway: Gateway {
                asked_ppm: 0,
                given_ppm: 0,
                resource_version: 1,
                written_by: "backout",
            },
            config: Config {
                git: stable.config.revision.clone(),
                live: stable.config.revision.clone(),
                author: "pipeline",
            },
            registry: Registry { candidate_tags: digests(&brief.candidate), stable_tags },
            applied: Arc::new(stable.migrations.iter().map(|one| one.id.clone()).collect()),
            flags: Arc::new(
                stable.flags.iter().map(|flag| (flag.key.clone(), flag.enabled)).collect(),
            ),
            modules: Arc::new(
                stable
                    .infrastructure
                    .iter()
                    .map(|module| (module.name.clone(), module.version.clone()))
                    .collect(),
            ),
            quarantine: Arc::default(),
            known_good: brief.stable.metadata.name.clone(),
            missing_keys,
            harm: Harm::default(),
            messages: Vec::new(),
            log: Vec::new(),
            performed: BTreeSet::new(),
            fence: 0,
            health,
            next_uid: 2,
            events: events::Queue::default(),
            counters: PerArm::default(),
            scrapes: traffic::Scrapes::default(),
            queries,
            wanted: Arc::from([]),
            noise: Stream::new(seed, "traffic"),
            spec,
            brief,
        };
        world.carry_out_externals();
        world.resolve_queries();
        world
    }

    /// What a pipeline carries out itself is done before the rollout begins.
    fn carry_out_externals(&mut self) {
        let brief = Arc::clone(&self.brief);
        let candidate = &brief.candidate.spec;
        for part in &brief.policy.spec.external {
            match part {
                External::Config => {
                    self.config.git.clone_from(&candidate.config.revision);
                    self.config.live.clone_from(&candidate.config.revision);
                }
                External::Migrations => Arc::make_mut(&mut self.applied)
                    .extend(candidate.migrations.iter().map(|one| one.id.clone())),
                External::Flags => Arc::make_mut(&mut self.flags)
                    .extend(candidate.flags.iter().map(|flag| (flag.key.clone(), flag.enabled))),
                External::Infrastructure => {
                    let modules = candidate.infrastructure.iter();
                    Arc::make_mut(&mut self.modules)
                        .extend(modules.map(|one| (one.name.clone(), one.version.clone())));
                }
            }
        }
    }

    /// Replicas of an arm that can answer.
    #[must_use]
    pub fn ready(&self, arm: Arm) -> u32 {
        self.sets.get(arm).as_ref().map_or(0, |set| set.ready)
    }

    /// Share of user traffic that an arm really gets, in parts per million.
    #[must_use]
    pub const fn share_ppm(&self, arm: Arm) -> u32 {
        match arm {
            Arm::Candidate => self.gateway.given_ppm,
            Arm::Stable => 1_000_000 - self.gateway.given_ppm,
        }
    }

    /// Whether users are served by something that fails them because of a fault.
    #[must_use]
    pub fn serves_badly(&self) -> bool {
        [Arm::Stable, Arm::Candidate]
            .into_iter()
            .any(|arm| self.share_ppm(arm) > 0 && self.is_failing(arm))
    }

    /// Moves virtual time forward; traffic flows until then.
    pub fn advance(&mut self, to: Time) {
        self.flow(to);
        self.now = self.now.max(to);
    }

    /// Takes the faults away, at once and for good.
    pub fn heal(&mut self) {
        let relabelled = self.afflictions.relabelled.take().is_some();
        self.afflictions = Afflictions::default();
        self.events.drop_faults();
        if relabelled {
            self.resolve_queries();
        }
        // What was stuck comes loose: the data plane catches up, pods get ready.
        let delay = self.spec.route_propagation;
        self.schedule(delay, Event::RouteReaches { ppm: self.gateway.asked_ppm });
        for arm in [Arm::Stable, Arm::Candidate] {
            if let Some(set) = self.sets.get(arm).clone()
                && set.ready < set.desired
            {
                self.start_pods(arm, set.desired);
            }
        }
    }

    /// Lets something happen after a while.
    pub fn schedule(&mut self, after: Span, event: Event) {
        self.events.push(self.now + after, event);
    }

    /// Takes the next thing that happens, and when.
    pub fn pop(&mut self) -> Option<(Time, Event)> {
        self.events.pop()
    }

    /// The next thing that will happen, and when.
    #[must_use]
    pub fn peek(&self) -> Option<(Time, &Event)> {
        self.events.peek()
    }

    /// Forgets every answer and timer on its way to a controller that is gone.
    pub fn controller_crashes(&mut self) {
        self.events.drop_deliveries();
    }

    fn note(&mut self, what: Happening) {
        self.log.push(what);
    }
}
