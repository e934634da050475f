//! After a crash: what was under way is found out by observing, never by assuming.

use super::Machine;
use super::effect::{EffectId, Effects, Request, TimerReason};
use super::state::{At, Phase};
use crate::journal::Event;
use crate::plan::Action;
use crate::units::Time;

impl Machine {
    pub(super) fn restarted(&mut self, now: Time, out: &mut Effects) {
        let pending = std::mem::take(&mut self.state.pending);
        out.records.push(Event::Restarted { pending: pending.keys().copied().collect() });
        self.state.generation += 1;
        // Nobody could keep a deadline while the controller was gone. What is overdue only because
        // of that gets the lost time back, and the world is read before anything is given up.
        let outage = now.since(self.state.last_step);
        for reason in
            [TimerReason::StepDeadline, TimerReason::RolloutDeadline, TimerReason::DecisionDeadline]
        {
            if let Some(at) = self.state.timers.get_mut(&reason) {
                *at = *at + outage;
            }
        }
        for (id, request) in pending {
            self.take_up(now, id, request, out);
        }
        // Timers live in the stored state; whoever keeps time for the machine has forgotten them.
        out.arms.extend(self.state.timers.iter().map(|(reason, at)| (*at, *reason)));
        self.rouse(now, out);
    }

    fn take_up(&mut self, now: Time, id: EffectId, request: Request, out: &mut Effects) {
        let at = self.state.track.at;
        match request {
            // Asked again below, where something still waits for it.
            Request::Observe => {}
            Request::RunGate(_) if at == At::Gating(id) => {
                self.ask_as(id, request, None, out);
            }
            Request::Probe { .. } if at == At::Probing(id) => {
                self.ask_as(id, request, None, out);
            }
            Request::Query(window) => {
                if self.state.watch.as_ref().is_some_and(|watch| watch.asked == Some((id, window)))
                {
                    self.ask_as(id, request, None, out);
                }
            }
            // A message leaves no trace to look for. It goes out again under the same id, and the
            // receiver of the id knows whether it has been sent.
            Request::Apply(Action::Notify { .. }) => self.ask_as(id, request, None, out),
            Request::Apply(_) if at == At::Performing(id) => {
                self.state.track.reuse = Some(id);
                self.observe(now, out);
            }
            Request::RunGate(_) | Request::Probe { .. } | Request::Apply(_) => {}
        }
    }

    /// Asks for the observation that the machine was waiting for.
    fn rouse(&mut self, now: Time, out: &mut Effects) {
        let asked = self.state.pending.values().any(|request| *request == Request::Observe);
        if asked {
            return;
        }
        match (&self.state.phase, self.state.track.at) {
            (Phase::Surveying | Phase::Deciding, _) => self.ask_to_observe(now, out),
            (Phase::Forward | Phase::Back, At::Observing) => self.observe(now, out),
            _ => {}
        }
    }
}
