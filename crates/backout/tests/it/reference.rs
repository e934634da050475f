//! `backout schema` and the pages that are written from the code.

use serde_json::Value;

use crate::project::Project;

#[test]
fn kinds_are_listed() {
    let done = Project::empty().run(&["schema"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(done.stdout);
}

#[test]
fn a_schema_is_json() {
    let done = Project::empty().run(&["schema", "releasepolicy"]);
    assert_eq!(done.code, 0);
    let schema: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(schema["title"], "ReleasePolicy");
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn pages_are_markdown() {
    for page in ["faults", "oracles", "exit-codes"] {
        let done = Project::empty().run(&["help-page", page]);
        assert_eq!(done.code, 0, "{page}");
        assert!(done.stdout.starts_with("<!-- Written by `cargo xtask generate`"), "{page}");
        assert!(done.stdout.contains("\n# ") && done.stdout.ends_with("\n"), "{page}");
    }
}
