//! Figures of runs, from what is stored of them.

use std::collections::BTreeMap;
use std::time::Duration;

use backout_core::journal::{Entry, Event};
use backout_core::machine::{EffectId, EffectResult, Request};
use backout_core::plan::Action;
use backout_core::replay::Taken;
use backout_core::units::Time;

use crate::manager::due::Key;
use crate::serve::Metrics;

/// What is under way of each run.
#[derive(Debug, Default)]
pub struct Figures {
    runs: BTreeMap<Key, Run>,
}

#[derive(Debug, Default)]
struct Run {
    asked: BTreeMap<EffectId, Request>,
    /// When a way back was decided that has not written the route yet.
    decided: Option<Time>,
}

impl Figures {
    /// Counts one entry of a run's journal.
    pub fn count(&mut self, key: &Key, entry: &Entry, metrics: &Metrics) {
        match &entry.event {
            Event::Took { input } => {
                metrics.stepped();
                if let Taken::Done { effect, result } = &**input {
                    self.answered(key, *effect, result, entry.at, metrics);
                }
            }
            Event::Asked { effect, request } => {
                self.run(key).asked.insert(*effect, request.clone());
            }
            Event::Decided { .. } => self.run(key).decided = Some(entry.at),
            Event::Ended { outcome, .. } => {
                metrics.run_ended(outcome);
                self.runs.remove(key);
            }
            _ => {}
        }
    }

    fn run(&mut self, key: &Key) -> &mut Run {
        self.runs.entry(key.clone()).or_default()
    }

    fn answered(
        &mut self,
        key: &Key,
        effect: EffectId,
        result: &EffectResult,
        at: Time,
        metrics: &Metrics,
    ) {
        let run = self.run(key);
        let Some(request) = run.asked.remove(&effect) else { return };
        metrics.effect_ended(&request, result);
        let moved = matches!(request, Request::Apply(Action::SetWeight { .. }))
            && *result == EffectResult::Applied;
        if let (true, Some(decided)) = (moved, run.decided) {
            run.decided = None;
            metrics.decision_to_write(Duration::from_millis(at.since(decided).as_millis()));
        }
    }
}
