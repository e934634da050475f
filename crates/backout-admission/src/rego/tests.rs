use std::sync::LazyLock;
use std::time::Duration;

use backout_core::document::Source;
use backout_core::manifest::Manifest;
use backout_core::units::Time;
use serde_json::json;

use super::*;
use crate::Decision;

/// The time of the machine, which the crate itself has no right to ask for.
struct Ticking;

#[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "a test may have a clock")]
impl Clock for Ticking {
    fn now(&self) -> Option<Duration> {
        static START: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
        Some(START.elapsed())
    }
}

pub(crate) fn start_clock() {
    use_clock(&Ticking);
}

fn read(text: &str, options: &Options) -> Result<Policies, Unreadable> {
    start_clock();
    Policies::read(&[Source::new("p.rego", text)], &[], options)
}

fn decisions(text: &str, limits: &Limits) -> Vec<Decision> {
    let object = Manifest::of_value("m.yaml", json!({"kind": "Pod", "list": [1, 2, 3]}));
    let policies = read(text, &Options::default()).unwrap();
    policies.decide(&[object], limits).into_iter().map(|decided| decided.decision).collect()
}

fn reason(text: &str) -> String {
    let limits = Limits { one_rule: Duration::from_millis(300), ..Limits::default() };
    match decisions(text, &limits).remove(0) {
        Decision::NotEvaluated { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rule_is_said_with_its_place() {
    let text = "package main\n\nallow := 1\ndeny_x contains \"no\" if input.kind\ndeny_x contains \"b\"\n\
                warn contains \"w\" if input.absent\n";
    let policies = read(text, &Options::default()).unwrap();
    let object = Manifest::of_value("m.yaml", json!({"kind": "Pod"}));
    let decided = policies.decide(&[object], &Limits::default());
    let said: Vec<String> = decided
        .iter()
        .map(|one| {
            format!("{} {} {} {:?}", one.rule.policy, one.rule.rule, one.rule.at, one.decision)
        })
        .collect();
    insta::assert_debug_snapshot!(said, @r#"
    [
        "main deny_x p.rego:4:1 Deny { message: \"b\" }",
        "main deny_x p.rego:4:1 Deny { message: \"no\" }",
        "main warn p.rego:6:1 Pass",
    ]
    "#);
}

#[test]
fn policies_that_run_for_ever_are_stopped() {
    let product = "package main\ndeny contains \"x\" if {\n  some a in numbers.range(1, 3000)\n  \
                   some b in numbers.range(1, 3000)\n  some c in numbers.range(1, 3000)\n  a + b + c == 0\n}\n";
    assert!(reason(product).contains("stopped after 300ms"), "{}", reason(product));
    let comprehension = "package main\nn := numbers.range(1, 3000)\n\
                         deny contains \"x\" if count([1 | n[_] == n[_]; n[_] == n[_]]) == 0\n";
    assert!(reason(comprehension).contains("stopped after"), "{}", reason(comprehension));
    let mut doubled = "package main\nt0 := \"ab\"\nl0 := [1, 2]\n".to_owned();
    for number in 0..40 {
        let next = number + 1;
        doubled.push_str(&format!(
            "t{next} := concat(\"\", [t{number}, t{number}])\n\
             l{next} := array.concat(l{number}, l{number})\n"
        ));
    }
    let text = format!("{doubled}deny contains \"x\" if t40 == \"\"\n");
    assert!(reason(&text).contains("concat makes more than"), "{}", reason(&text));
    let list = format!("{doubled}deny contains \"x\" if l40 == []\n");
    assert!(reason(&list).contains("array.concat makes more than"), "{}", reason(&list));
    let range = "package main\ndeny contains \"x\" if count(numbers.range(1, 1000000000)) == 0\n";
    assert!(reason(range).contains("at most 100000 are made"), "{}", reason(range));
}

#[test]
fn all_policies_together_have_a_limit() {
    let limits = Limits { one_rule: Duration::from_secs(1), all: Duration::ZERO };
    let found = decisions("package main\ndeny contains \"x\"\n", &limits);
    let Decision::NotEvaluated { reason } = &found[0] else { panic!("{found:?}") };
    assert!(reason.contains("all policies together"), "{reason}");
}

#[test]
fn recursion_is_refused() {
    let own = "package main\nf(x) := f(x - 1)\ndeny contains \"x\" if f(3)\n";
    assert!(reason(own).contains("`main.f` needs itself"), "{}", reason(own));
    let mutual = "package main\na if b\nb if a\ndeny contains \"x\" if a\n";
    assert!(reason(mutual).contains("needs itself"), "{}", reason(mutual));
    let mut chain = "package main\ndeny contains \"x\" if f0(1)\nf3000(x) := x\n".to_owned();
    for number in 0..3000 {
        chain.push_str(&format!("f{number}(x) := f{}(x)\n", number + 1));
    }
    assert!(reason(&chain).contains("a chain of more than 64 rules"), "{}", reason(&chain));
}

#[test]
fn a_long_chain_within_the_limit_is_evaluated() {
    let mut chain = "package main\ndeny contains \"x\" if f0(1)\nf60(x) := x\n".to_owned();
    for number in 0..60 {
        chain.push_str(&format!("f{number}(x) := f{}(x)\n", number + 1));
    }
    assert_eq!(decisions(&chain, &Limits::default()), [Decision::Deny { message: "x".to_owned() }]);
}

#[test]
fn errors_have_places_and_help() {
    let said = |text: &str| read(text, &Options::default()).unwrap_err().to_string();
    let error = said("package main\ndeny[msg] { msg := \"x\" }\n");
    assert!(error.starts_with("p.rego:2:") && error.contains("regoV0: true"), "{error}");
    let error = said("package main\ndeny contains msg if {\n");
    assert!(error.starts_with("p.rego:"), "{error}");
    let error = said("package other\ndeny contains \"x\"\n");
    assert!(error.contains("no rule named deny") && error.contains("other"), "{error}");
    let old = Options { is_v0: true, ..Options::default() };
    let error = read("package main\ndeny contains \"x\" if true\n", &old).unwrap_err().to_string();
    assert!(error.contains("without `regoV0`"), "{error}");
    let chained = "package main\nviolation[\"x\"] { input.a } { input.b }\n";
    let error = read(chained, &old).unwrap_err().to_string();
    assert!(error.contains("p.rego:2:") && error.contains("rule of its own"), "{error}");
}

#[test]
fn hostile_modules_are_errors() {
    let deep = format!("package main\ndeny contains {}1{}\n", "[".repeat(5000), "]".repeat(5000));
    assert!(read(&deep, &Options::default()).is_err());
    let steps = format!("package main\ndeny contains x if x := input{}\n", "\n.a".repeat(20_000));
    assert!(read(&steps, &Options::default()).is_err());
    let large = format!("package main\n{}", "# x\n".repeat(MAX_MODULE_BYTES));
    let error = read(&large, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("too large"), "{error}");
    for text in ["", "package", "package main\n\u{0}", "package main\ndeny contains 1e999999999\n"]
    {
        let _: Result<Policies, Unreadable> = read(text, &Options::default());
    }
}

#[test]
fn the_time_is_given() {
    let text = "package main\ndeny contains sprintf(\"%d\", [time.now_ns()])\n";
    let options = Options { now: Some(Time::from_millis(1_700_000_000_000)), ..Options::default() };
    let object = Manifest::of_value("m", json!({}));
    let decided = read(text, &options).unwrap().decide(&[object], &Limits::default());
    let message = "1700000000000000000".to_owned();
    assert_eq!(decided[0].decision, Decision::Deny { message });
}

#[test]
fn an_error_that_may_hide_another_answer_is_refused() {
    let fragile = "package main\ndeny contains \"x\" if { c := input.list; not startswith(lower(c), \"a\") }\n";
    assert!(reason(fragile).contains("p.rego:2:"), "{}", reason(fragile));
    let unread = "package main\ndeny contains \"x\" if regex.match(`(?=a)`, input.kind)\n";
    assert!(reason(unread).contains("is not understood here"), "{}", reason(unread));
    let plain = "package main\ndeny contains \"x\" if to_number(input.kind) > 1\n";
    assert_eq!(decisions(plain, &Limits::default()), [Decision::Pass]);
}

#[test]
fn data_are_merged_at_the_root() {
    let document = |name: &str, below: &[&str], value| Data {
        name: name.to_owned(),
        below: below.iter().map(|folder| (*folder).to_owned()).collect(),
        value,
    };
    let merged = merge(&[
        document("a", &[], json!({"x": {"a": 1}})),
        document("b", &["x"], json!({"b": [2]})),
    ]);
    assert_eq!(merged.unwrap(), json!({"x": {"a": 1, "b": [2]}}));
    let twice =
        [document("a", &[], json!({"x": {"y": 1}})), document("b", &[], json!({"x": {"y": 1}}))];
    assert!(merge(&twice).unwrap_err().to_string().contains("sets `x.y`"));
    assert!(merge(&[document("a", &[], json!([1]))]).is_err());
}

#[test]
fn every_namespace_can_be_asked() {
    let text = "package team.a\ndeny contains \"x\"\n";
    let all = Options { namespaces: Namespaces::All, ..Options::default() };
    let policies = read(text, &all).unwrap();
    assert_eq!(policies.packages(), ["team.a"]);
    let objects = [Manifest::of_value("m", json!({}))];
    assert_eq!(policies.decide(&objects, &Limits::default()).len(), 1);
}
