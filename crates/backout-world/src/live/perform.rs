//! Carries one effect out.

use std::sync::atomic::Ordering;

use backout_core::machine::{Effect, EffectResult, Request};
use backout_core::plan::{Action, ScalePurpose};
use backout_core::snapshot::Arm;
use backout_core::units::Name;
use jiff::Timestamp;

use super::Live;
use super::known_good::KnownGood;
use crate::driver::UnixWindow;
use crate::failure::{Failure, Kind};
use crate::kubernetes::quarantine::Entry;
use crate::traffic::{Arms, Fence};

impl Live {
    pub(super) async fn carry_out(
        &self,
        effect: &Effect,
        window: Option<UnixWindow>,
    ) -> EffectResult {
        match &effect.request {
            Request::Observe => EffectResult::Failed("an observation is not an effect".to_owned()),
            Request::RunGate(gate) => EffectResult::Gate(self.gate(gate).await),
            Request::Probe { expected: _, probes } => self.probe(*probes).await,
            Request::Query(_) => match window {
                Some(window) => EffectResult::Measured(self.measure(window).await),
                None => EffectResult::Failed("the window's times are not known".to_owned()),
            },
            Request::Apply(action) => match self.apply(action, effect).await {
                Ok(()) => EffectResult::Applied,
                Err(failure) => failure.result(),
            },
        }
    }

    async fn apply(&self, action: &Action, effect: &Effect) -> Result<(), Failure> {
        match action {
            Action::CreateSet { replicas, .. } => {
                self.sets.create(&self.brief.candidate, *replicas, self.owner.as_ref()).await?;
                self.sets.wake(&self.names.candidate, *replicas).await
            }
            Action::Scale { arm, replicas, purpose } => {
                if *purpose != ScalePurpose::Capacity {
                    self.take_off_route(*arm, effect).await?;
                }
                let set = self.names.get(*arm);
                self.sets.scale(set, *replicas, *purpose, effect.precondition).await
            }
            Action::SetWeight { candidate } => {
                let fence = self.fence(effect);
                let written =
                    self.provider.write(&self.arms, *candidate, effect.precondition, &fence).await;
                self.shifted.store(Timestamp::now().as_millisecond(), Ordering::Relaxed);
                written
            }
            Action::MarkKnownGood { release } => self.mark_known_good(release, effect).await,
            Action::Quarantine { digests } => {
                for digest in digests.iter() {
                    let entry = Entry {
                        digest: digest.clone(),
                        reason: format!("release {} failed", self.brief.candidate.spec.version),
                        release: self.brief.candidate.metadata.name.to_string(),
                        since: Timestamp::now().to_string(),
                    };
                    self.quarantine.add(&entry).await?;
                }
                Ok(())
            }
            Action::Notify { message } => {
                tracing::warn!(release = %self.brief.candidate.metadata.name, message);
                Ok(())
            }
            // What is left behind is listed from observations; there is nothing to carry out.
            Action::CheckResidue => Ok(()),
            Action::SetModule { .. }
            | Action::Migrate { .. }
            | Action::SetFlag { .. }
            | Action::SetConfig { .. } => Err(Failure::new(
                Kind::Refused,
                format!("cannot {action}: in a cluster only sets and traffic are driven"),
            )
            .with_help("name the part under `spec.external` and let the pipeline do it")),
            Action::Gate { .. }
            | Action::Analyse { .. }
            | Action::Approve { .. }
            | Action::Bake { .. }
            | Action::KeepPrevious { .. }
            | Action::Settle { .. }
            | Action::ConfirmRecovery => {
                let message = format!("there is nothing to carry out to {action}");
                Err(Failure::new(Kind::Refused, message))
            }
        }
    }

    fn fence(&self, effect: &Effect) -> Fence {
        Fence { run: self.brief.candidate.metadata.name.to_string(), generation: effect.generation }
    }

    /// A set that is made smaller is not named by the route any more, not even with no weight: the
    /// other one has all traffic, or nothing is done. What refuses that now may agree later.
    async fn take_off_route(&self, arm: Arm, effect: &Effect) -> Result<(), Failure> {
        let other = match arm {
            Arm::Stable => Arm::Candidate,
            Arm::Candidate => Arm::Stable,
        };
        let settled =
            Arms { stable: self.names.get(other).clone(), candidate: None, ..self.arms.clone() };
        let follows = self.provider.follow(&settled, &self.fence(effect)).await;
        follows.map_err(|failure| match failure.kind {
            Kind::Refused => Failure { kind: Kind::Failed, ..failure },
            _ => failure,
        })
    }

    /// The object that moves traffic settles on the release first: the record must never name a
    /// release that does not have all traffic.
    async fn mark_known_good(&self, release: &Name, effect: &Effect) -> Result<(), Failure> {
        let arm = [Arm::Stable, Arm::Candidate].into_iter().find(|arm| match arm {
            Arm::Stable => self.brief.stable.metadata.name == *release,
            Arm::Candidate => self.brief.candidate.metadata.name == *release,
        });
        let Some(arm) = arm else {
            let message = format!("release {release} is not of this run");
            return Err(Failure::new(Kind::Refused, message));
        };
        let set = self.names.get(arm).clone();
        let settled = Arms { stable: set.clone(), candidate: None, ..self.arms.clone() };
        self.provider.follow(&settled, &self.fence(effect)).await?;
        let known = KnownGood { release: Some(release.to_string()), set: Some(set) };
        self.record.write(&known).await
    }
}
