//! S4: running digest = verified digest = recorded digest.
//!
//! Why: whatever was built, scanned and signed, users get what runs.
//! Mutant: what the cluster runs is believed to be what was recorded.

use backout_core::release::Release;
use backout_core::snapshot::Arm;

use super::{About, Oracle, View, Violation};

const ABOUT: About =
    About { number: "S4", property: "running digest = verified digest = recorded digest" };

/// S4: running digest = verified digest = recorded digest, for every release that gets traffic.
///
/// Stands for F1: a tag that was pushed again between build and deployment, by a retried job or
/// by an attacker (Codecov 2021), and for the one server of eight that ran other code than the
/// rest (Knight Capital 2012).
#[derive(Debug, Default)]
pub(super) struct RunningDigest {
    reported: bool,
}

impl Oracle for RunningDigest {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        // Shares and sets change only with news: a written route, a created set.
        if self.reported || view.news.is_empty() {
            return None;
        }
        let brief = &view.world.brief;
        let what = [(Arm::Stable, &brief.stable), (Arm::Candidate, &brief.candidate)]
            .into_iter()
            .filter(|(arm, _)| gets_traffic(view, *arm))
            .find_map(|(arm, release)| differs(view, arm, release))?;
        self.reported = true;
        Some(ABOUT.breach(view.now, what))
    }
}

/// Whether the arm gets traffic, or is asked to.
const fn gets_traffic(view: &View<'_>, arm: Arm) -> bool {
    let asked = view.world.gateway.asked_ppm;
    match arm {
        Arm::Stable => asked < 1_000_000,
        Arm::Candidate => asked > 0,
    }
}

fn differs(view: &View<'_>, arm: Arm, release: &Release) -> Option<String> {
    let set = view.world.sets.get(arm).as_ref()?;
    let image = release
        .spec
        .images
        .iter()
        .find(|image| set.running.get(&image.name) != Some(&image.digest))?;
    let running = set.running.get(&image.name).map_or("nothing", |digest| digest.short());
    Some(format!(
        "{arm} gets traffic, container {} runs {running}, the record says {}",
        image.name,
        image.digest.short()
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backout_core::judgement::Verdict;
    use backout_core::machine::{EffectResult, Input, Machine};
    use backout_core::snapshot::Fact;
    use backout_core::units::Time;

    use super::super::testing::{Bug, Case, assert_clean, assert_found};

    /// Takes what runs for what was recorded, and every gate for passed.
    #[derive(Clone)]
    struct Trusting;

    impl Bug for Trusting {
        fn hear(&mut self, machine: &mut Machine, _: Time, mut input: Input) -> Option<Input> {
            match &mut input {
                Input::Observed(snapshot) => {
                    if let Fact::Known { value: Some(set), .. } = &mut snapshot.sets.candidate {
                        set.running = machine.brief().candidate_digests();
                    }
                }
                Input::Done { result: EffectResult::Gate(report), .. } => {
                    report.verdict = Verdict::Pass;
                }
                Input::Start
                | Input::Done { .. }
                | Input::Timer(_)
                | Input::Command(_)
                | Input::Restarted => {}
            }
            Some(input)
        }
    }

    #[test]
    fn the_machine_compares_digests() {
        assert_clean(&Case::fault("tag-moved").run());
        // Without the gate on digests, what runs still shows.
        let mut case = Case::fault("tag-moved");
        Arc::make_mut(&mut case.brief.policy).spec.gates.clear();
        assert_clean(&case.run());
    }

    #[test]
    fn an_engine_that_trusts_tags_is_caught() {
        assert_found(&Case::fault("tag-moved").run_with(Trusting), "S4");
    }
}
