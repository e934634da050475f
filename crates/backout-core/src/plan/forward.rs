//! The forward plan: from stable to candidate.

use super::action::{Action, Purpose};
use super::assume::assume;
use super::back;
use super::decide::{Cause, Reached, decide};
use super::{
    Brief, Condition, Deadline, Direction, Expiry, FORMAT, Inverse, Plan, PlanError, PlanId, Stage,
    Step, Verification, WayBack,
};
use crate::document::FieldPath;
use crate::judgement::time_to_judge;
use crate::policy::{Analysis, Approval, External, FlipRule, Gate, OnDeadline};
use crate::release::{Migration, ModuleChange, PreviousRelease};
use crate::snapshot::{Arm, Fact, Snapshot};
use crate::units::{Limit, Span, Weight};

/// Makes the forward plan.
///
/// # Errors
/// When a fact that the plan rests on is unknown, or the brief contradicts itself.
pub fn plan(brief: &Brief, snapshot: &Snapshot) -> Result<Plan, PlanError> {
    brief.check()?;
    brief.signals()?;
    let replicas = match &snapshot.sets.stable {
        Fact::Known { value: Some(set), .. } => set.desired.max(1),
        Fact::Known { value: None, .. } => {
            return Err(PlanError::Releases(format!(
                "the set of the stable release {} does not exist",
                brief.stable.spec.version
            )));
        }
        Fact::Unknown { reason } => {
            return Err(PlanError::UnknownFact {
                fact: "the size of the stable release",
                reason: reason.clone(),
            });
        }
    };
    let mut draft = Draft { brief, replicas, steps: Vec::new(), weight: Weight::ZERO };
    draft.gates(|gate| !gate.needs_candidate());
    draft.points_of_no_return();
    draft.prepare();
    draft.gates(Gate::needs_candidate);
    draft.traffic();
    draft.finish();
    let steps = draft.steps;
    let mut plan = Plan {
        format: FORMAT.to_owned(),
        id: PlanId(String::new()),
        parent: None,
        direction: Direction::Forward,
        environment: brief.environment.clone(),
        stable: brief.stable.reference(),
        candidate: brief.candidate.reference(),
        stable_replicas: replicas,
        steps,
        ways_back: Vec::new(),
    };
    plan.ways_back = ways_back(brief, &plan, snapshot);
    Ok(plan.identified())
}

/// Asks the same question that the machine asks when things go wrong, for every step in advance.
fn ways_back(brief: &Brief, plan: &Plan, snapshot: &Snapshot) -> Vec<WayBack> {
    let mut snapshot = snapshot.clone();
    let mut reached = Reached::at_start(brief);
    let mut ways: Vec<WayBack> = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        assume(&step.action, &mut snapshot, &mut reached);
        let decision = decide(brief, &reached, &snapshot, &Cause::Planned);
        let steps = back::steps(brief, plan, &reached, &snapshot, &Cause::Planned, &decision)
            .map(|steps| steps.iter().map(|step| step.action.to_string()).collect())
            .unwrap_or_default();
        match ways.last_mut() {
            Some(last) if last.decision == decision && last.steps == steps => last.to = index,
            _ => ways.push(WayBack { from: index, to: index, decision, steps }),
        }
    }
    ways
}

struct Draft<'a> {
    brief: &'a Brief,
    replicas: u32,
    steps: Vec<Step>,
    weight: Weight,
}

/// The path of a field below `spec`.
pub(super) fn spec(keys: &[&str]) -> FieldPath {
    keys.iter().fold(FieldPath::root().key("spec"), |path, key| path.key(*key))
}

fn expiry(then: OnDeadline) -> Expiry {
    match then {
        OnDeadline::Rollback => Expiry::Rollback,
        OnDeadline::Hold => Expiry::Hold,
    }
}

/// Replicas of the candidate that a weight needs, rounded up, at least one.
#[must_use]
pub fn replicas_for(weight: Weight, full: u32) -> u32 {
    (u32::from(weight.as_percent()) * full).div_ceil(100).max(1)
}

/// Replicas of the candidate that come nearest to a weight beside so many stable ones, at least
/// one, and the weight that they give. All traffic needs the full size and is exact.
#[must_use]
pub fn ratio_for(weight: Weight, stable: u32) -> (u32, Weight) {
    let (percent, stable) = (u64::from(weight.as_percent()), u64::from(stable.max(1)));
    if percent >= 100 {
        return (u32::try_from(stable).unwrap_or(u32::MAX), Weight::FULL);
    }
    let rest = 100 - percent;
    let replicas = ((2 * percent * stable + rest) / (2 * rest)).max(1);
    let all = replicas + stable;
    // Less than everything is never shown as everything, whatever rounding says.
    let achieved = ((200 * replicas + all) / (2 * all)).min(99);
    (u32::try_from(replicas).unwrap_or(u32::MAX), Weight::try_from(achieved).unwrap_or(weight))
}

/// What a migration means for the plan.
enum Crossing {
    /// Going back stays possible.
    No,
    /// Going back becomes impossible once the candidate writes.
    OnFirstWrite(String),
    /// Going back becomes impossible at once.
    AtOnce(String),
}

fn crossing(migration: &Migration) -> Crossing {
    let why = format!("migration {}: {}", migration.id, migration.previous_release);
    match migration.previous_release {
        PreviousRelease::Works => Crossing::No,
        PreviousRelease::WorksUntilWritten | PreviousRelease::DependsOnData => {
            if migration.guarded_by.is_some() { Crossing::No } else { Crossing::OnFirstWrite(why) }
        }
        PreviousRelease::WritesFail
        | PreviousRelease::ReadsFail
        | PreviousRelease::DataDestroyed
        | PreviousRelease::Unknown => Crossing::AtOnce(why),
    }
}

impl Draft<'_> {
    fn push(&mut self, name: impl Into<String>, stage: Stage, action: Action, rest: Rest) {
        let mut name = name.into();
        let twins = self.steps.iter().filter(|step| step.name == name).count();
        if twins > 0 {
            name = format!("{name}-{}", self.steps.len() + 1);
        }
        self.steps.push(Step {
            name,
            stage,
            action,
            why: rest.why,
            origin: rest.origin,
            requires: rest.requires,
            verification: rest.verification,
            inverse: rest.inverse,
            deadline: rest.deadline,
        });
    }

    fn step_deadline(&self) -> Deadline {
        Deadline {
            within: self.brief.policy.spec.deadlines.step,
            origin: spec(&["deadlines", "step"]),
            then: Expiry::Rollback,
        }
    }

    fn readiness_deadline(&self) -> Deadline {
        Deadline {
            within: self.brief.policy.spec.deadlines.readiness,
            origin: spec(&["deadlines", "readiness"]),
            then: Expiry::Rollback,
        }
    }

    fn gates(&mut self, wanted: impl Fn(&Gate) -> bool) {
        let policy = std::sync::Arc::clone(&self.brief.policy);
        for (index, gate) in policy.spec.gates.iter().enumerate() {
            if !wanted(gate) {
                continue;
            }
            let origin = spec(&["gates"]).index(index);
            let mut deadline = self.step_deadline();
            if let Gate::SmokeTest(test) = gate {
                deadline.within = Limit::Within(test.within);
                deadline.origin = origin.clone();
            }
            self.push(
                format!("gate-{}", gate.name()),
                Stage::Gates,
                Action::Gate { gate: gate.clone() },
                Rest {
                    why: "checked before any user traffic".to_owned(),
                    origin,
                    requires: Vec::new(),
                    verification: Verification::GatePasses,
                    inverse: Inverse::Nothing,
                    deadline,
                },
            );
        }
    }

    /// Asks a person before anything that cannot be taken back.
    fn points_of_no_return(&mut self) {
        let brief = self.brief;
        let mut reasons: Vec<String> = brief
            .candidate
            .new_migrations(&brief.stable)
            .filter_map(|migration| match crossing(migration) {
                Crossing::No => None,
                Crossing::OnFirstWrite(why) | Crossing::AtOnce(why) => Some(why),
            })
            .collect();
        let changes = brief.candidate.changed_modules(&brief.stable);
        let destructive = changes.iter().filter(|(_, change)| *change == ModuleChange::Destructive);
        reasons.extend(destructive.map(|(module, _)| {
            format!("module {} replaces something that bears data", module.name)
        }));
        if reasons.is_empty() {
            return;
        }
        let question =
            format!("after this there is no automatic way back: {}. Go on?", reasons.join("; "));
        let approval =
            Approval { within: Limit::Within(Span::from_hours(24)), then: OnDeadline::Rollback };
        self.approve(
            "point-of-no-return",
            Stage::Prepare,
            question,
            &approval,
            spec(&["rollback"]),
        );
    }

    fn approve(
        &mut self,
        name: &str,
        stage: Stage,
        question: String,
        approval: &Approval,
        origin: FieldPath,
    ) {
        self.push(
            name,
            stage,
            Action::Approve { question },
            Rest {
                why: "a person decides".to_owned(),
                origin: origin.clone(),
                requires: Vec::new(),
                verification: Verification::PersonAnswered,
                inverse: Inverse::Nothing,
                deadline: Deadline {
                    within: approval.within,
                    origin: origin.key("within"),
                    then: expiry(approval.then),
                },
            },
        );
    }

    fn prepare(&mut self) {
        for part in External::ALL {
            if self.brief.policy.leaves_out(part) {
                continue;
            }
            match part {
                External::Infrastructure => self.modules(),
                External::Migrations => self.migrations(),
                External::Config => self.config(),
                External::Flags => self.flags(),
            }
        }
        self.create_set();
    }

    fn modules(&mut self) {
        let brief = self.brief;
        for (module, change) in brief.candidate.changed_modules(&brief.stable) {
            let former = brief.stable.module(&module.name).map(|old| old.version.clone());
            let (action, inverse) = match change {
                ModuleChange::Added => (
                    Some(module.version.clone()),
                    Inverse::Stays("added infrastructure stays; the old release ignores it".into()),
                ),
                ModuleChange::Updated => (
                    Some(module.version.clone()),
                    Inverse::Undo(Action::SetModule { name: module.name.clone(), version: former }),
                ),
                ModuleChange::Destructive => (
                    Some(module.version.clone()),
                    Inverse::PointOfNoReturn("it replaces something that bears data".into()),
                ),
                // A module that the new release no longer uses is taken away after the rollout,
                // never during it: the release before may need it.
                ModuleChange::Removed => continue,
            };
            self.push(
                format!("module-{}", module.name),
                Stage::Prepare,
                Action::SetModule { name: module.name.clone(), version: action },
                Rest {
                    why: format!("release {} pins it", brief.candidate.spec.version),
                    origin: FieldPath::root().key("spec").key("infrastructure"),
                    requires: Vec::new(),
                    verification: Verification::Observed,
                    inverse,
                    deadline: self.step_deadline(),
                },
            );
        }
    }

    fn migrations(&mut self) {
        let brief = self.brief;
        for migration in brief.candidate.new_migrations(&brief.stable) {
            let inverse = match crossing(migration) {
                Crossing::AtOnce(why) | Crossing::OnFirstWrite(why) => {
                    Inverse::PointOfNoReturn(why)
                }
                Crossing::No => Inverse::Stays(match &migration.guarded_by {
                    Some(flag) if migration.previous_release != PreviousRelease::Works => {
                        format!("flag {flag} keeps the new shape unused")
                    }
                    _ => "the previous release works on the new schema".to_owned(),
                }),
            };
            self.push(
                format!("migrate-{}", migration.id),
                Stage::Prepare,
                Action::Migrate { id: migration.id.clone() },
                Rest {
                    why: format!("release {} needs it", brief.candidate.spec.version),
                    origin: FieldPath::root().key("spec").key("migrations"),
                    requires: Vec::new(),
                    verification: Verification::Observed,
                    inverse,
                    deadline: self.step_deadline(),
                },
            );
        }
    }

    fn config(&mut self) {
        let (old, new) = (&self.brief.stable.spec.config, &self.brief.candidate.spec.config);
        if old.revision == new.revision {
            return;
        }
        let inverse = Inverse::Undo(Action::SetConfig { revision: old.revision.clone() });
        let revision = new.revision.clone();
        self.push(
            "config",
            Stage::Prepare,
            Action::SetConfig { revision },
            Rest {
                why: format!("release {} is shipped with it", self.brief.candidate.spec.version),
                origin: FieldPath::root().key("spec").key("config").key("revision"),
                requires: Vec::new(),
                verification: Verification::Observed,
                inverse,
                deadline: self.step_deadline(),
            },
        );
    }

    fn flags(&mut self) {
        let brief = self.brief;
        for flag in brief.candidate.changed_flags(&brief.stable) {
            self.push(
                format!("flag-{}", flag.key),
                Stage::Prepare,
                Action::SetFlag { key: flag.key.clone(), enabled: flag.enabled },
                Rest {
                    why: format!("release {} wants it so", brief.candidate.spec.version),
                    origin: FieldPath::root().key("spec").key("flags"),
                    requires: Vec::new(),
                    verification: Verification::Observed,
                    inverse: Inverse::Undo(Action::SetFlag {
                        key: flag.key.clone(),
                        enabled: !flag.enabled,
                    }),
                    deadline: self.step_deadline(),
                },
            );
        }
    }

    fn create_set(&mut self) {
        let first = self.weights().first().copied().unwrap_or(Weight::FULL);
        let (replicas, _) = self.size_for(first);
        self.push(
            "create-candidate",
            Stage::Prepare,
            Action::CreateSet { replicas, digests: self.brief.candidate_digests() },
            Rest {
                why: "pods are ready before they get traffic".to_owned(),
                origin: spec(&["workload"]),
                requires: Vec::new(),
                verification: Verification::Observed,
                inverse: Inverse::Undo(Action::Scale {
                    arm: Arm::Candidate,
                    replicas: 1,
                    purpose: Purpose::Evidence,
                }),
                deadline: self.readiness_deadline(),
            },
        );
    }

    /// Replicas of the candidate for a weight, and the weight that is had with them.
    fn size_for(&self, weight: Weight) -> (u32, Weight) {
        if self.brief.policy.spec.traffic.route.by_replicas() {
            ratio_for(weight, self.replicas)
        } else {
            (replicas_for(weight, self.replicas), weight)
        }
    }

    fn weights(&self) -> Vec<Weight> {
        let strategy = &self.brief.policy.spec.strategy;
        strategy.canary.as_ref().map_or_else(
            || vec![Weight::FULL],
            |canary| canary.steps.iter().filter_map(|step| step.set_weight).collect(),
        )
    }

    fn traffic(&mut self) {
        let strategy = self.brief.policy.spec.strategy.clone();
        if let Some(canary) = &strategy.canary {
            let origin = spec(&["strategy", "canary", "steps"]);
            for (index, step) in canary.steps.iter().enumerate() {
                let origin = origin.clone().index(index);
                if let Some(weight) = step.set_weight {
                    // So few replicas cannot tell this weight from the one before.
                    if self.size_for(weight).1 <= self.weight {
                        continue;
                    }
                    self.judge_before_rise(&origin);
                    self.set_weight(weight, origin.key("setWeight"));
                } else if let Some(analysis) = step.analyse {
                    self.analyse(analysis, origin.key("analyse"));
                } else if let Some(approval) = &step.approve {
                    self.ask_to_go_on(approval, origin.key("approve"));
                }
            }
        } else if let Some(blue_green) = &strategy.blue_green {
            let origin = spec(&["strategy", "blueGreen"]);
            if let Some(approval) = &blue_green.approve {
                self.ask_to_go_on(approval, origin.clone().key("approve"));
            }
            self.set_weight(Weight::FULL, origin.clone());
            self.analyse(blue_green.analyse, origin.key("analyse"));
        }
    }

    fn ask_to_go_on(&mut self, approval: &Approval, origin: FieldPath) {
        let question = format!("the candidate has {} of the traffic. Go on?", self.weight);
        self.approve("approve", Stage::Shift, question, approval, origin);
    }

    /// No weight rises on hope: where the policy has no analysis since the last weight, the
    /// shortest one that can judge is put in.
    fn judge_before_rise(&mut self, origin: &FieldPath) {
        let judged = self.steps.iter().rev().find_map(|step| match step.action {
            Action::SetWeight { .. } => Some(false),
            Action::Analyse { .. } => Some(true),
            _ => None,
        });
        if judged == Some(false) {
            self.analyse(Analysis::UntilPass, origin.clone());
        }
    }

    fn set_weight(&mut self, asked: Weight, origin: FieldPath) {
        let (replicas, weight) = self.size_for(asked);
        let (created, _) = self.size_for(self.weights().first().copied().unwrap_or(asked));
        let why = if asked == weight {
            "the strategy asks for it".to_owned()
        } else {
            format!(
                "the strategy asks for {asked}; {replicas} of the candidate beside {} of the stable \
                 release give {weight}",
                self.replicas
            )
        };
        if replicas > created || self.weight > Weight::ZERO {
            self.push(
                format!("scale-{}", weight.as_percent()),
                Stage::Shift,
                Action::Scale { arm: Arm::Candidate, replicas, purpose: Purpose::Capacity },
                Rest {
                    why: "capacity comes before traffic".to_owned(),
                    origin: origin.clone(),
                    requires: Vec::new(),
                    verification: Verification::Observed,
                    inverse: Inverse::Nothing,
                    deadline: self.readiness_deadline(),
                },
            );
        }
        let (verification, within, deadline_origin) = match &self.brief.policy.spec.traffic.verify {
            FlipRule::Check(check) => (
                Verification::ObservedAndProbed,
                check.within,
                spec(&["traffic", "verify", "within"]),
            ),
            FlipRule::Trust => (
                Verification::Observed,
                self.brief.policy.spec.deadlines.step,
                spec(&["deadlines", "step"]),
            ),
        };
        self.push(
            format!("set-weight-{}", weight.as_percent()),
            Stage::Shift,
            Action::SetWeight { candidate: weight },
            Rest {
                why,
                origin,
                requires: vec![
                    Condition::Ready { arm: Arm::Candidate, replicas },
                    Condition::RouteAt { candidate: self.weight },
                ],
                verification,
                inverse: Inverse::Undo(Action::SetWeight { candidate: Weight::ZERO }),
                deadline: Deadline { within, origin: deadline_origin, then: Expiry::Rollback },
            },
        );
        self.weight = weight;
    }

    fn analyse(&mut self, analysis: Analysis, origin: FieldPath) {
        let at_least = match analysis {
            Analysis::For(span) => span,
            Analysis::UntilPass => Span::ZERO,
        };
        self.push(
            format!("analyse-{}", self.weight.as_percent()),
            Stage::Shift,
            Action::Analyse { at_least },
            Rest {
                why: "traffic rises only on evidence".to_owned(),
                origin,
                requires: Vec::new(),
                verification: Verification::SignalsPass,
                inverse: Inverse::Nothing,
                deadline: self.evidence_deadline(at_least),
            },
        );
    }

    /// A step's deadline covers its own analysis twice, so that a long analysis is not cut short
    /// by a default that was made for short ones.
    fn evidence_deadline(&self, at_least: Span) -> Deadline {
        let triggers = &self.brief.policy.spec.triggers;
        let shortest = time_to_judge(triggers.window, triggers.consecutive)
            .saturating_add(triggers.metrics_delay);
        let mut deadline = self.step_deadline();
        if let Limit::Within(within) = deadline.within {
            let floor = at_least.max(shortest).saturating_mul(2);
            deadline.within = Limit::Within(within.max(floor));
        }
        deadline
    }

    fn finish(&mut self) {
        let policy = &self.brief.policy.spec;
        let (bake, keep) = (policy.strategy.bake, policy.rollback.keep_previous);
        let candidate = self.brief.candidate.metadata.name.clone();
        if !bake.is_zero() {
            let deadline = self.evidence_deadline(bake);
            self.push(
                "bake",
                Stage::Bake,
                Action::Bake { length: bake },
                Rest {
                    why: "some regressions show only at full weight, or late".to_owned(),
                    origin: spec(&["strategy", "bake"]),
                    requires: Vec::new(),
                    verification: Verification::SignalsPass,
                    inverse: Inverse::Nothing,
                    deadline,
                },
            );
        } else {
            self.judge_before_rise(&spec(&["strategy", "bake"]));
        }
        self.push(
            "promote",
            Stage::Keep,
            Action::MarkKnownGood { release: candidate },
            Rest {
                why: "from here on the candidate is what others go back to".to_owned(),
                origin: spec(&["strategy"]),
                requires: vec![Condition::RouteAt { candidate: Weight::FULL }],
                verification: Verification::Observed,
                inverse: Inverse::Undo(Action::MarkKnownGood {
                    release: self.brief.stable.metadata.name.clone(),
                }),
                deadline: self.step_deadline(),
            },
        );
        self.keep_and_seal(keep);
    }

    /// Keeps the previous release ready, then lets it go.
    fn keep_and_seal(&mut self, keep: Span) {
        self.push(
            "keep-previous",
            Stage::Keep,
            Action::KeepPrevious { length: keep },
            Rest {
                why: "going back is a route change for as long as the previous release stands"
                    .to_owned(),
                origin: spec(&["rollback", "keepPrevious"]),
                requires: Vec::new(),
                verification: Verification::TimePassed,
                inverse: Inverse::Nothing,
                deadline: Deadline {
                    within: Limit::None,
                    origin: spec(&["rollback", "keepPrevious"]),
                    then: Expiry::Continue,
                },
            },
        );
        self.push(
            "seal",
            Stage::Keep,
            Action::Scale { arm: Arm::Stable, replicas: 0, purpose: Purpose::CleanUp },
            Rest {
                why: "the release is sealed; going back now means releasing the old one again"
                    .to_owned(),
                origin: spec(&["rollback", "keepPrevious"]),
                requires: vec![Condition::RouteAt { candidate: Weight::FULL }],
                verification: Verification::Observed,
                inverse: Inverse::Undo(Action::Scale {
                    arm: Arm::Stable,
                    replicas: self.replicas,
                    purpose: Purpose::Capacity,
                }),
                deadline: Deadline { then: Expiry::Continue, ..self.step_deadline() },
            },
        );
    }
}

/// The fields of a step that are not its name, stage and action.
struct Rest {
    why: String,
    origin: FieldPath,
    requires: Vec<Condition>,
    verification: Verification,
    inverse: Inverse,
    deadline: Deadline,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plan::testing;
    use crate::policy::{Route, RouteKind, Split};

    fn percent(percent: u8) -> Weight {
        Weight::from_percent(percent).expect("a percentage")
    }

    #[test]
    fn replicas_come_as_near_to_a_weight_as_they_can() {
        assert_eq!(ratio_for(percent(5), 4), (1, percent(20)));
        assert_eq!(ratio_for(percent(25), 3), (1, percent(25)));
        assert_eq!(ratio_for(percent(50), 4), (4, percent(50)));
        assert_eq!(ratio_for(percent(75), 4), (12, percent(75)));
        assert_eq!(ratio_for(percent(100), 4), (4, Weight::FULL));
        for stable in 0..200 {
            for asked in 0..100 {
                let (replicas, weight) = ratio_for(percent(asked), stable);
                assert!(replicas >= 1 && weight > Weight::ZERO && weight < Weight::FULL);
            }
        }
    }

    #[test]
    fn a_plan_by_replicas_has_only_weights_that_can_be_had() {
        let mut brief = testing::brief();
        let mut policy = (*brief.policy).clone();
        policy.spec.traffic.route = Route {
            kind: RouteKind::Service,
            name: crate::units::Name::from_static("cart"),
            by: Some(Split::Replicas),
        };
        let canary = policy.spec.strategy.canary.as_mut().expect("a canary");
        let mut finer = canary.steps[0].clone();
        finer.set_weight = Some(percent(25));
        canary.steps.insert(1, finer);
        brief.policy = Arc::new(policy);
        let snapshot = testing::snapshot(&brief);
        let plan = plan(&brief, &snapshot).expect("a plan");
        let shown: Vec<String> = plan
            .steps
            .iter()
            .filter(|step| {
                matches!(
                    step.action,
                    Action::CreateSet { .. } | Action::Scale { .. } | Action::SetWeight { .. }
                )
            })
            .map(|step| format!("{}: {} ({})", step.name, step.action, step.why))
            .collect();
        insta::assert_snapshot!(shown.join("\n"));
    }
}
