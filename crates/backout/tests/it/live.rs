//! Commands that speak with a cluster, as far as they go without one; and the program as a plugin
//! of `kubectl`.

use crate::project::Project;

/// A kubeconfig of a cluster that does not answer.
const NOBODY: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
    clusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n\
    users: [{name: a, user: {}}]\n\
    contexts: [{name: a, context: {cluster: a, user: a, namespace: shop}}]\n";

#[test]
fn what_is_wrong_with_the_arguments_is_said_before_a_cluster_is_asked() {
    let project = Project::empty();
    for (arguments, told) in [
        (&["status", "policy/checkout"] as &[&str], "a release was expected, not a `policy`"),
        (&["promote", "Checkout"], "lowercase"),
        (&["rollback", "checkout-2", "-o", "json"], "`--output` is for a plan that is only shown"),
        (&["quarantine", "add", "sha256:1", "--reason", "bad"], "sha256"),
    ] {
        let error = project.refused(arguments);
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
}

#[test]
fn a_cluster_that_does_not_answer_is_an_error_of_the_tool() {
    let project = Project::empty().write("kubeconfig", NOBODY);
    for command in [
        &["status"] as &[&str],
        &["explain", "checkout-2"],
        &["pause", "checkout-2"],
        &["quarantine", "list"],
    ] {
        let done = project.run(&[command, &["--kubeconfig", "kubeconfig"]].concat());
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{command:?}: {}", done.stderr);
    }
}

#[test]
fn without_a_cluster_it_says_how_to_name_one() {
    let error = Project::empty().refused(&["status", "--kubeconfig", "missing"]);
    assert!(error.contains("--kubeconfig"), "{error}");
}

#[test]
fn as_a_plugin_usage_and_errors_are_told_as_they_are_typed() {
    let project = Project::empty();
    let plugin = project.path("kubectl-backout");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_backout"), &plugin)
        .unwrap_or_else(|error| panic!("{error}"));
    let told = |arguments: &[&str]| {
        let output = std::process::Command::new(&plugin).args(arguments).output();
        let output = output.unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert!(told(&["--help"]).contains("Usage: kubectl backout "));
    assert!(told(&["status", "--help"]).contains("Usage: kubectl backout status "));
    assert!(told(&["rollback"]).contains("Usage: kubectl backout rollback "));
    let failure = told(&["explain", "missing.jsonl"]);
    assert!(failure.contains("error: cannot read missing.jsonl"), "{failure}");
}
