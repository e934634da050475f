//! The decision order, step by step.

use std::sync::Arc;

use super::super::assume::assume;
use super::super::testing::{brief, snapshot};
use super::super::{Action, Brief, forward};
use super::{Cause, Choice, Decision, HoldReason, Pattern, Reached, decide};
use crate::release::{Flag, Migration, Module, PreviousRelease};
use crate::snapshot::{Fact, Snapshot};
use crate::units::{Name, Weight};

/// What is decided after every step up to and with the one of that name was done.
fn after(brief: &Brief, step: &str, change: impl Fn(&mut Snapshot)) -> Decision {
    decided(brief, step, &Cause::Planned, change)
}

fn decided(brief: &Brief, step: &str, cause: &Cause, change: impl Fn(&mut Snapshot)) -> Decision {
    let mut world = snapshot(brief);
    let plan = forward::plan(brief, &world).expect("a plan");
    let last = plan.steps.iter().position(|found| found.name == step);
    let last = last.unwrap_or_else(|| panic!("the plan has no step `{step}`"));
    let mut reached = Reached::default();
    for step in &plan.steps[..=last] {
        assume(&step.action, &mut world, &mut reached);
    }
    change(&mut world);
    decide(brief, &reached, &world, cause)
}

fn with_migration(class: PreviousRelease, guarded: bool) -> Brief {
    let mut brief = brief();
    let flag = Name::from_static("new-cart");
    let candidate = &mut Arc::make_mut(&mut brief.candidate).spec;
    candidate.flags.push(Flag { key: flag.clone(), enabled: true });
    candidate.migrations.push(Migration {
        id: "0002".to_owned(),
        file: None,
        previous_release: class,
        guarded_by: guarded.then_some(flag),
    });
    brief
}

fn held(decision: &Decision) -> &HoldReason {
    match &decision.choice {
        Choice::Hold(reason) => reason,
        other => panic!("not held: {other:?}"),
    }
}

#[test]
fn before_user_traffic_it_is_cancelled() {
    let decision = after(&brief(), "create-candidate", |_| {});
    assert_eq!(decision.choice, Choice::Back(Pattern::Cancel));
}

#[test]
fn after_the_first_weight_traffic_goes_back() {
    let brief = brief();
    for step in ["set-weight-10", "set-weight-100", "bake", "promote"] {
        let decision = after(&brief, step, |_| {});
        assert_eq!(decision.choice, Choice::Back(Pattern::Traffic), "{step}");
        assert_eq!(decision.target, Some(brief.stable.reference()), "{step}");
    }
}

#[test]
fn every_pattern_is_given_a_reason_once() {
    let decision = after(&brief(), "set-weight-10", |_| {});
    let mut patterns: Vec<_> = decision.reasons.iter().map(|reason| reason.pattern).collect();
    patterns.sort();
    patterns.dedup();
    assert_eq!((patterns.len(), decision.reasons.len()), (5, 5), "{:?}", decision.reasons);
    assert_eq!(decision.reasons.iter().filter(|reason| reason.chosen).count(), 1);
    assert!(decision.reasons.iter().all(|reason| !reason.why.is_empty()));
}

#[test]
fn a_shared_cause_holds() {
    let cause =
        Cause::SharedCause { signal: Name::from_static("errors"), message: "both".to_owned() };
    let decision = decided(&brief(), "set-weight-10", &cause, |_| {});
    assert_eq!(held(&decision), &HoldReason::SharedCause);
}

#[test]
fn a_quarantined_or_refused_target_is_not_gone_back_to() {
    let brief = brief();
    let refused = after(&brief, "set-weight-10", |world| {
        world.targets[0].admitted = Fact::known(world.as_of, false);
    });
    assert!(matches!(held(&refused), HoldReason::NoFitTarget { .. }));
    let digest = brief.stable.spec.images[0].digest.clone();
    let quarantined = after(&brief, "set-weight-10", |world| {
        let held = std::iter::once(digest.clone()).collect();
        world.quarantine = Fact::known(world.as_of, Arc::new(held));
    });
    assert!(matches!(held(&quarantined), HoldReason::NoFitTarget { .. }));
    let vulnerable = after(&brief, "set-weight-10", |world| {
        world.targets[0].reintroduces = Fact::known(world.as_of, vec!["CVE-2026-0001".to_owned()]);
    });
    assert!(held(&vulnerable).to_string().contains("CVE-2026-0001"));
}

#[test]
fn a_standing_target_serves_without_the_registry_and_says_what_was_not_checked() {
    let unknown = || Fact::Unknown { reason: "the registry did not answer".to_owned() };
    let decision = after(&brief(), "set-weight-10", |world| world.targets[0].admitted = unknown());
    assert_eq!(decision.choice, Choice::Back(Pattern::Traffic));
    assert_eq!(decision.unchecked, ["the registry did not answer"]);
}

#[test]
fn data_that_the_previous_release_cannot_use_stops_everything_automatic() {
    for class in [
        PreviousRelease::WorksUntilWritten,
        PreviousRelease::DependsOnData,
        PreviousRelease::WritesFail,
        PreviousRelease::ReadsFail,
        PreviousRelease::DataDestroyed,
        PreviousRelease::Unknown,
    ] {
        let decision = after(&with_migration(class, false), "set-weight-10", |_| {});
        assert!(matches!(held(&decision), HoldReason::DataBoundary { .. }), "{class:?}");
    }
    let works = after(&with_migration(PreviousRelease::Works, false), "set-weight-10", |_| {});
    assert_eq!(works.choice, Choice::Back(Pattern::Traffic));
}

#[test]
fn a_flag_that_guards_the_change_is_turned_off() {
    let brief = with_migration(PreviousRelease::WorksUntilWritten, true);
    let decision = after(&brief, "set-weight-10", |_| {});
    assert_eq!(decision.choice, Choice::FlagOff(Name::from_static("new-cart")));
    assert_eq!(decision.choice.pattern(), Some(Pattern::DataAware));
    let off_already = after(&brief, "set-weight-10", |world| {
        world.flags = Fact::known(world.as_of, Arc::default());
    });
    assert!(matches!(held(&off_already), HoldReason::DataBoundary { .. }));
}

#[test]
fn cancelling_takes_nothing_back_from_a_release_that_is_broken_already() {
    let broken = with_migration(PreviousRelease::ReadsFail, false);
    assert!(matches!(
        held(&after(&broken, "create-candidate", |_| {})),
        HoldReason::DataBoundary { .. }
    ));
    let latent = with_migration(PreviousRelease::WorksUntilWritten, false);
    let decision = after(&latent, "create-candidate", |_| {});
    assert_eq!(decision.choice, Choice::Back(Pattern::Cancel));
}

fn with_module(name: &'static str, version: &str, destroys_data: bool) -> Brief {
    let mut brief = brief();
    let modules = &mut Arc::make_mut(&mut brief.candidate).spec.infrastructure;
    modules.retain(|module| module.name.as_str() != name);
    modules.push(Module {
        name: Name::from_static(name),
        source: format!("modules/{name}"),
        version: version.to_owned(),
        destroys_data,
    });
    brief
}

#[test]
fn infrastructure_that_changed_goes_back_with_the_traffic() {
    let decision = after(&with_module("cache", "2.0.0", false), "set-weight-10", |_| {});
    assert_eq!(decision.choice, Choice::Back(Pattern::Combined));
    let added = after(&with_module("queue", "1.0.0", false), "set-weight-10", |_| {});
    assert_eq!(added.choice, Choice::Back(Pattern::Traffic), "added infrastructure stays");
    let destroyed = after(&with_module("cache", "2.0.0", true), "set-weight-10", |_| {});
    assert!(matches!(held(&destroyed), HoldReason::Destroyed { .. }));
}

#[test]
fn configuration_alone_goes_back_alone() {
    let mut brief = brief();
    let images = brief.stable.spec.images.clone();
    Arc::make_mut(&mut brief.candidate).spec.images = images;
    let decision = after(&brief, "set-weight-10", |_| {});
    assert_eq!(decision.choice, Choice::Back(Pattern::Config));
}

#[test]
fn configuration_that_moved_under_a_release_that_serves_is_restored_under_it() {
    let brief = brief();
    let move_config = |world: &mut Snapshot| {
        if let Fact::Known { value, .. } = &mut world.config {
            value.live_revision = "someone-elses".to_owned();
        }
    };
    let full = after(&brief, "set-weight-100", move_config);
    assert_eq!(full.choice, Choice::Back(Pattern::Config));
    assert_eq!(full.target, Some(brief.candidate.reference()));
    let partial = after(&brief, "set-weight-10", move_config);
    assert_eq!(partial.choice, Choice::Back(Pattern::Traffic), "the previous set still stands");
}

#[test]
fn the_way_back_moves_traffic_before_anything_slow() {
    let brief = with_module("cache", "2.0.0", false);
    let plan = forward::plan(&brief, &snapshot(&brief)).expect("a plan");
    for way in &plan.ways_back {
        let moves = way.steps.iter().position(|step| step.starts_with("send 0%"));
        let slow = way.steps.iter().position(|step| {
            ["pin module", "make Git", "quarantine", "notify", "keep candidate"]
                .iter()
                .any(|slow| step.starts_with(slow))
        });
        if way.decision.choice != Choice::Back(Pattern::Cancel) {
            assert!(moves < slow, "{:?}", way.steps);
        }
    }
}

#[test]
fn weights_rise_only_after_an_analysis() {
    let brief = brief();
    let plan = forward::plan(&brief, &snapshot(&brief)).expect("a plan");
    let mut judged = true;
    for step in &plan.steps {
        match &step.action {
            Action::SetWeight { candidate } => {
                assert!(judged, "{} rises on hope", step.name);
                judged = *candidate == Weight::ZERO;
            }
            Action::Analyse { .. } | Action::Bake { .. } => judged = true,
            _ => {}
        }
    }
}
