use backout_core::machine::{At, Phase, State};
use backout_core::plan::Action;
use backout_core::units::Span;

use super::*;
use crate::render::live::testing::{Recorded, at, plain, recorded};

fn set(
    name: &str,
    version: &str,
    role: Role,
    replicas: (Option<u32>, u32),
    share: u32,
) -> ShownSet {
    let (ready, desired) = replicas;
    let (name, version) = (format!("checkout-{name}"), version.to_owned());
    let share = Some(share);
    ShownSet { name, version, role, ready, desired, share, failed: false, trouble: None }
}

/// What is shown of a run in a state, two minutes after that.
fn shown(run: &Recorded, state: &State, status: ReleaseStatus, sets: Vec<ShownSet>) -> Shown {
    Shown {
        api_version: ApiVersion::V1Alpha1,
        kind: Overview::ReleaseOverview,
        name: run.brief.candidate.metadata.name.to_string(),
        namespace: "shop".to_owned(),
        version: "1.42.0".to_owned(),
        policy: "checkout".to_owned(),
        strategy: run.header.strategy.clone(),
        known_good: Some("checkout-1.41.0".to_owned()),
        window: run.brief.policy.spec.triggers.window.to_string(),
        min_requests: run.brief.policy.spec.triggers.min_requests,
        sets,
        steps: ShownStep::of(&state.track, state.phase == Phase::Ended),
        status,
        unreadable: Vec::new(),
        now: at(state.last_step + Span::from_secs(120)),
    }
}

fn is_judged_at_5(state: &State) -> bool {
    state.judged.is_some()
        && state.phase == Phase::Forward
        && state.track.at == At::Waiting
        && matches!(state.track.step().map(|step| &step.action), Some(Action::Analyse { .. }))
}

#[test]
fn a_canary_under_way() {
    let run = recorded("error-rate");
    let (state, status) = run.status_when(is_judged_at_5);
    let sets = vec![
        set("1b5c8a77", "1.41.0", Role::Stable, (Some(4), 4), 95),
        set("588f6b82", "1.42.0", Role::Candidate, (Some(0), 1), 5),
        ShownSet { failed: true, ..set("0a9d1c33", "1.40.2", Role::Older, (Some(1), 1), 0) },
        set("77e0f1aa", "1.40.1", Role::Older, (None, 0), 0),
    ];
    insta::assert_snapshot!(plain(&shown(&run, state, status, sets).render()));
}

#[test]
fn a_release_that_was_rolled_back() {
    let run = recorded("error-rate");
    let (state, status) = run.status_when(|state| state.phase == Phase::Ended);
    let trouble = "container app of pod checkout-588f6b82-x keeps crashing (CrashLoopBackOff)";
    let failed = set("588f6b82", "1.42.0", Role::Candidate, (Some(0), 1), 0);
    let sets = vec![
        set("1b5c8a77", "1.41.0", Role::Stable, (Some(4), 4), 100),
        ShownSet { failed: true, trouble: Some(trouble.to_owned()), ..failed },
    ];
    insta::assert_snapshot!(plain(&shown(&run, state, status, sets).render()));
}

#[test]
fn a_release_that_waits_for_data() {
    let run = recorded("metrics-absent");
    let (state, status) = run.status_when(is_judged_at_5);
    insta::assert_snapshot!(plain(&shown(&run, state, status, Vec::new()).render()));
}

#[test]
fn a_release_that_no_controller_knows() {
    let run = recorded("none");
    let mut shown = shown(&run, &run.states[0], ReleaseStatus::default(), Vec::new());
    shown.steps.clear();
    insta::assert_snapshot!(plain(&shown.render()));
}

#[test]
fn what_could_not_be_read_is_named() {
    let run = recorded("none");
    let mut shown = shown(&run, &run.states[0], ReleaseStatus::default(), Vec::new());
    shown.steps.clear();
    shown.unreadable = vec!["the route: HTTPRoute shop/checkout does not exist".to_owned()];
    let text = plain(&shown.render());
    let told = "Could not be read\n  - the route: HTTPRoute shop/checkout does not exist\n";
    assert!(text.ends_with(told), "{text}");
}

#[test]
fn one_document_for_programs() {
    let run = recorded("error-rate");
    let (state, status) = run.status_when(is_judged_at_5);
    let sets = vec![set("1b5c8a77", "1.41.0", Role::Stable, (Some(4), 4), 95)];
    let mut shown = shown(&run, state, status, sets);
    shown.steps.truncate(1);
    shown.status.conditions.clear();
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap());
}

#[test]
fn one_line_per_release() {
    let item = |name: &str, fault: &str, wanted: &dyn Fn(&State) -> bool| {
        let (_, status) = recorded(fault).status_when(wanted);
        Listed {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            version: "1.42.0".to_owned(),
            policy: Some("checkout".to_owned()),
            status,
        }
    };
    let ended = |state: &State| state.is_at_rest();
    let mut items = vec![
        item("checkout-1-42-0", "metrics-absent", &is_judged_at_5),
        item("cart-2-0-1", "error-rate", &ended),
        item("search-7", "both-degrade", &ended),
        item("mail-3", "none", &ended),
        item("pay-9", "unsigned-image", &ended),
    ];
    items.push(Listed { status: ReleaseStatus::default(), ..items[0].clone() });
    let now = at(backout_core::units::Time::ZERO + Span::from_mins(95));
    let mut list =
        List { api_version: ApiVersion::V1Alpha1, kind: ListKind::ReleaseOverviewList, items, now };
    insta::assert_snapshot!(plain(&list.render()));
    list.items[1].namespace = "other".to_owned();
    assert!(plain(&list.render()).contains("other/cart-2-0-1"));
    list.items.clear();
    assert!(list.render().starts_with("no releases"));
}

#[test]
fn a_little_weight_shows_in_the_bar() {
    assert_eq!(bar(0), "[....................]");
    assert_eq!(bar(1), "[#...................]");
    assert_eq!(bar(50), "[##########..........]");
    assert_eq!(bar(100), "[####################]");
    assert_eq!(bar(400), bar(100));
}
