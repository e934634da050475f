//! Rego policies get the answers of conftest.
//!
//! Each file `tests/rego/*.case` holds cases: policies, data and inputs. What conftest answers stands
//! in `tests/rego/expected.json`. With its program in `BACKOUT_CONFTEST` it is asked again, and must
//! answer the same; `BACKOUT_CONFTEST_WRITE=1` then writes the file anew.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "the tests of a pure crate read files, start a program and give it a clock"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use backout_admission::Decision;
use backout_admission::rego::{Clock, Data, Limits, Namespaces, Options, Policies, use_clock};
use backout_core::document::Source;
use backout_core::manifest;
use serde_json::{Value, json};

/// Fewer cases than these would be a mistake of the test.
const LEAST_CASES: usize = 60;

struct Ticking;

impl Clock for Ticking {
    fn now(&self) -> Option<Duration> {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Some(START.elapsed())
    }
}

/// A case: `=== case NAME [v0] [combine] [all] [namespaces=a,b] [refused]`, and then the parts
/// `=== policy`, `=== input` and `=== data`, of which any number may follow. After `=== reason` stands
/// what a refusal must say.
#[derive(Debug, Default)]
struct Case {
    name: String,
    words: Vec<String>,
    policies: Vec<String>,
    inputs: Vec<String>,
    data: Vec<String>,
    reason: String,
}

impl Case {
    fn is(&self, word: &str) -> bool {
        self.words.iter().any(|found| found == word)
    }

    fn namespaces(&self) -> Vec<String> {
        let named = self.words.iter().find_map(|word| word.strip_prefix("namespaces="));
        named.unwrap_or("main").split(',').map(str::to_owned).collect()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rego")
}

fn cases() -> Vec<Case> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "case"));
    files.sort();
    let cases: Vec<Case> =
        files.iter().flat_map(|file| parse(&std::fs::read_to_string(file).unwrap())).collect();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    assert!(cases.len() >= LEAST_CASES, "{} cases", cases.len());
    cases
}

fn parse(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for part in text.split("=== ").skip(1) {
        let (head, body) = part.split_once('\n').unwrap();
        let mut words = head.split_whitespace();
        let kind = words.next().unwrap();
        if kind == "case" {
            let name = words.next().unwrap().to_owned();
            let words = words.map(str::to_owned).collect();
            cases.push(Case { name, words, ..Case::default() });
            continue;
        }
        let case = cases.last_mut().unwrap();
        match kind {
            "policy" => case.policies.push(body.to_owned()),
            "input" => case.inputs.push(body.to_owned()),
            "data" => case.data.push(body.to_owned()),
            "reason" => case.reason = body.trim().to_owned(),
            other => panic!("{}: a part is called `{other}`", case.name),
        }
    }
    cases
}

/// What was decided: the messages that refuse, those that warn, and the rules that are excepted.
fn ours(case: &Case) -> Result<Value, String> {
    use_clock(&Ticking);
    let named = |kind: &str, texts: &[String], extension: &str| -> Vec<Source> {
        let each = texts.iter().enumerate();
        each.map(|(index, text)| Source::new(&format!("{kind}-{index}.{extension}"), text))
            .collect()
    };
    let namespaces = match case.is("all") {
        true => Namespaces::All,
        false => Namespaces::Of(case.namespaces()),
    };
    let options = Options {
        namespaces,
        is_v0: case.is("v0"),
        is_combined: case.is("combine"),
        ..Options::default()
    };
    let data: Vec<Data> = named("data", &case.data, "yaml")
        .iter()
        .map(|source| {
            let read = manifest::read(&source.name, source.text.as_bytes(), &manifest::limits());
            let value = read.unwrap().remove(0).value;
            Data { name: source.name.clone(), below: Vec::new(), value }
        })
        .collect();
    let policies = Policies::read(&named("policy", &case.policies, "rego"), &data, &options)
        .map_err(|unreadable| unreadable.to_string())?;
    let objects: Vec<_> = named("input", &case.inputs, "yaml")
        .iter()
        .flat_map(|source| {
            manifest::read(&source.name, source.text.as_bytes(), &manifest::limits()).unwrap()
        })
        .collect();
    let (mut failures, mut warnings) = (Vec::new(), Vec::new());
    let mut exceptions = BTreeSet::new();
    for decided in policies.decide(&objects, &Limits::default()) {
        match decided.decision {
            Decision::Pass => {}
            Decision::Deny { message } => failures.push(message),
            Decision::Warn { message } => warnings.push(message),
            Decision::Excepted { .. } => {
                exceptions.insert(decided.rule.rule);
            }
            Decision::NotEvaluated { reason } => return Err(reason),
        }
    }
    failures.sort();
    warnings.sort();
    Ok(json!({"failures": failures, "warnings": warnings, "exceptions": exceptions.len()}))
}

/// What conftest answers, in the same form.
fn theirs(case: &Case, program: &str) -> Value {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conftest").join(&case.name);
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(program);
    command.current_dir(&folder).args(["test", "-o", "json", "--no-color"]);
    let write = |kind: &str, texts: &[String], extension: &str| {
        let mut names = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            let name = format!("{kind}-{index}.{extension}");
            std::fs::write(folder.join(&name), text).unwrap();
            names.push(name);
        }
        names
    };
    for policy in write("policy", &case.policies, "rego") {
        command.args(["-p", &policy]);
    }
    for data in write("data", &case.data, "yaml") {
        command.args(["--data", &data]);
    }
    match case.is("all") {
        true => {
            command.arg("--all-namespaces");
        }
        false => {
            for namespace in case.namespaces() {
                command.args(["--namespace", &namespace]);
            }
        }
    }
    if case.is("v0") {
        command.args(["--rego-version", "v0"]);
    }
    if case.is("combine") {
        command.arg("--combine");
    }
    command.args(write("input", &case.inputs, "yaml"));
    let output = command.output().unwrap_or_else(|error| {
        panic!("BACKOUT_CONFTEST names {program}, which cannot be started: {error}")
    });
    let Ok(results) = serde_json::from_slice::<Value>(&output.stdout) else {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return json!({"error": said.lines().next().unwrap_or_default()});
    };
    let messages = |kind: &str| {
        let results = results.as_array().into_iter().flatten();
        let found = results.flat_map(|result| result[kind].as_array().cloned().unwrap_or_default());
        let mut messages: Vec<String> =
            found.map(|found| found["msg"].as_str().unwrap().to_owned()).collect();
        messages.sort();
        messages
    };
    let exceptions: BTreeSet<String> = messages("exceptions").into_iter().collect();
    json!({
        "failures": messages("failures"),
        "warnings": messages("warnings"),
        "exceptions": exceptions.len(),
    })
}

/// What the evaluator answers when nothing is refused.
fn naive(case: &Case) -> Value {
    let mut engine = regorus::Engine::new();
    engine.set_strict_builtin_errors(false);
    for policy in &case.policies {
        engine.add_policy("policy".to_owned(), policy.clone()).unwrap();
    }
    let input =
        &manifest::read("input", case.inputs[0].as_bytes(), &manifest::limits()).unwrap()[0];
    engine.set_input(input.value.clone().into());
    let value = engine.eval_rule("data.main.deny".to_owned()).unwrap();
    serde_json::from_str(&value.to_json_str().unwrap()).unwrap()
}

#[test]
fn conftest_answers_the_same() {
    let cases = cases();
    let file = folder().join("expected.json");
    let program = std::env::var("BACKOUT_CONFTEST").ok();
    let expected: BTreeMap<String, Value> = match &program {
        Some(program) => {
            cases.iter().map(|case| (case.name.clone(), theirs(case, program))).collect()
        }
        None => serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap(),
    };
    if program.is_some() {
        let text = serde_json::to_string_pretty(&expected).unwrap() + "\n";
        if std::env::var_os("BACKOUT_CONFTEST_WRITE").is_some() {
            std::fs::write(&file, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap();
        assert!(committed == text, "expected.json is not what conftest answers; write it anew");
    }
    let mut wrong = Vec::new();
    for case in &cases {
        let Some(expected) = expected.get(&case.name) else {
            panic!("{}: expected.json does not know the case; write it anew", case.name)
        };
        if case.name.starts_with("not-") || case.name.starts_with("walk-in") {
            assert_ne!(naive(case), expected["failures"], "{}: no difference is known", case.name);
        }
        match (case.is("refused"), ours(case)) {
            (false, Ok(answer)) if answer == *expected => {}
            (true, Err(reason)) if !case.reason.is_empty() && reason.contains(&case.reason) => {}
            (_, answer) => {
                wrong
                    .push(format!("{}\n  conftest: {expected}\n  here:     {answer:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
