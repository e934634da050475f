//! S9: commands in a wrong phase are refused.
//!
//! Why: a person acts on what they saw a moment ago; the engine knows what is true now.
//! Mutants: a command is taken whatever the phase; a pause is forgotten.

use backout_core::journal::Event as Entry;
use backout_core::machine::{At, Command, Outcome, Phase, State};
use backout_core::plan::Action;

use super::{About, Oracle, View, Violation};

const ABOUT: About = About { number: "S9", property: "commands in a wrong phase are refused" };

/// S9: commands in a wrong phase are refused, a refused one changes nothing, and an accepted pause
/// lasts until it is ended.
///
/// Stands for K8: `abort` with no rollout under way scaled the stable release to zero
/// (argoproj/argo-rollouts#1292), and for K1: a rollout that a person had paused went on by itself
/// (argoproj/argo-rollouts#720).
///
/// | command | permitted |
/// |---|---|
/// | promote | a step asks a person, or the rollout holds for a shared cause |
/// | pause | forward, not promoted, not paused |
/// | resume | forward and paused, or the rollout holds for a shared cause |
/// | abort | forward, holding, held, or after a failed way back; not promoted |
/// | rollback | forward, holding, held, or after a failed way back |
#[derive(Debug, Default)]
pub(super) struct Commands {
    before: Option<Standing>,
    reported: bool,
}

/// What the permission of a command rests on.
#[derive(Clone, Debug)]
struct Standing {
    phase: Phase,
    promoted: bool,
    paused: bool,
    /// The step is done, and the next one waits for the end of the pause.
    stands: bool,
    /// The previous release is kept ready.
    keeps: bool,
    /// A step waits for a person's answer.
    asks: bool,
    /// A way back ended without success.
    failed: bool,
}

impl Oracle for Commands {
    fn about(&self) -> About {
        ABOUT
    }

    fn check(&mut self, view: &View<'_>) -> Option<Violation> {
        let now = Standing::of(view.state);
        let before = self.before.replace(now)?;
        if self.reported {
            return None;
        }
        let what = wrong(&before, view)?;
        self.reported = true;
        Some(ABOUT.breach(view.now, what))
    }
}

fn wrong(before: &Standing, view: &View<'_>) -> Option<String> {
    let records = &view.effects.records;
    records.iter().find_map(|record| {
        if let Entry::Commanded { command } = record {
            let why = before.forbids(command)?;
            Some(format!("`{command}` is accepted although {why}"))
        } else if let Entry::Refused { command, .. } = record {
            let acts = !view.effects.effects.is_empty() || !view.effects.arms.is_empty();
            acts.then(|| format!("`{command}` is refused, and something is done nevertheless"))
        } else if let Entry::StepStarted { step, .. } = record {
            let paused = before.paused && view.state.paused && view.state.phase == Phase::Forward;
            // The step at hand may begin anew; the one after it may not begin.
            let next = before.stands
                || records.iter().any(|record| matches!(record, Entry::StepDone { .. }));
            (paused && next)
                .then(|| format!("step {step} begins although a person paused the rollout"))
        } else {
            None
        }
    })
}

impl Standing {
    fn of(state: &State) -> Self {
        let step = state.track.step().map(|step| &step.action);
        Self {
            phase: state.phase.clone(),
            promoted: state.reached.promoted,
            paused: state.paused,
            stands: state.track.at == At::Paused,
            keeps: matches!(step, Some(Action::KeepPrevious { .. })),
            asks: matches!(step, Some(Action::Approve { .. })) && state.track.at == At::Waiting,
            failed: matches!(state.outcome, Some(Outcome::RollbackFailed(_))),
        }
    }

    /// Why a command is out of place; nothing when it is not.
    fn forbids(&self, command: &Command) -> Option<&'static str> {
        let forward = self.phase == Phase::Forward;
        let holding = self.phase == Phase::Holding;
        let can_go_back = match self.phase {
            Phase::Forward | Phase::Holding | Phase::Held => true,
            Phase::Ended => self.failed,
            Phase::Ready | Phase::Surveying | Phase::Deciding | Phase::Back => false,
        };
        let (permitted, why) = match command {
            Command::Promote => ((forward && self.asks) || holding, "nobody was asked"),
            Command::Pause => {
                (forward && !self.promoted && !self.paused, "there is nothing to pause")
            }
            Command::Resume => ((forward && self.paused) || holding, "nothing stands still"),
            Command::Abort => {
                (can_go_back && !self.promoted, "there is no rollout that could be given up")
            }
            Command::Rollback => (can_go_back, "there is nothing to go back from"),
            Command::Seal => (forward && self.keeps, "no previous release is kept ready"),
        };
        (!permitted).then_some(why)
    }
}

#[cfg(test)]
mod tests {
    use backout_core::journal::Event as Entry;
    use backout_core::machine::{At, Command, Effects, Input, Machine, Phase};
    use backout_core::plan::Action;
    use backout_core::units::{Span, Time};

    use super::super::testing::{Bug, Case, assert_clean, assert_found, rewrite};

    /// Takes every `promote` for an answer to a question.
    #[derive(Clone)]
    struct Obliging;

    impl Bug for Obliging {
        fn hear(&mut self, machine: &mut Machine, _: Time, input: Input) -> Option<Input> {
            if input == Input::Command(Command::Promote) {
                rewrite(machine, |state| {
                    let cursor = state.track.cursor;
                    let plan = std::sync::Arc::make_mut(&mut state.track.plan);
                    plan.steps[cursor].action = Action::Approve { question: "?".to_owned() };
                    state.track.at = At::Waiting;
                });
            }
            Some(input)
        }
    }

    /// Takes an `abort` on the way back.
    #[derive(Clone)]
    struct Restless;

    impl Bug for Restless {
        fn hear(&mut self, machine: &mut Machine, _: Time, input: Input) -> Option<Input> {
            if input == Input::Command(Command::Abort) {
                rewrite(machine, |state| state.phase = Phase::Forward);
            }
            Some(input)
        }
    }

    /// Goes on by itself when a step is done, although it says that it is paused.
    #[derive(Clone)]
    struct Sleepwalker;

    impl Bug for Sleepwalker {
        fn act(&mut self, machine: &mut Machine, now: Time, mut effects: Effects) -> Effects {
            if machine.state().track.at == At::Paused {
                let next = machine.step(now, Input::Command(Command::Resume));
                effects.records.extend(
                    next.records
                        .into_iter()
                        .filter(|record| !matches!(record, Entry::Commanded { .. })),
                );
                effects.arms.extend(next.arms);
                effects.effects.extend(next.effects);
                rewrite(machine, |state| state.paused = true);
            }
            effects
        }
    }

    fn every_command_every_20_seconds() -> Case {
        let commands = [Command::Promote, Command::Pause, Command::Resume];
        (1..60).fold(Case::fault("error-rate"), |case, minute| {
            commands.iter().zip(0..).fold(case, |case, (command, nth)| {
                case.person(Span::from_secs(60 * minute + 20 * nth), command.clone())
            })
        })
    }

    #[test]
    fn the_machine_refuses_what_is_out_of_place() {
        assert_clean(&every_command_every_20_seconds().run());
        for command in [Command::Abort, Command::Rollback] {
            let twice = (0..600).fold(Case::healthy(), |case, second| {
                case.person(Span::from_secs(second), command.clone())
            });
            assert_clean(&twice.run());
        }
    }

    #[test]
    fn an_engine_that_takes_every_promote_is_caught() {
        let case = Case::healthy().person(Span::from_secs(3), Command::Promote);
        assert_clean(&case.run());
        assert_found(&case.run_with(Obliging), "S9");
    }

    #[test]
    fn an_engine_that_aborts_on_the_way_back_is_caught() {
        let abort = |case: Case, second| case.person(Span::from_secs(second), Command::Abort);
        let case = (1..600).fold(Case::fault("smoke-test-fails"), abort);
        assert_found(&case.run_with(Restless), "S9");
    }

    #[test]
    fn an_engine_that_forgets_a_pause_is_caught() {
        let case = Case::healthy().person(Span::from_mins(2), Command::Pause);
        assert_found(&case.run_with(Sleepwalker), "S9");
    }
}
