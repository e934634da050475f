//! Performing effects: each at most once, each answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backout_core::machine::{Effect, EffectId, EffectResult, Input, Precondition, Request};
use backout_core::plan::{Action, Progress, ScalePurpose};
use backout_core::snapshot::Arm;
use backout_core::units::{Digest, Name, Span, Weight};

use super::{Event, Flip, Happening, Set, World};

/// Time that a call to an API takes.
const CALL: Span = Span::from_millis(100);

impl World {
    /// Takes an effect: performs it, unless it was performed before or comes from the past, and
    /// schedules the answer.
    pub fn submit(&mut self, effect: &Effect) {
        if effect.generation < self.fence {
            let why = format!("generation {} is over, {} runs", effect.generation, self.fence);
            self.answer(CALL, effect.id, EffectResult::Refused(why));
            return;
        }
        self.fence = effect.generation;
        match &effect.request {
            Request::Observe => {
                let snapshot = Box::new(self.snapshot());
                self.schedule(CALL, Event::Deliver(Input::Observed(snapshot)));
            }
            Request::RunGate(gate) => {
                let takes = Span::from_secs(if gate.needs_candidate() { 20 } else { 5 });
                let report = self.run_gate(gate);
                self.answer(takes, effect.id, EffectResult::Gate(report));
            }
            Request::Probe { probes, .. } => {
                let result = self.probe(*probes);
                self.answer(Span::from_secs(2), effect.id, result);
            }
            Request::Query(window) => {
                let measured = self.measure(*window);
                self.answer(Span::from_millis(300), effect.id, EffectResult::Measured(measured));
            }
            Request::Apply(action) => {
                let (takes, result) = self.apply_once(effect, action);
                self.answer(takes, effect.id, result);
            }
        }
    }

    fn answer(&mut self, after: Span, effect: EffectId, result: EffectResult) {
        self.schedule(after, Event::Deliver(Input::Done { effect, result }));
    }

    /// Probes reach the candidate in the share that the data plane gives.
    fn probe(&mut self, probes: u32) -> EffectResult {
        let hits = self.noise.strikes(u64::from(probes), self.gateway.given_ppm);
        EffectResult::Share { hits, probes: u64::from(probes) }
    }

    fn apply_once(&mut self, effect: &Effect, action: &Action) -> (Span, EffectResult) {
        if self.performed.contains(&effect.id) {
            return (CALL, EffectResult::Applied);
        }
        let redundant = self.is_redundant(action);
        let fenced = action.is_destructive().then(|| self.is_fenced(action, effect.precondition));
        if action.is_destructive() && fenced == Some(false) && effect.precondition.is_some() {
            return (CALL, EffectResult::Failed("the object changed since it was read".to_owned()));
        }
        if let (Action::SetWeight { .. }, Some(expected)) = (action, effect.precondition)
            && expected.resource_version != self.gateway.resource_version
        {
            return (CALL, EffectResult::Failed("the route changed since it was read".to_owned()));
        }
        let (takes, result) = self.apply(effect.id, action);
        if result == EffectResult::Applied {
            self.performed.insert(effect.id);
            self.note(Happening::Performed {
                effect: effect.id,
                what: action.to_string(),
                redundant,
                fenced,
            });
        }
        (takes, result)
    }

    /// Whether the world is already as the action wants it, or the message was already sent.
    fn is_redundant(&self, action: &Action) -> bool {
        match action {
            Action::Notify { message } => self.messages.iter().any(|(_, sent)| sent == message),
            _ => action.progress(&self.snapshot()) == Progress::Met,
        }
    }

    fn is_fenced(&self, action: &Action, precondition: Option<Precondition>) -> bool {
        let (Action::Scale { arm, .. }, Some(expected)) = (action, precondition) else {
            return false;
        };
        self.sets.get(*arm).as_ref().is_some_and(|set| {
            set.uid == expected.uid && set.resource_version == expected.resource_version
        })
    }

    fn apply(&mut self, id: EffectId, action: &Action) -> (Span, EffectResult) {
        let minute = Span::from_mins(1);
        match action {
            Action::SetWeight { candidate } => self.set_weight(*candidate),
            Action::CreateSet { replicas, .. } => return self.create_set(*replicas),
            Action::Scale { arm, replicas, purpose } => self.scale(*arm, *replicas, *purpose),
            Action::SetFlag { key, enabled } => {
                Arc::make_mut(&mut self.flags).insert(key.clone(), *enabled);
            }
            Action::SetModule { name, version } => {
                self.set_module(name, version.as_ref());
                return (minute, EffectResult::Applied);
            }
            Action::Migrate { id } => {
                Arc::make_mut(&mut self.applied).insert(id.clone());
                return (Span::from_secs(15), EffectResult::Applied);
            }
            Action::SetConfig { revision } => self.commit(revision.clone(), "backout"),
            Action::Quarantine { digests } => self.hold(digests),
            Action::MarkKnownGood { release } => self.known_good = release.clone(),
            Action::Notify { message } => {
                self.messages.push((id, message.clone()));
                return (Span::from_secs(1), EffectResult::Applied);
            }
            Action::Gate { .. }
            | Action::Analyse { .. }
            | Action::Approve { .. }
            | Action::Bake { .. }
            | Action::KeepPrevious { .. }
            | Action::Settle { .. }
            | Action::ConfirmRecovery
            | Action::CheckResidue => {
                let why = format!("`{action}` is not something that the world does");
                return (CALL, EffectResult::Failed(why));
            }
        }
        (CALL, EffectResult::Applied)
    }

    fn set_weight(&mut self, weight: Weight) {
        let ppm = u32::from(weight.as_percent()) * 10_000;
        let before = self.asked_weight();
        self.write_route(ppm, true);
        if self.afflictions.gitops_owns_route && ppm == 0 && before > Weight::ZERO {
            // One agent looks; it goes on looking until Git agrees.
            self.afflictions.gitops_owns_route = false;
            self.schedule(Span::from_secs(4), Event::GitOpsLooks { weight: before });
        }
    }

    /// Writes the route object; the data plane follows when it can.
    pub fn write_route(&mut self, ppm: u32, by_engine: bool) {
        self.gateway.asked_ppm = ppm;
        self.gateway.resource_version += 1;
        self.gateway.written_by = if by_engine { "backout" } else { "gitops-agent" };
        self.note(Happening::Routed {
            ppm,
            by_engine,
            stable_ready: self.ready(Arm::Stable),
            candidate_ready: self.ready(Arm::Candidate),
        });
        let given = match self.afflictions.flip {
            Flip::Works => ppm,
            // Going back to nothing works: what is stuck is the way towards the candidate.
            Flip::Stuck if ppm > self.gateway.given_ppm => self.gateway.given_ppm,
            Flip::Part(part) if ppm > 0 => {
                u32::try_from(u64::from(ppm) * u64::from(part) / 1_000_000).unwrap_or(ppm)
            }
            Flip::Stuck | Flip::Part(_) => ppm,
        };
        self.schedule(self.spec.route_propagation, Event::RouteReaches { ppm: given });
    }

    fn create_set(&mut self, replicas: u32) -> (Span, EffectResult) {
        if self.sets.candidate.is_some() {
            return (CALL, EffectResult::Applied);
        }
        if self.afflictions.unsigned {
            let why = "admission webhook denied the request: the image carries no signature";
            return (CALL, EffectResult::Refused(why.to_owned()));
        }
        let mut running: BTreeMap<Name, Digest> = (*self.registry.candidate_tags).clone();
        if let Some(moved) = &self.afflictions.tag_moved {
            for digest in running.values_mut() {
                *digest = moved.clone();
            }
        }
        let uid = self.next_uid;
        self.next_uid += 1;
        self.sets.candidate = Some(Set {
            uid,
            resource_version: 1,
            desired: replicas,
            ready: 0,
            running: Arc::new(running),
            evidence: false,
        });
        self.start_pods(Arm::Candidate, replicas);
        (CALL, EffectResult::Applied)
    }

    /// Lets pods start, unless they never get ready.
    pub(super) fn start_pods(&mut self, arm: Arm, replicas: u32) {
        let Some(set) = self.sets.get(arm) else { return };
        let uid = set.uid;
        if self.afflictions.never_ready && arm == Arm::Candidate {
            return;
        }
        let startup = self.spec.pod_startup;
        self.schedule(startup, Event::PodsReady { arm, uid, ready: replicas });
    }

    fn scale(&mut self, arm: Arm, replicas: u32, purpose: ScalePurpose) {
        let share_ppm = self.share_ppm(arm);
        let Some(set) = self.sets.get_mut(arm) else { return };
        let from = set.desired;
        let to = match purpose {
            ScalePurpose::Capacity => from.max(replicas),
            ScalePurpose::Evidence | ScalePurpose::CleanUp => from.min(replicas),
        };
        set.desired = to;
        set.evidence |= purpose == ScalePurpose::Evidence;
        set.evidence &= purpose != ScalePurpose::Capacity;
        set.ready = set.ready.min(to);
        set.resource_version += 1;
        self.note(Happening::Scaled { arm, from, to, share_ppm });
        if self.ready(arm) < to {
            self.start_pods(arm, to);
        }
    }

    fn set_module(&mut self, name: &Name, version: Option<&String>) {
        let modules = Arc::make_mut(&mut self.modules);
        match version {
            Some(version) => drop(modules.insert(name.clone(), version.clone())),
            None => drop(modules.remove(name)),
        }
    }

    /// A commit in Git; the agent brings it into the environment after a while.
    pub(crate) fn commit(&mut self, revision: String, author: &'static str) {
        self.config.git.clone_from(&revision);
        self.config.author = author;
        self.schedule(self.spec.gitops_sync, Event::ConfigLive { revision });
    }

    fn hold(&mut self, digests: &BTreeSet<Digest>) {
        Arc::make_mut(&mut self.quarantine).extend(digests.iter().cloned());
    }

    /// Carries out what was going to happen by itself; says it in words when it is worth saying.
    pub fn happen(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::PodsReady { arm, uid, ready } => {
                let never = self.afflictions.never_ready && *arm == Arm::Candidate;
                let set =
                    self.sets.get_mut(*arm).as_mut().filter(|set| set.uid == *uid && !never)?;
                set.ready = (*ready).min(set.desired);
                Some(format!("{} pods of {arm} are ready", set.ready))
            }
            Event::RouteReaches { ppm } => {
                if self.gateway.given_ppm == *ppm {
                    return None;
                }
                self.gateway.given_ppm = *ppm;
                let tenths = ppm / 1_000;
                Some(format!(
                    "the data plane gives {}.{}% to the candidate",
                    tenths / 10,
                    tenths % 10
                ))
            }
            Event::ConfigLive { revision } => {
                if self.config.git != *revision || self.config.live == *revision {
                    return None;
                }
                self.config.live.clone_from(revision);
                Some(format!("the GitOps agent brought {} into the environment", short(revision)))
            }
            Event::GitOpsLooks { weight } => self.gitops_looks(*weight),
            Event::Deliver(_)
            | Event::Person(_)
            | Event::Strike { .. }
            | Event::ControllerBack
            | Event::Horizon => None,
        }
    }

    /// The agent finds the route other than Git has it, and puts it back.
    fn gitops_looks(&mut self, weight: Weight) -> Option<String> {
        let candidate = &self.brief.candidate.spec.config.revision;
        if self.config.git != *candidate {
            return None;
        }
        self.schedule(Span::from_secs(30), Event::GitOpsLooks { weight });
        if self.asked_weight() == weight {
            return None;
        }
        self.write_route(u32::from(weight.as_percent()) * 10_000, false);
        // The route is watched: the change is seen without being asked for.
        let snapshot = Box::new(self.snapshot());
        self.schedule(Span::from_secs(1), Event::Deliver(Input::Observed(snapshot)));
        Some(format!("the GitOps agent set the candidate's weight back to {weight}, as Git has it"))
    }
}

/// The first characters of a commit, as people quote it.
fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}
