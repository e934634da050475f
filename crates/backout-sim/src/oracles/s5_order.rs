//! S5: order: capacity, readiness, traffic, drain, scale-down.
//!
//! Why: each step out of order sends users to pods that are not there yet, or not there any more.
//! Mutants: one ready replica is taken for all that were asked for; the failed release is scaled
//! down before traffic left it; a way back makes its changes stick before it moves traffic.

use backout_core::machine::{Phase, Request};
use backout_core::plan::{Brief, Direction, Pattern, Stage, Step};
use backout_core::snapshot::Arm;

use super::{About, Oracle, View, Violation};
use crate::world::Happening;

const ABOUT: About =
    About { number: "S5", property: "order: capacity, readiness, traffic, drain, scale-down" };

/// All traffic, in parts per million.
const FULL: u32 = 1_000_000;

/// S5: order: capacity, readiness, traffic, drain, scale-down. In a way back that moves traffic,
/// nothing is made to stick and nothing is closed before it moved.
///
/// Stands for K7, traffic and scale in the wrong order (argoproj/argo-rollouts#2235), for K18, no
/// room for the share that is sent, and for the flag that was reverted after the code (Knight
/// Capital 2012).
///
/// Capacity is measured against the size that the stable release had at the start. A share that
/// sinks needs none.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Replicas of the stable release at the start.
    size: Option<u32>,
    /// Share of the candidate that the route asks for, in parts per million.
    asked_ppm: u32,
    /// The same as the engine last wrote it.
    written_ppm: u32,
    reported: bool,
}

impl Oracle for Order {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        let stable = view.world.sets.stable.as_ref();
        let size = *self.size.get_or_insert_with(|| stable.map_or(0, |set| set.desired));
        let sticks = self.sticks_early(view);
        let out_of_order = view.news.iter().find_map(|news| self.takes(news, size));
        let what = out_of_order.or(sticks).filter(|_| !self.reported)?;
        self.reported = true;
        Some(ABOUT.breach(view.now, what))
    }
}

impl Order {
    /// Takes note of what was done; says what is wrong with it.
    fn takes(&mut self, news: &Happening, size: u32) -> Option<String> {
        match *news {
            Happening::Routed { ppm, by_engine, stable_ready, candidate_ready } => {
                let before = std::mem::replace(&mut self.asked_ppm, ppm);
                if !by_engine {
                    return None;
                }
                self.written_ppm = ppm;
                let (arm, ready, share) = match ppm {
                    _ if ppm > before => (Arm::Candidate, candidate_ready, ppm),
                    _ if ppm < before => (Arm::Stable, stable_ready, FULL - ppm),
                    _ => return None,
                };
                let needed = replicas_for(share, size);
                (ready < needed).then(|| {
                    format!("{arm} gets {}% with {ready} of {needed} pods ready", share / 10_000)
                })
            }
            Happening::Scaled { arm, from, to, share_ppm } if to < from && share_ppm > 0 => {
                Some(format!(
                    "{arm} is scaled from {from} to {to} while it serves {}.{}% of the traffic",
                    share_ppm / 10_000,
                    share_ppm / 1_000 % 10
                ))
            }
            Happening::Scaled { .. } | Happening::Performed { .. } => None,
        }
    }

    /// A step of the way back that is taken before traffic moved.
    fn sticks_early(&self, view: &View<'_>) -> Option<String> {
        // Whoever moved it: a route that asks for nothing has moved, and one that the engine wrote
        // so has too, whatever was made of it since.
        if view.effects.effects.is_empty() || self.written_ppm == 0 || self.asked_ppm == 0 {
            return None;
        }
        let step = late_step(view)?;
        let asked = view.effects.effects.iter().any(|effect| match &effect.request {
            Request::Apply(action) => *action == step.action,
            Request::Observe | Request::RunGate(_) | Request::Probe { .. } | Request::Query(_) => {
                false
            }
        });
        asked.then(|| format!("`{}` is done before traffic moved back", step.name))
    }
}

/// The step at hand, if it belongs to a way back that moves traffic, and comes after that.
fn late_step<'a>(view: &View<'a>) -> Option<&'a Step> {
    let track = &view.state.track;
    let Direction::Back { pattern } = track.plan.direction else { return None };
    let step = track.step().filter(|step| matches!(step.stage, Stage::Stick | Stage::Close))?;
    let moves = moves_traffic(&view.world.brief, pattern);
    (view.state.phase == Phase::Back && moves).then_some(step)
}

/// Whether a pattern takes users off the candidate. A flag that is turned off, and configuration
/// that is restored under the release that serves, leave them there.
fn moves_traffic(brief: &Brief, pattern: Pattern) -> bool {
    match pattern {
        Pattern::Cancel | Pattern::Traffic | Pattern::Combined => true,
        Pattern::Config => brief.candidate.same_images(&brief.stable),
        Pattern::DataAware => false,
    }
}

/// Replicas that a share needs, rounded up, at least one.
fn replicas_for(share_ppm: u32, size: u32) -> u32 {
    let needed = (u64::from(share_ppm) * u64::from(size)).div_ceil(u64::from(FULL)).max(1);
    u32::try_from(needed).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backout_core::machine::{Effect, Effects, Input, Machine, Phase, Precondition, Request};
    use backout_core::plan::{Action, ScalePurpose, Stage};
    use backout_core::snapshot::{Arm, Fact};
    use backout_core::units::Time;

    use super::super::testing::{
        Bug, Case, assert_clean, assert_found, extra, has_triggered, precondition_of, rewrite,
    };
    use super::replicas_for;

    /// Takes one ready replica for all that were asked for.
    #[derive(Clone)]
    struct Hopeful;

    impl Bug for Hopeful {
        fn hear(&mut self, _: &mut Machine, _: Time, mut input: Input) -> Option<Input> {
            if let Input::Observed(snapshot) = &mut input
                && let Fact::Known { value: Some(set), .. } = &mut snapshot.sets.candidate
                && set.ready > 0
            {
                set.ready = set.desired;
            }
            Some(input)
        }
    }

    /// Scales the failed release down first.
    #[derive(Clone, Default)]
    struct Eager {
        candidate: Option<Precondition>,
    }

    impl Bug for Eager {
        fn hear(&mut self, _: &mut Machine, _: Time, input: Input) -> Option<Input> {
            self.candidate = precondition_of(&input, Arm::Candidate).or(self.candidate);
            Some(input)
        }

        fn act(&mut self, machine: &mut Machine, _: Time, mut effects: Effects) -> Effects {
            if has_triggered(&effects) {
                let purpose = ScalePurpose::Evidence;
                let action = Action::Scale { arm: Arm::Candidate, replicas: 1, purpose };
                let mut effect = extra(machine, 0, Request::Apply(action));
                effect.precondition = self.candidate;
                effects.effects.push(effect);
            }
            effects
        }
    }

    /// Makes changes stick before it moves traffic.
    #[derive(Clone, Default)]
    struct SlowFirst {
        has_sorted: bool,
    }

    impl Bug for SlowFirst {
        fn act(&mut self, machine: &mut Machine, _: Time, mut effects: Effects) -> Effects {
            let moves = |effect: &&mut Effect| {
                matches!(effect.request, Request::Apply(Action::SetWeight { .. }))
            };
            let moving = effects.effects.iter_mut().find(moves);
            let Some(moving) = moving.filter(|_| machine.state().phase == Phase::Back) else {
                return effects;
            };
            if !std::mem::replace(&mut self.has_sorted, true) {
                rewrite(machine, |state| {
                    let plan = Arc::make_mut(&mut state.track.plan);
                    // Stable: the steps of one stage keep their order.
                    plan.steps.sort_by_key(|step| step.stage == Stage::Return);
                    let slow = plan.steps.iter().position(|step| step.stage == Stage::Stick);
                    state.track.cursor = slow.expect("something is to stick");
                    moving.request = Request::Apply(plan.steps[state.track.cursor].action.clone());
                    state.pending.insert(moving.id, moving.request.clone());
                });
            }
            effects
        }
    }

    #[test]
    fn the_machine_keeps_the_order() {
        for fault in ["error-rate", "error-rate-after-promotion", "module-breaks-app"] {
            assert_clean(&Case::fault(fault).run());
        }
    }

    #[test]
    fn an_engine_that_takes_one_for_all_is_caught() {
        assert_found(&Case::healthy().run_with(Hopeful), "S5");
    }

    #[test]
    fn an_engine_that_scales_down_before_the_drain_is_caught() {
        assert_found(&Case::fault("error-rate-after-promotion").run_with(Eager::default()), "S5");
    }

    #[test]
    fn an_engine_that_moves_traffic_last_is_caught() {
        assert_found(&Case::fault("error-rate").run_with(SlowFirst::default()), "S5");
    }

    #[test]
    fn a_share_needs_replicas_rounded_up() {
        assert_eq!(replicas_for(10_000, 4), 1);
        assert_eq!(replicas_for(250_000, 4), 1);
        assert_eq!(replicas_for(260_000, 4), 2);
        assert_eq!(replicas_for(1_000_000, 4), 4);
    }
}
