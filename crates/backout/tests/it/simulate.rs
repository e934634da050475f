//! `backout simulate` and `backout explain`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::project::{Done, Project, run_in, workspace};

/// What each mistake in `fragile.yaml` is called, and the line that it is in.
const PLANTED: [(&str, &str); 5] = [
    ("BO211", "- analyse: {}"),
    ("BO212", "readiness: none"),
    ("BO213", "verify: none"),
    ("BO214", "version=\"$release\""),
    ("BO216", "minRequests: 0"),
];

fn row<'a>(done: &'a Done, fault: &str) -> &'a str {
    let start = format!("{fault} ");
    done.stdout.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{done:?}"))
}

#[test]
fn the_example_comes_out_as_it_must() {
    let done = run_in(&workspace(), &["simulate", "examples/checkout"], "");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let verdict = done.stdout.lines().next().unwrap();
    let (all, rest) = verdict.split_once(" of ").unwrap();
    assert_eq!(rest, format!("{all} rehearsals as expected"));
    for (fault, pattern) in [
        ("none", " promoted "),
        ("tag-moved", " cancel "),
        ("error-rate", " traffic "),
        ("bad-values-commit", " config "),
        ("module-breaks-app", " traffic+config "),
        ("migration-breaks-stable", " data-aware "),
        ("migration-without-flag", " held "),
    ] {
        let row = row(&done, fault);
        assert!(row.contains(pattern) && row.ends_with("  as expected"), "{row}");
    }
    assert!(done.stdout.lines().all(|line| line.chars().count() <= 120), "{}", done.stdout);
}

#[test]
fn every_planted_mistake_is_named_at_its_line() {
    let project = Project::checkout();
    let policy = fs::read_to_string(project.path("fragile.yaml")).unwrap();
    let done = project.run(&["simulate", "fragile.yaml"]);
    assert_eq!(done.code, 10, "{done:?}");
    assert!(done.stdout.lines().next().unwrap().contains("rehearsals NOT as expected"));
    for (code, planted) in PLANTED {
        let found = done.stdout.split("\nerror[").find(|part| part.starts_with(code));
        let found = found.unwrap_or_else(|| panic!("{code} is missing: {}", done.stdout));
        let lines = policy.lines().zip(1..).filter(|(line, _)| line.contains(planted));
        let places = lines.map(|(_, number)| format!("--> fragile.yaml:{number}:"));
        assert!(places.into_iter().any(|place| found.contains(&place)), "{planted}: {found}");
        assert!(found.contains("= replay: backout simulate fragile.yaml --fault "), "{found}");
    }
    let codes = done.stdout.matches("\nerror[").count();
    assert_eq!(codes, PLANTED.len(), "nothing else is blamed: {}", done.stdout);
}

#[test]
fn a_finding_can_be_replayed() {
    let project = Project::checkout();
    let arguments = ["simulate", "fragile.yaml", "--fault", "metrics-absent", "--seed", "1"];
    let done = project.run(&arguments);
    assert_eq!(done.code, 10, "{done:?}");
    assert!(done.stdout.contains("1 of 1 rehearsals NOT as expected"), "{done:?}");
    assert!(done.stdout.contains("error[BO211]"), "{done:?}");
    let never = project.run(&[&arguments[..], &["--fail-on", "never"]].concat());
    assert_eq!((never.code, &never.stdout), (0, &done.stdout));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let project = Project::checkout();
    let journals = |directory: &str, seed: &str| {
        let done = project.run(&["simulate", "--journal", directory, "--seed", seed]);
        assert_eq!(done.code, 0, "{done:?}");
        (done.stdout, contents(&project.path(directory)))
    };
    let first = journals("out/first", "7");
    assert_eq!(first, journals("out/second", "7"));
    assert_ne!(first.1, journals("out/third", "8").1);
    assert!(first.1.iter().any(|(name, _)| name == "none.jsonl"));
}

/// Names and contents of a directory's files.
fn contents(directory: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("the directory was made")
        .map(|entry| {
            let entry = entry.expect("the directory can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read_to_string(entry.path()).expect("a journal is text"))
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_journal_can_be_explained() {
    let project = Project::checkout();
    let fault = ["simulate", "--fault", "gitops-undoes-rollback", "--journal", "run.jsonl"];
    assert_eq!(project.run(&fault).code, 0);
    let done = project.run(&["explain", "run.jsonl"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(done.stdout.starts_with("rolled back (traffic): error-rate "), "{}", done.stdout);
    for told in [
        "world     the GitOps agent set the candidate's weight back to 5%",
        "engine  goes back: error-rate",
        "not cancel: user traffic was sent to the candidate",
        "left behind:\n  digest ",
    ] {
        assert!(done.stdout.contains(told), "{told}: {}", done.stdout);
    }
    let journal = fs::read_to_string(project.path("run.jsonl")).unwrap();
    let piped = project.run_with(&["explain", "-"], &journal);
    assert_eq!((piped.code, &piped.stdout), (0, &done.stdout));
    let json = project.run(&["explain", "run.jsonl", "-o", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["verdict"], done.stdout.lines().next().unwrap());
    assert_eq!(json["moments"][0]["atMs"], 0);
    assert_eq!(json["moments"][0]["who"], "world");
}

#[test]
fn a_healthy_rollout_is_told_in_a_page() {
    let project = Project::checkout();
    assert_eq!(project.run(&["simulate", "--fault", "none", "--journal", "none.jsonl"]).code, 0);
    let done = project.run(&["explain", "none.jsonl"]);
    assert!(done.stdout.starts_with("promoted after 4"), "{}", done.stdout);
    assert!(done.stdout.contains(" more windows, all pass, until "), "{}", done.stdout);
    assert!(done.stdout.lines().count() < 70, "{}", done.stdout);
}

#[test]
fn a_journal_that_cannot_be_read_says_where() {
    let project = Project::checkout().write("notes.txt", "hello\n").write("empty.jsonl", "");
    assert_eq!(project.run(&["simulate", "--fault", "latency", "--journal", "a.jsonl"]).code, 0);
    let journal = fs::read_to_string(project.path("a.jsonl")).unwrap();
    let half = &journal[..journal.len() / 2];
    let newer = journal.replacen("journal/v1alpha1", "journal/v9", 1);
    let project = project.write("half.jsonl", half).write("newer.jsonl", newer);
    for (file, told) in [
        ("half.jsonl", format!("half.jsonl:{}: not an entry of a journal", half.lines().count())),
        (
            "newer.jsonl",
            "newer.jsonl:1: the journal has format `backout.dev/journal/v9`".to_owned(),
        ),
        ("notes.txt", "notes.txt:1: this is not a journal".to_owned()),
        ("empty.jsonl", "empty.jsonl:1: this is not a journal".to_owned()),
        ("absent.jsonl", "absent.jsonl".to_owned()),
        (".", "cannot read .".to_owned()),
    ] {
        let stderr = project.refused(&["explain", file]);
        assert!(stderr.contains(&told), "{stderr}");
    }
}

#[test]
fn an_unknown_fault_is_refused_with_the_one_that_was_meant() {
    let stderr = Project::checkout().refused(&["simulate", "--fault", "tag-move"]);
    assert!(stderr.contains("'tag-moved'"), "{stderr}");
    assert!(stderr.contains("none, tag-moved, unsigned-image,"), "{stderr}");
    let help = Project::empty().run(&["simulate", "--help"]);
    assert_eq!(help.code, 0);
    let what = "tag-moved:";
    assert!(help.stdout.contains(what), "{}", help.stdout);
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let scenario = scenario("tag-moved", "tagMoved: {}", "cancelled");
    let project = Project::checkout().write("same.yaml", scenario);
    for (arguments, told) in [
        (&["--seed", "1", "--seeds", "2"][..], "cannot be used with"),
        (&["--seeds", "0"], "0 is not in 1.."),
        (&["--seeds", "2", "--journal", "a"], "cannot be used with"),
        (&["--report", "sarif=a.json"], "not in this version"),
        (&["--report", "junt=a.xml"], "did you mean `junit`?"),
        (&["--scenario", "backout.yaml"], "this is a `ReleasePolicy`, not a `Scenario`"),
        (&["--scenario", "absent.yaml"], "absent.yaml"),
        (&["--all", "--scenario", "same.yaml"], "two of the runs are called `tag-moved`"),
    ] {
        let stderr = project.refused(&[&["simulate"], arguments].concat());
        assert!(stderr.contains(told), "{stderr}");
    }
}

fn scenario(name: &str, fault: &str, outcome: &str) -> String {
    format!(
        "apiVersion: backout.dev/v1alpha1\nkind: Scenario\nmetadata: {{name: {name}, namespace: \
         shop}}\nspec:\n  faults:\n    - fault: {{{fault}}}\n  expect: {{outcome: {outcome}}}\n"
    )
}

#[test]
fn a_scenario_has_its_own_answer_key() {
    let project = Project::checkout()
        .write("right.yaml", scenario("right", "tagMoved: {}", "cancelled"))
        .write("wrong.yaml", scenario("wrong", "tagMoved: {}", "promoted"));
    let right = project.run(&["simulate", "--scenario", "right.yaml"]);
    assert_eq!(right.code, 0, "{right:?}");
    assert!(right.stdout.starts_with("1 of 1 rehearsals as expected"), "{right:?}");
    let wrong = project.run(&["simulate", "--scenario", "wrong.yaml", "--seed", "3"]);
    assert_eq!(wrong.code, 10, "{wrong:?}");
    assert!(wrong.stdout.contains("it ended back by cancel, not promoted"), "{wrong:?}");
    assert!(
        wrong.stdout.contains("backout simulate --scenario wrong.yaml --seed 3\n"),
        "a scenario is replayed by its file: {wrong:?}"
    );
}

#[test]
fn reports_are_written_beside_the_table() {
    let project = Project::checkout();
    let faults = ["--fault", "none", "--fault", "tag-moved"];
    let reports =
        ["--report", "json=a.json", "--report", "markdown=a.md", "--report", "junit=a.xml"];
    let done = project.run(&[&["simulate"], &faults[..], &reports[..]].concat());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let read = |file: &str| fs::read_to_string(project.path(file)).unwrap();
    let json: Value = serde_json::from_str(&read("a.json")).unwrap();
    assert_eq!(json["verdict"]["text"], "2 of 2 rehearsals as expected");
    assert_eq!(json["rows"][1]["outcome"], "cancelled");
    assert!(
        read("a.md").ends_with("backout simulate --fault none --fault tag-moved --seed 1\n```\n")
    );
    assert!(read("a.xml").contains(r#"tests="2" skipped="0" failures="0""#));

    let same = project.run(&[&["simulate", "-o", "json"], &faults[..]].concat());
    assert_eq!(same.stdout, read("a.json"));
    let yaml = project.run(&[&["simulate", "-o", "yaml"], &faults[..]].concat());
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml.stdout).unwrap(), json);
    let lines = project.run(&[&["simulate", "-o", "jsonl"], &faults[..]].concat());
    let kinds: Vec<_> = lines.stdout.lines().map(|line| line.split('"').nth(1).unwrap()).collect();
    assert_eq!(kinds, ["verdict", "row", "row"]);
}

#[test]
fn what_cannot_be_written_is_an_error_of_the_tool() {
    let project = Project::checkout().write("file", "");
    for arguments in [["--journal", "file/a"], ["--report", "json=file/a"]] {
        let done = project.run(&[&["simulate", "--fault", "none"], &arguments[..]].concat());
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{done:?}");
        assert!(done.stderr.contains("cannot write file/a"), "{done:?}");
    }
}

#[test]
fn a_sweep_says_what_it_knows_and_what_it_does_not() {
    let project = Project::checkout();
    let done = project.run(&["simulate", "--seeds", "50"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let verdict = "50 seeds, 0 failures: the failure rate is below 3/50 = 6% (95%) within this \
                   fault model\n";
    assert!(done.stdout.starts_with(verdict), "{}", done.stdout);
    for title in ["\nOUTCOME ", "\nexercised: ", "\nnever exercised: ", "\nnot modelled: "] {
        assert!(done.stdout.contains(title), "{title}: {}", done.stdout);
    }
    let words = done.stdout.to_lowercase();
    assert!(words.split(|c: char| !c.is_alphabetic()).all(|word| word != "safe"), "{words}");
    assert!(!words.contains("guarantee") && !words.contains("proven"), "{words}");
    assert_eq!(project.run(&["simulate", "--seeds", "50"]).stdout, done.stdout);
    let json = project.run(&["simulate", "--seeds", "50", "-o", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["verdict"]["failureRateBelowPpm"], 60_000);
}

#[test]
fn a_failure_of_a_sweep_can_be_stored_and_replayed() {
    let project = Project::checkout().policy("harmBudget: 1500", "harmBudget: 50");
    let arguments = ["simulate", "--fault", "error-rate", "--seeds", "20"];
    let done = project.run(&arguments);
    assert_eq!(done.code, 10, "{done:?}");
    assert!(done.stdout.lines().next().unwrap().ends_with(" of 20 seeds FAILED"), "{done:?}");
    let json = project.run(&[&arguments[..], &["-o", "json"]].concat());
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let failure = &json["failures"][0];
    let seed = failure["seed"].to_string();
    let file = format!("seed-{seed}.yaml");
    let replay = failure["replay"].as_str().unwrap();
    assert_eq!(replay, format!("backout simulate --scenario {file} --seed {seed}"));
    assert!(done.stdout.contains(replay), "{done:?}");
    let project = project.write(&file, stored(&done.stdout, &seed));
    let again: Vec<&str> = replay.split(' ').skip(1).collect();
    let again = project.run(&again);
    assert_eq!(again.code, 10, "{again:?}");
    let found = failure["found"][0].as_str().unwrap();
    assert!(again.stdout.contains(found), "{found}: {again:?}");
}

#[test]
fn a_sweep_that_fails_without_a_fault_says_so() {
    let done = Project::checkout().run(&["simulate", "fragile.yaml", "--seeds", "2"]);
    assert_eq!(done.code, 10, "{done:?}");
    let replay = "it fails without any fault\n  replay: backout simulate fragile.yaml --fault none";
    assert!(done.stdout.contains(replay), "{done:?}");
}

/// The scenario below a failing seed, as a person would copy it.
fn stored(text: &str, seed: &str) -> String {
    let title = format!("to be stored as seed-{seed}.yaml:\n");
    let (_, rest) = text.split_once(&title).expect("the scenario is shown");
    let lines = rest.lines().take_while(|line| line.starts_with("    "));
    lines.map(|line| format!("{}\n", &line[4..])).collect()
}
