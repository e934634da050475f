//! The way back as a plan.
//!
//! Every plan keeps this order: make the target able to serve, move traffic, verify that it moved,
//! make it stick (configuration, Git, modules, quarantine), notify, clean up, check residue.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::action::{Action, Purpose};
use super::decide::{Cause, Choice, Decision, Pattern, Reached};
use super::forward::spec;
use super::{
    Brief, Condition, Deadline, Direction, Expiry, FORMAT, Inverse, Plan, PlanId, Stage, Step,
    Verification,
};
use crate::document::FieldPath;
use crate::policy::{External, FlipRule};
use crate::release::ModuleChange;
use crate::snapshot::{Arm, Snapshot};
use crate::units::{Digest, Limit, Name, Span, Weight};

/// Makes the way back that was decided; `None` when nothing is done without a person.
#[must_use]
pub fn plan(
    brief: &Brief,
    parent: &Plan,
    reached: &Reached,
    snapshot: &Snapshot,
    cause: &Cause,
    decision: &Decision,
) -> Option<Plan> {
    let steps = steps(brief, parent, reached, snapshot, cause, decision)?;
    let pattern = decision.choice.pattern()?;
    let plan = Plan {
        format: FORMAT.to_owned(),
        id: PlanId(String::new()),
        parent: Some(parent.id.clone()),
        direction: Direction::Back { pattern },
        environment: brief.environment.clone(),
        stable: brief.stable.reference(),
        candidate: brief.candidate.reference(),
        stable_replicas: parent.stable_replicas,
        steps,
        ways_back: Vec::new(),
    };
    Some(plan.identified())
}

/// The steps of the way back that was decided; `None` when nothing is done without a person.
#[must_use]
pub fn steps(
    brief: &Brief,
    parent: &Plan,
    reached: &Reached,
    snapshot: &Snapshot,
    cause: &Cause,
    decision: &Decision,
) -> Option<Vec<Step>> {
    let replicas = parent.stable_replicas;
    let mut draft = Draft { brief, reached, snapshot, cause, replicas, steps: Vec::new() };
    match &decision.choice {
        Choice::Back(Pattern::Cancel) => draft.cancel(),
        Choice::Back(Pattern::Traffic) => draft.traffic(),
        Choice::Back(Pattern::Combined) => draft.combined(),
        Choice::Back(Pattern::Config) => draft.config(),
        Choice::Back(Pattern::DataAware) | Choice::Hold(_) => return None,
        Choice::FlagOff(flag) => draft.flag_off(flag),
    }
    Some(draft.steps)
}

struct Draft<'a> {
    brief: &'a Brief,
    reached: &'a Reached,
    snapshot: &'a Snapshot,
    cause: &'a Cause,
    replicas: u32,
    steps: Vec<Step>,
}

impl Draft<'_> {
    fn cancel(&mut self) {
        if self.snapshot.weight() != Some(Weight::ZERO) {
            self.move_traffic();
        }
        self.flags_back();
        self.restore_config(&self.brief.stable.spec.config.revision.clone());
        self.modules_back();
        self.quarantine();
        self.notify(Pattern::Cancel);
        self.keep_evidence();
        self.residue();
    }

    fn traffic(&mut self) {
        self.make_ready();
        self.move_traffic();
        self.flags_back();
        self.restore_config(&self.brief.stable.spec.config.revision.clone());
        self.known_good_back();
        self.quarantine();
        self.notify(Pattern::Traffic);
        self.settle();
        self.keep_evidence();
        self.residue();
    }

    fn combined(&mut self) {
        self.make_ready();
        self.move_traffic();
        self.flags_back();
        self.restore_config(&self.brief.stable.spec.config.revision.clone());
        self.modules_back();
        self.known_good_back();
        self.quarantine();
        self.notify(Pattern::Combined);
        self.settle();
        self.keep_evidence();
        self.residue();
    }

    /// Two shapes. A release that is only configuration goes back like any other, route first. A
    /// configuration that moved under a release that serves is restored under it: the release
    /// itself is not at fault.
    fn config(&mut self) {
        if self.brief.candidate.same_images(&self.brief.stable) {
            self.make_ready();
            self.move_traffic();
            self.flags_back();
            self.restore_config(&self.brief.stable.spec.config.revision.clone());
            self.known_good_back();
            self.notify(Pattern::Config);
            self.settle();
            self.keep_evidence();
        } else {
            self.restore_config(&self.brief.candidate.spec.config.revision.clone());
            self.confirm_recovery();
            self.notify(Pattern::Config);
        }
        self.residue();
    }

    fn flag_off(&mut self, flag: &Name) {
        self.push(
            "flag-off",
            Stage::Return,
            Action::SetFlag { key: flag.clone(), enabled: false },
            "the flag guards the change; code and data stay as they are",
            Expiry::Fail,
            self.within(),
        );
        self.confirm_recovery();
        self.notify(Pattern::DataAware);
        self.residue();
    }

    fn make_ready(&mut self) {
        // An autoscaler may have made the stable release larger since; it is never made smaller.
        let now = self.snapshot.set(Arm::Stable).map_or(0, |set| set.desired);
        let replicas = self.replicas.max(now);
        self.push(
            "ready-target",
            Stage::Ready,
            Action::Scale { arm: Arm::Stable, replicas, purpose: Purpose::Capacity },
            "the target can serve before it gets traffic",
            Expiry::Fail,
            bounded(self.brief.policy.spec.deadlines.readiness, Span::from_mins(10)),
        );
    }

    fn move_traffic(&mut self) {
        self.push(
            "return-traffic",
            Stage::Return,
            Action::SetWeight { candidate: Weight::ZERO },
            "traffic first: nothing slow stands before it",
            Expiry::Fail,
            self.within(),
        );
        let verified = matches!(self.brief.policy.spec.traffic.verify, FlipRule::Check(_));
        if let Some(step) = self.steps.last_mut() {
            step.requires = vec![Condition::Ready { arm: Arm::Stable, replicas: 1 }];
            if verified {
                step.verification = Verification::ObservedAndProbed;
            }
        }
    }

    fn flags_back(&mut self) {
        for flag in self.brief.candidate.changed_flags(&self.brief.stable) {
            if self.reached.flags.contains(&flag.key) {
                self.push(
                    format!("flag-{}", flag.key),
                    Stage::Stick,
                    Action::SetFlag { key: flag.key.clone(), enabled: !flag.enabled },
                    "flags go back to what the previous release wants",
                    Expiry::Continue,
                    self.patience(),
                );
            }
        }
    }

    fn restore_config(&mut self, revision: &str) {
        if self.brief.policy.leaves_out(External::Config) {
            return;
        }
        let is = self.snapshot.config.value();
        if is.is_some_and(|is| is.git_revision == revision && is.live_revision == revision) {
            return;
        }
        self.push(
            "restore-config",
            Stage::Stick,
            Action::SetConfig { revision: revision.to_owned() },
            "Git agrees with what runs, so that GitOps does not bring the bad release back",
            Expiry::Continue,
            self.patience(),
        );
    }

    /// In reverse dependency order: a release lists each module after the ones it depends on.
    fn modules_back(&mut self) {
        let changes = self.brief.candidate.changed_modules(&self.brief.stable);
        for (module, change) in changes.iter().rev() {
            let former = self.brief.stable.module(&module.name);
            if let (ModuleChange::Updated, Some(former)) = (change, former)
                && self.reached.modules.contains(&module.name)
            {
                self.push(
                    format!("module-{}", module.name),
                    Stage::Stick,
                    Action::SetModule {
                        name: module.name.clone(),
                        version: Some(former.version.clone()),
                    },
                    "the module goes back after the traffic that used it",
                    Expiry::Continue,
                    self.patience(),
                );
            }
        }
    }

    fn known_good_back(&mut self) {
        if self.reached.promoted {
            self.push(
                "known-good",
                Stage::Stick,
                Action::MarkKnownGood { release: self.brief.stable.metadata.name.clone() },
                "the release that serves again is the known-good one",
                Expiry::Continue,
                self.patience(),
            );
        }
    }

    /// A digest that is blamed must not come back by itself. One that only met bad luck, such as
    /// drifted values, stays deployable.
    fn quarantine(&mut self) {
        if !self.blames_image() {
            return;
        }
        let stable: BTreeSet<&Digest> =
            self.brief.stable.spec.images.iter().map(|image| &image.digest).collect();
        let digests: BTreeSet<Digest> = self
            .brief
            .candidate
            .spec
            .images
            .iter()
            .map(|image| &image.digest)
            .filter(|digest| !stable.contains(digest))
            .cloned()
            .collect();
        if digests.is_empty() {
            return;
        }
        self.push(
            "quarantine",
            Stage::Stick,
            Action::Quarantine { digests: Arc::new(digests) },
            "the bad image must not be deployed again",
            Expiry::Continue,
            self.patience(),
        );
    }

    fn blames_image(&self) -> bool {
        match self.cause {
            Cause::Signal { .. } | Cause::Planned => true,
            Cause::Gate { blames_image, .. } | Cause::Impossible { blames_image, .. } => {
                *blames_image
            }
            Cause::Deadline { .. }
            | Cause::NotFlipped { .. }
            | Cause::SharedCause { .. }
            | Cause::NoData { .. }
            | Cause::Inconclusive { .. }
            | Cause::NotApproved { .. }
            | Cause::Operator { .. } => false,
        }
    }

    fn notify(&mut self, pattern: Pattern) {
        let message = format!(
            "{} {} went back ({pattern}): {}",
            self.brief.policy.metadata.name, self.brief.candidate.spec.version, self.cause
        );
        self.push(
            "notify",
            Stage::Close,
            Action::Notify { message },
            "people know, after users are safe",
            Expiry::Continue,
            self.patience(),
        );
        if let Some(step) = self.steps.last_mut() {
            step.verification = Verification::Sent;
        }
    }

    fn keep_evidence(&mut self) {
        // A set of one pod has the right size already, and is still to be marked.
        let exists = self
            .snapshot
            .set(Arm::Candidate)
            .is_some_and(|set| set.desired > 1 || (set.desired == 1 && !set.evidence));
        let unknown = self.snapshot.sets.candidate.value().is_none();
        if exists || unknown {
            self.push(
                "keep-failed",
                Stage::Close,
                Action::Scale { arm: Arm::Candidate, replicas: 1, purpose: Purpose::Evidence },
                "a failed pod is kept to be looked at",
                Expiry::Continue,
                self.patience(),
            );
            if let Some(step) = self.steps.last_mut() {
                step.requires = vec![Condition::RouteAt { candidate: Weight::ZERO }];
            }
        }
    }

    fn settle(&mut self) {
        let length = self.brief.policy.spec.rollback.settle;
        if length.is_zero() {
            return;
        }
        self.push(
            "settle",
            Stage::Close,
            Action::Settle { length },
            "something else may undo the rollback",
            Expiry::Continue,
            Limit::None,
        );
        if let Some(step) = self.steps.last_mut() {
            step.verification = Verification::TimePassed;
        }
        self.push(
            "confirm-traffic",
            Stage::Close,
            Action::SetWeight { candidate: Weight::ZERO },
            "after all that, users are still where they belong",
            Expiry::Fail,
            self.within(),
        );
        let verified = matches!(self.brief.policy.spec.traffic.verify, FlipRule::Check(_));
        if let (true, Some(step)) = (verified, self.steps.last_mut()) {
            step.verification = Verification::ObservedAndProbed;
        }
    }

    fn confirm_recovery(&mut self) {
        self.push(
            "confirm-recovery",
            Stage::Return,
            Action::ConfirmRecovery,
            "traffic stays on the candidate, so its signals must show that it is well",
            Expiry::Hold,
            bounded(self.brief.policy.spec.deadlines.step, Span::from_mins(30)),
        );
        if let Some(step) = self.steps.last_mut() {
            step.verification = Verification::SignalsPass;
        }
    }

    fn residue(&mut self) {
        self.push(
            "residue",
            Stage::Close,
            Action::CheckResidue,
            "what is left behind is named",
            Expiry::Continue,
            self.patience(),
        );
    }

    /// Users wait for this: the policy's own bound, tried for a few times as long before a person
    /// is paged.
    fn within(&self) -> Limit {
        Limit::Within(self.brief.policy.spec.rollback.within.saturating_mul(5))
    }

    /// Nobody waits for this. It is tried for a while, then listed as residue.
    fn patience(&self) -> Limit {
        Limit::Within(Span::from_mins(10))
    }

    fn push(
        &mut self,
        name: impl Into<String>,
        stage: Stage,
        action: Action,
        why: &str,
        then: Expiry,
        within: Limit,
    ) {
        let origin: FieldPath = spec(&["rollback"]);
        self.steps.push(Step {
            name: name.into(),
            stage,
            action,
            why: why.to_owned(),
            origin: origin.clone(),
            requires: Vec::new(),
            verification: Verification::Observed,
            inverse: Inverse::Nothing,
            deadline: Deadline { within, origin: origin.key("within"), then },
        });
    }
}

/// The way back never waits for ever, whatever the policy says of the way forward.
const fn bounded(limit: Limit, otherwise: Span) -> Limit {
    match limit {
        Limit::None => Limit::Within(otherwise),
        Limit::Within(_) => limit,
    }
}
