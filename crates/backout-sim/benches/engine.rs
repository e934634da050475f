//! The engine's own figures: one machine step, one rehearsed hour, ten thousand seeds.
//!
//! `cargo bench` prints them; `BENCHMARKS.md` keeps them.

use std::hint::black_box;

use backout_core::machine::{EffectResult, Input};
use backout_core::units::{Span, Time};
use backout_sim::faults::catalogue;
use backout_sim::rehearse::{AnswerKey, Options, prepare, rehearse};
use backout_sim::scenario::FaultPlan;
use backout_sim::sweep::sweep;
use divan::Bencher;

#[path = "../tests/it/example.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod example;

const OPTIONS: Options = Options { seed: 1, journal: false, forks: false };

fn main() {
    divan::main();
}

/// One step of the machine: an observation in the middle of a rollout.
#[divan::bench]
fn machine_step(bencher: Bencher<'_, '_>) {
    let project = example::checkout();
    let mut run = prepare(&project, &FaultPlan::none(), OPTIONS).expect("a plan");
    run.begin(&mut []);
    for _ in 0..60 {
        run.advance(&mut []);
    }
    let now = run.world.now;
    let snapshot = Box::new(run.world.snapshot());
    bencher.with_inputs(|| (run.engine.clone(), Input::Observed(snapshot.clone()))).bench_values(
        |(mut engine, input)| {
            let effects = engine.step(black_box(now), input);
            (engine, effects)
        },
    );
}

/// One step of the machine: an answer that is a window of measurements.
#[divan::bench]
fn machine_step_judging(bencher: Bencher<'_, '_>) {
    let project = example::checkout();
    let mut run = prepare(&project, &FaultPlan::none(), OPTIONS).expect("a plan");
    run.begin(&mut []);
    let mut found = None;
    for _ in 0..400 {
        if let Some((at, input)) = run.peek_answer() {
            let measured = matches!(&input, Input::Done { result: EffectResult::Measured(_), .. });
            if measured {
                found = Some((at, input));
                break;
            }
        }
        run.advance(&mut []);
    }
    let (at, input) = found.expect("a rollout measures");
    bencher.with_inputs(|| (run.engine.clone(), input.clone())).bench_values(
        |(mut engine, input)| {
            let effects = engine.step(black_box(at), input);
            (engine, effects)
        },
    );
}

/// One hour of rollout, from the first gate to the promotion, oracles included, and the day until
/// it is sealed. The example's bake is stretched until the hour is full.
#[divan::bench]
fn rehearsed_hour(bencher: Bencher<'_, '_>) {
    let project = example::checkout();
    let mut policy = (*project.brief.policy).clone();
    policy.spec.strategy.bake = Span::from_mins(43);
    let project = project.with_policy(policy);
    bencher.bench(|| {
        let plan = FaultPlan::none();
        let run = rehearse(&project, &plan, &AnswerKey::Healthy, OPTIONS).expect("a plan");
        assert!(run.record.ended.is_some_and(|end| end.since(Time::ZERO) >= Span::from_hours(1)));
        run.record.events
    });
}

/// The whole healthy rollout of the example, oracles included.
#[divan::bench]
fn rehearsed_rollout(bencher: Bencher<'_, '_>) {
    let project = example::checkout();
    bencher.bench(|| {
        let plan = FaultPlan::none();
        let run = rehearse(&project, &plan, &AnswerKey::Healthy, OPTIONS).expect("a plan");
        assert!(run.is_as_expected());
        run.record.events
    });
}

/// Ten thousand seeds of the example on one core, oracles included.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn ten_thousand_seeds() -> u64 {
    let project = example::checkout();
    let result = sweep(&project, &catalogue(), 1..10_001, &mut || {}).expect("a plan");
    assert_eq!(result.failed, 0, "{:#?}", result.failures);
    result.seeds
}
