//! Hand-made sweeps for the tests of everything that shows one.

use backout_core::policy::Metadata;
use backout_core::units::Name;
use backout_sim::faults::catalogue;
use backout_sim::scenario::{FaultPlan, ScenarioKind, ScenarioSpec};

use super::*;
use crate::report::simulation::samples::setting;

/// No failures.
pub(crate) fn clean() -> SweepReport {
    let sweep = Sweep {
        seeds: 10_000,
        classes: [(Class::Unaffected, 7_000), (Class::Cancelled, 2_000), (Class::Held, 1_000)]
            .into(),
        exercised: catalogue().iter().skip(2).map(|named| (named.name, 321)).collect(),
        worst_harm: 1_234,
        ..Sweep::default()
    };
    report(&sweep, Vec::new(), "backout simulate shop --seeds 10000")
}

/// One failure.
pub(crate) fn failing() -> SweepReport {
    let sweep = Sweep {
        seeds: 50,
        classes: [(Class::Unaffected, 48), (Class::HarmedUsers, 2)].into(),
        exercised: catalogue().iter().map(|named| (named.name, 4)).collect(),
        worst_harm: 98_765,
        failed: 2,
        ..Sweep::default()
    };
    let first = &catalogue()[0];
    let failure = SweepFailure {
        seed: 17,
        found: vec!["S11 at +00:12:00.000: 98765 bad requests, the budget is 1500".to_owned()],
        scenario: Scenario {
            api_version: ApiVersion::V1Alpha1,
            kind: ScenarioKind::Scenario,
            metadata: Metadata {
                name: Name::from_static("seed-17"),
                namespace: Name::from_static("shop"),
            },
            spec: ScenarioSpec {
                description: String::new(),
                faults: FaultPlan::from(first).faults,
                expect: None,
            },
        },
        replay: "backout simulate shop --scenario seed-17.yaml --seed 17".to_owned(),
    };
    report(&sweep, vec![failure], "backout simulate shop --seeds 50")
}

fn report(sweep: &Sweep, failures: Vec<SweepFailure>, command: &str) -> SweepReport {
    let not_modelled = &["node failures and evictions", "the autoscaler"];
    SweepReport::new(setting(command), sweep, &catalogue(), failures, not_modelled)
}
