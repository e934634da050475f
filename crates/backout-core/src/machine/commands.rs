//! A person's commands: taken in the right phase, refused with a reason in any other.

use super::Machine;
use super::effect::{Command, Effects, Outcome, TimerReason};
use super::state::{At, Phase};
use crate::journal::Event;
use crate::plan::{Action, Cause};
use crate::units::{Limit, Time};

impl Machine {
    pub(super) fn commanded(&mut self, now: Time, command: Command, out: &mut Effects) {
        if let Err(why) = self.permits(&command) {
            out.records.push(Event::Refused { command, why });
            return;
        }
        out.records.push(Event::Commanded { command: command.clone() });
        match command {
            Command::Promote if self.state.phase == Phase::Holding => {
                self.state.paused = false;
                self.resume(now, "a person says so", out);
            }
            Command::Promote => self.step_done(now, "a person agreed", out),
            Command::Pause => {
                self.state.paused = true;
                if let Limit::Within(within) = self.brief.policy.spec.deadlines.pause {
                    self.arm(now + within, TimerReason::PauseDeadline, out);
                }
            }
            Command::Resume if self.state.phase == Phase::Holding => {
                self.state.paused = false;
                self.resume(now, "a person says so", out);
            }
            Command::Resume => {
                self.state.paused = false;
                self.disarm(TimerReason::PauseDeadline);
                if self.state.track.at == At::Paused {
                    out.records.push(Event::Resumed { why: "a person says so".to_owned() });
                    self.enter(now, out);
                }
            }
            Command::Seal => self.step_done(now, "another release is to follow", out),
            Command::Abort | Command::Rollback => {
                let cause = Cause::Operator { command: command.to_string() };
                self.go_back(now, cause, out);
            }
        }
    }

    /// A pause is a wait for a person, and no wait is for ever.
    pub(super) fn pause_expired(&mut self, now: Time, out: &mut Effects) {
        if self.state.paused && self.state.phase == Phase::Forward {
            let question = "the rollout is paused. Go on?".to_owned();
            self.go_back(now, Cause::NotApproved { question }, out);
        }
    }

    /// Whether a command fits the phase.
    ///
    /// # Errors
    /// Why it does not.
    pub fn permits(&self, command: &Command) -> Result<(), String> {
        match command {
            Command::Promote => self.permits_promote(),
            Command::Pause => self.permits_pause(),
            Command::Resume => match self.state.phase {
                Phase::Holding => Ok(()),
                Phase::Forward if self.state.paused => Ok(()),
                _ => Err("the rollout is neither paused nor held".to_owned()),
            },
            Command::Abort => match self.state.phase {
                _ if self.state.reached.promoted => {
                    Err("the release is promoted already; use rollback".to_owned())
                }
                _ => self.permits_going_back(),
            },
            Command::Rollback => self.permits_going_back(),
            Command::Seal => self.permits_seal(),
        }
    }

    fn permits_seal(&self) -> Result<(), String> {
        let keeps = matches!(
            self.state.track.step().map(|step| &step.action),
            Some(Action::KeepPrevious { .. })
        );
        match self.state.phase {
            Phase::Forward if keeps => Ok(()),
            Phase::Ended => Err("the rollout has ended".to_owned()),
            _ => Err("the release is not promoted yet".to_owned()),
        }
    }

    fn permits_promote(&self) -> Result<(), String> {
        let asked = matches!(
            self.state.track.step().map(|step| &step.action),
            Some(Action::Approve { .. })
        );
        match self.state.phase {
            Phase::Forward if asked && self.state.track.at == At::Waiting => Ok(()),
            Phase::Holding => Ok(()),
            Phase::Forward => {
                Err("nobody was asked: the rollout goes on by evidence, not by command".to_owned())
            }
            Phase::Deciding | Phase::Back => Err("the rollout is going back".to_owned()),
            Phase::Held => Err("the rollout is held for a decision; use rollback".to_owned()),
            Phase::Ready | Phase::Surveying => Err("the rollout has not begun".to_owned()),
            Phase::Ended => Err("the rollout has ended".to_owned()),
        }
    }

    fn permits_pause(&self) -> Result<(), String> {
        match self.state.phase {
            _ if self.state.paused => Err("the rollout is paused already".to_owned()),
            Phase::Forward if self.state.reached.promoted => {
                Err("the release is promoted already".to_owned())
            }
            Phase::Forward => Ok(()),
            Phase::Deciding | Phase::Back => {
                Err("the rollout is going back, which is never paused".to_owned())
            }
            Phase::Holding | Phase::Held => Err("the rollout is held already".to_owned()),
            Phase::Ready | Phase::Surveying => Err("the rollout has not begun".to_owned()),
            Phase::Ended => Err("the rollout has ended".to_owned()),
        }
    }

    fn permits_going_back(&self) -> Result<(), String> {
        match self.state.phase {
            Phase::Forward | Phase::Holding | Phase::Held => Ok(()),
            Phase::Deciding | Phase::Back => Err("the rollout is going back already".to_owned()),
            Phase::Ready | Phase::Surveying => Err("nothing was changed yet".to_owned()),
            Phase::Ended => match &self.state.outcome {
                Some(Outcome::RollbackFailed(_)) => Ok(()),
                Some(Outcome::Promoted) => {
                    Err("the release is sealed and the previous one is scaled down; release the \
                     previous one again"
                        .to_owned())
                }
                _ => Err("the rollout has ended, nothing is left to take back".to_owned()),
            },
        }
    }
}
