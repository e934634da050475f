//! What is counted, for Prometheus.

use std::time::Duration;

use backout_core::machine::{EffectResult, Outcome, Request};
use backout_core::plan::Action;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper ends, in seconds: from one quick write to an API server that is about to time out.
const BUCKETS_S: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 15.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Effect {
    kind: &'static str,
    result: &'static str,
}

/// Everything that is counted. Labels take only words that are listed here, so that there is a
/// bounded number of series.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    is_leader: Gauge,
    runs_active: Gauge,
    runs_ended: Family<Ended, Counter>,
    steps: Counter,
    effects: Family<Effect, Counter>,
    decision_to_write: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("backout"),
            is_leader: Gauge::default(),
            runs_active: Gauge::default(),
            runs_ended: Family::default(),
            steps: Counter::default(),
            effects: Family::default(),
            decision_to_write: Histogram::new(BUCKETS_S),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("is_leader", "1 while this process leads", self.is_leader.clone());
        registry.register(
            "runs_active",
            "Releases that this process is driving",
            self.runs_active.clone(),
        );
        registry.register("runs_ended", "Releases that ended, by outcome", self.runs_ended.clone());
        registry.register("steps", "Inputs that machines took", self.steps.clone());
        registry.register(
            "effects",
            "Requests of machines that were answered, by kind and result",
            self.effects.clone(),
        );
        registry.register(
            "decision_to_write_seconds",
            "Time from a decision to the first write that carries it out",
            self.decision_to_write.clone(),
        );
    }

    /// Whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.is_leader.set(i64::from(leads));
    }

    /// How many releases this process drives.
    pub fn active(&self, runs: usize) {
        self.runs_active.set(i64::try_from(runs).unwrap_or(i64::MAX));
    }

    /// A release ended so. One that is promoted and goes back later ends twice.
    pub fn run_ended(&self, outcome: &Outcome) {
        self.runs_ended.get_or_create(&Ended { outcome: outcome_word(outcome) }).inc();
    }

    /// A machine took an input.
    pub fn stepped(&self) {
        self.steps.inc();
    }

    /// A request of a machine was answered.
    pub fn effect_ended(&self, request: &Request, result: &EffectResult) {
        let effect = Effect { kind: request_word(request), result: result_word(result) };
        self.effects.get_or_create(&effect).inc();
    }

    /// How long it took from a decision to the first write that carries it out.
    pub fn decision_to_write(&self, took: Duration) {
        self.decision_to_write.observe(took.as_secs_f64());
    }

    /// All of it as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            // Writing to a string cannot fail, and half of the metrics would lie.
            text.clear();
        }
        text
    }
}

fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Promoted => "promoted",
        Outcome::Cancelled => "cancelled",
        Outcome::RolledBack(_) => "rolled-back",
        Outcome::Held(_) => "held",
        Outcome::RolledForward => "rolled-forward",
        Outcome::RollbackFailed(_) => "rollback-failed",
    }
}

fn request_word(request: &Request) -> &'static str {
    match request {
        Request::Observe => "observe",
        Request::RunGate(_) => "run-gate",
        Request::Probe { .. } => "probe",
        Request::Query(_) => "query",
        Request::Apply(action) => action_word(action),
    }
}

fn action_word(action: &Action) -> &'static str {
    match action {
        Action::Gate { .. } => "gate",
        Action::SetModule { .. } => "set-module",
        Action::Migrate { .. } => "migrate",
        Action::SetFlag { .. } => "set-flag",
        Action::CreateSet { .. } => "create-set",
        Action::Scale { .. } => "scale",
        Action::SetWeight { .. } => "set-weight",
        Action::Analyse { .. } => "analyse",
        Action::Approve { .. } => "approve",
        Action::Bake { .. } => "bake",
        Action::MarkKnownGood { .. } => "mark-known-good",
        Action::KeepPrevious { .. } => "keep-previous",
        Action::SetConfig { .. } => "set-config",
        Action::Quarantine { .. } => "quarantine",
        Action::Settle { .. } => "settle",
        Action::ConfirmRecovery => "confirm-recovery",
        Action::Notify { .. } => "notify",
        Action::CheckResidue => "check-residue",
    }
}

fn result_word(result: &EffectResult) -> &'static str {
    match result {
        EffectResult::Refused(_) => "refused",
        EffectResult::Failed(_) => "failed",
        EffectResult::Ambiguous(_) => "ambiguous",
        EffectResult::Applied
        | EffectResult::Gate(_)
        | EffectResult::Share { .. }
        | EffectResult::Measured(_) => "done",
    }
}
