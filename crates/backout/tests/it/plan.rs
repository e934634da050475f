//! `backout plan`.

use serde_json::Value;

use crate::project::{Done, Project, run_in, workspace};

/// A release whose migration breaks the release before.
fn one_way() -> Project {
    let release = "releases/1.42.0.yaml";
    let from = "previousRelease: works\n      guardedBy: coupons";
    Project::checkout().replace(release, from, "previousRelease: readsFail")
}

#[test]
fn the_example_is_rollbackable() {
    let done = run_in(&workspace(), &["plan", "examples/checkout"], "");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let widest = done.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}");
    insta::assert_snapshot!(done.stdout);
}

#[test]
fn a_point_of_no_return_comes_first_and_blocks() {
    let done = one_way().run(&["plan"]);
    assert_eq!(done.code, 11);
    insta::assert_snapshot!(done.stdout);
}

#[test]
fn a_flag_that_guards_the_change_is_a_way_back() {
    let release = "releases/1.42.0.yaml";
    let from = "previousRelease: works\n      guardedBy";
    let to = "previousRelease: worksUntilWritten\n      guardedBy";
    let done = Project::checkout().replace(release, from, to).run(&["plan"]);
    assert_eq!(done.code, 0);
    insta::assert_snapshot!(head(&done, 3));
}

#[test]
fn waits_without_an_end_are_named() {
    let done = Project::checkout().run(&["plan", "fragile.yaml"]);
    assert_eq!(done.code, 0);
    let endless: Vec<_> = done.stdout.lines().filter(|line| line.contains("NO DEADLINE")).collect();
    insta::assert_snapshot!(endless.join("\n"));
}

#[test]
fn values_that_an_environment_lacks_are_named() {
    let project = Project::checkout().replace("deploy/values/production.yaml", "topic:", "topics:");
    let done = project.run(&["plan"]);
    assert_eq!(done.code, 0);
    insta::assert_snapshot!(head(&done, 5));
    let staging = project.run(&["plan", "--env", "staging"]);
    assert!(!staging.stdout.contains("lacks values"), "{}", head(&staging, 5));
}

#[test]
fn other_programs_get_the_plan_itself() {
    let project = one_way();
    let json = project.run(&["plan", "-o", "json"]);
    assert_eq!(json.code, 11);
    let plan: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(plan["format"], "backout.dev/plan/v1alpha1");
    assert_eq!(plan["steps"][0]["name"], "gate-artifact-digest");
    let yaml = project.run(&["plan", "-o", "yaml"]);
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml.stdout).unwrap(), plan);
    let line = project.run(&["plan", "-o", "jsonl"]);
    assert_eq!(line.stdout.lines().count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&line.stdout).unwrap(), plan);
}

#[test]
fn the_releases_can_be_chosen() {
    let project = Project::checkout();
    let back = project.run(&["plan", "--release", "1.41.0", "--against", "releases/1.42.0.yaml"]);
    assert_eq!(back.code, 0, "{back:?}");
    insta::assert_snapshot!(head(&back, 2));
}

#[test]
fn a_policy_can_come_from_standard_input() {
    let project = Project::checkout();
    let policy = std::fs::read_to_string(project.path("backout.yaml")).unwrap();
    let piped = project.run_with(&["plan", "-f", "-"], &policy);
    assert_eq!(piped.code, 0, "{piped:?}");
    assert_eq!(head(&piped, 2), head(&project.run(&["plan"]), 2));
}

#[test]
fn colour_is_only_there_when_asked_for() {
    let project = Project::checkout();
    assert!(project.run(&["plan", "--color", "always"]).stdout.contains("\u{1b}["));
    assert!(!project.run(&["plan"]).stdout.contains('\u{1b}'));
}

fn head(done: &Done, lines: usize) -> String {
    done.stdout.lines().take(lines).collect::<Vec<_>>().join("\n")
}
