//! S1: no traffic weight to a version with no ready endpoint.
//!
//! Why: whoever is sent there gets an error, however good the release is.
//! Mutant: the route is written as soon as the candidate's set is asked for.

use backout_core::snapshot::Arm;
use backout_core::units::Time;

use super::{About, Oracle, UNSEEN, View, Violation};
use crate::world::Happening;

const ABOUT: About =
    About { number: "S1", property: "no traffic weight to a version with no ready endpoint" };

/// S1: no traffic weight to a version with no ready endpoint.
///
/// Stands for K7 and K13: the old replica set was at zero three minutes before the selector moved
/// (argoproj/argo-rollouts#2235), and a second bad revision emptied the selector of the service
/// that users are on (argoproj/argo-rollouts#4750).
///
/// Only what the engine does counts: a share that its own write raises, and endpoints that it
/// takes away under traffic. Pods that die by themselves are a fault; the engine breaks the
/// property when it sends them traffic nevertheless.
#[derive(Debug, Default)]
pub(super) struct ReadyEndpoints {
    /// Share of the candidate that the route asks for, in parts per million.
    asked_ppm: u32,
    /// When somebody else last wrote the route.
    by_others: Option<Time>,
    reported: bool,
}

impl Oracle for ReadyEndpoints {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        let what = view.news.iter().find_map(|news| self.takes(news, view.now));
        let what = what.filter(|_| !self.reported)?;
        self.reported = true;
        Some(ABOUT.breach(view.now, what))
    }
}

impl ReadyEndpoints {
    /// Takes note of what was done; says what is wrong with it.
    fn takes(&mut self, news: &Happening, now: Time) -> Option<String> {
        match *news {
            Happening::Routed { ppm, by_engine, stable_ready, candidate_ready } => {
                let before = std::mem::replace(&mut self.asked_ppm, ppm);
                self.by_others = (!by_engine).then_some(now);
                let to_nobody = |arm| {
                    Some(format!("the engine sends more traffic to {arm}, which has no ready pod"))
                };
                if by_engine && ppm > before && candidate_ready == 0 {
                    to_nobody(Arm::Candidate)
                } else if by_engine && ppm < before && stable_ready == 0 {
                    to_nobody(Arm::Stable)
                } else {
                    None
                }
            }
            Happening::Scaled { arm, from, to: 0, share_ppm } if from > 0 => {
                let unseen = self.by_others.is_some_and(|at| now.since(at) <= UNSEEN);
                let asked = if unseen { share_ppm } else { share_ppm.max(self.asked_for(arm)) };
                (asked > 0).then(|| {
                    format!("{arm} is scaled to zero with {} of the traffic", percent(asked))
                })
            }
            Happening::Scaled { .. } | Happening::Performed { .. } => None,
        }
    }

    const fn asked_for(&self, arm: Arm) -> u32 {
        match arm {
            Arm::Stable => 1_000_000 - self.asked_ppm,
            Arm::Candidate => self.asked_ppm,
        }
    }
}

/// Parts per million as people read them.
fn percent(ppm: u32) -> String {
    let tenths = ppm / 1_000;
    format!("{}.{}%", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use backout_core::machine::{Effects, Machine, Request};
    use backout_core::plan::Action;
    use backout_core::units::{Time, Weight};

    use super::super::testing::{Bug, Case, assert_clean, assert_found, extra, is_asked};

    /// Writes the route as soon as the candidate's set is asked for.
    #[derive(Clone)]
    struct Hasty;

    impl Bug for Hasty {
        fn act(&mut self, machine: &mut Machine, _: Time, mut effects: Effects) -> Effects {
            if is_asked(&effects, |action| matches!(action, Action::CreateSet { .. })) {
                let action = Action::SetWeight { candidate: Weight::FULL };
                effects.effects.push(extra(machine, 0, Request::Apply(action)));
            }
            effects
        }
    }

    #[test]
    fn the_machine_waits_for_endpoints() {
        assert_clean(&Case::fault("readiness-never").run());
        assert_clean(&Case::fault("error-rate").run());
    }

    #[test]
    fn an_engine_that_does_not_wait_is_caught() {
        assert_found(&Case::healthy().run_with(Hasty), "S1");
    }
}
