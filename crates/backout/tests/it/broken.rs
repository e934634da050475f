//! Input that cannot be used: each is refused with its place and what to do, and never by a crash.

use crate::project::Project;

const PLAN: &[&str] = &["plan"];

#[test]
fn a_value_of_the_wrong_type() {
    let project = Project::checkout().policy("minRequests: 300", "minRequests: many");
    insta::assert_snapshot!(project.refused_at(PLAN, "backout.yaml:79:18"));
}

#[test]
fn an_unknown_field_and_the_one_that_was_meant() {
    let project = Project::checkout().policy("minRequests:", "min_requests:");
    insta::assert_snapshot!(project.refused_at(PLAN, "backout.yaml:79:5"));
}

#[test]
fn a_step_that_is_there_twice() {
    let project = Project::checkout().policy("setWeight: 25", "setWeight: 5");
    insta::assert_snapshot!(project.refused_at(PLAN, "backout.yaml:"));
}

#[test]
fn weights_that_fall() {
    let project = Project::checkout().policy("setWeight: 25", "setWeight: 3");
    insta::assert_snapshot!(project.refused_at(PLAN, "backout.yaml:"));
}

#[test]
fn a_negative_duration() {
    let project = Project::checkout().policy("bake: 30m", "bake: -30m");
    insta::assert_snapshot!(project.refused_at(PLAN, "backout.yaml:"));
}

#[test]
fn every_broken_rule_at_once() {
    let project = Project::checkout()
        .policy("setWeight: 100", "setWeight: 90")
        .policy("name: latency-p99", "name: error-rate")
        .policy("values: [deploy/values/production.yaml]", "values: [../production.yaml, absent]")
        .policy("window: 1m", "window: 1s")
        .replace("releases/1.41.0.yaml", "gitSha: 93d6c48fe8", "gitSha: HEAD")
        .replace("releases/1.42.0.yaml", "digest: sha256:bb28", "digest: sha256:xx28")
        .replace("deploy/chart/values.yaml", "\nimage:", "\n- image:");
    let stderr = project.refused_at(PLAN, "releases/1.41.0.yaml:");
    assert!(stderr.find("backout.yaml:") < stderr.find("releases/"), "{stderr}");
    insta::assert_snapshot!(stderr);
}

#[test]
fn ten_megabytes_of_nonsense() {
    let project = Project::empty().write("backout.yaml", vec![b'%'; 10 * 1024 * 1024]);
    insta::assert_snapshot!(project.refused_at(PLAN, "backout.yaml:1:1"));
    let project = Project::checkout().write("releases/big.yaml", vec![b'['; 2 * 1024 * 1024]);
    project.refused_at(PLAN, "releases/big.yaml:1:1");
}

#[test]
fn a_file_that_is_not_utf8() {
    let project = Project::empty().write("backout.yaml", b"apiVersion: \xff\xfe\n");
    insta::assert_snapshot!(project.refused_at(PLAN, "backout.yaml:1:13"));
}

#[test]
fn an_empty_file() {
    let project = Project::empty().write("backout.yaml", "");
    insta::assert_snapshot!(project.refused_at(PLAN, "backout.yaml:1:1"));
}

#[test]
fn a_file_that_could_take_over_the_terminal() {
    let project = Project::empty().write("backout.yaml", "a: \u{1b}[2J\u{202e}\n");
    let stderr = project.refused_at(PLAN, "backout.yaml:1:4");
    assert!(!stderr.contains(['\u{1b}', '\u{202e}']), "{stderr:?}");
    insta::assert_snapshot!(stderr);
}

#[test]
fn documents_of_another_kind() {
    let project = Project::checkout();
    let release = project.refused_at(&["plan", "releases/1.42.0.yaml"], "releases/1.42.0.yaml:3:7");
    let project = project.write("releases/policy.yml", "kind: ReleasePolicy\n");
    let policy = project.refused_at(PLAN, "releases/policy.yml:1:7");
    insta::assert_snapshot!([release, policy].join("\n"));
}

#[test]
fn files_that_are_not_there() {
    let project = Project::checkout();
    let missing = project.refused(&["plan", "absent.yaml"]);
    assert!(missing.starts_with("error: cannot read absent.yaml\n"), "{missing}");
    assert!(missing.contains("= help: check the path"), "{missing}");
    let here = Project::empty();
    let shown = [project.refused(&["plan", "deploy"]), here.refused(&["plan", "-f", "."])];
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_policy_is_not_looked_for_outside_of_a_repository() {
    let project = Project::checkout();
    let below = project.path("deploy");
    let run = || crate::project::run_in(&below, &["plan"], "");
    assert_eq!(run().code, 2);
    assert!(run().stderr.contains("this is no repository"), "{:?}", run());
    let project = project.write(".git/HEAD", "");
    let done = crate::project::run_in(&below, &["plan"], "");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("Read: ../backout.yaml, ../releases/"), "{}", done.stdout);
    drop(project);
}

#[cfg(unix)]
#[test]
fn a_device_is_not_a_file() {
    let project = Project::empty();
    insta::assert_snapshot!(project.refused(&["plan", "/dev/null"]));
}

#[test]
fn a_policy_from_standard_input_is_named_so() {
    let text = "apiVersion: backout.dev/v1alpha1\nkind: ReleasePolicy\nspecs: {}\n";
    let done = Project::empty().run_with(&["plan", "-"], text);
    assert_eq!(done.code, 2);
    insta::assert_snapshot!(done.stderr);
}

#[test]
fn arguments_that_do_not_fit() {
    let project = Project::checkout();
    let shown = [
        project.refused(&["plan", "--env", "prodution"]),
        project.refused(&["plan", "--env", "x"]),
        project.refused(&["plan", "--release", "1.43.0"]),
        project.refused(&["plan", "--release", "1.41.0"]),
        project.refused(&["plan", "--release", "1.41.0", "--against", "checkout-1.41.0"]),
        project.refused(&["schema", "ReleasePolcy"]),
    ];
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_values_file_that_cannot_be_read() {
    let project = Project::checkout().write("deploy/values/production.yaml", "a: 1\nb: [1,\n");
    insta::assert_snapshot!(project.refused_at(PLAN, "deploy/values/production.yaml:"));
}

/// Whatever is cut off the policy, the answer is an error with a place or a plan, never a crash.
#[test]
fn every_beginning_of_a_policy() {
    let text = std::fs::read(Project::checkout().path("backout.yaml")).unwrap();
    for length in (0..text.len()).step_by(211) {
        let project = Project::checkout().write("backout.yaml", &text[..length]);
        let done = project.run(PLAN);
        assert!([0, 2].contains(&done.code), "{length}: {done:?}");
        assert!(done.code == 0 || done.stderr.contains("--> backout.yaml:"), "{length}: {done:?}");
    }
}
