//! Asks the rules about objects.

use std::collections::BTreeSet;
use std::time::Duration;

use backout_core::finding::Place;
use backout_core::manifest::Manifest;
use regorus::{Engine, Value};
use serde_json::json;

use super::failure::Failure;
use super::fractions::{REASON, are_exact};
use super::rules::{Reached, RulePath};
use super::{Asked, Limits, Policies, Severity, elapsed, finds, limit};
use crate::{Decided, Decision, Engine as EngineKind, Rule};

/// Why nothing is evaluated without a clock.
const NO_CLOCK: &str = "no clock was given that could stop a policy which runs for ever";

impl Policies {
    /// Asks every rule about every object. A rule that cannot be evaluated at all is said once,
    /// without an object.
    #[must_use]
    pub fn decide(&self, objects: &[Manifest], limits: &Limits) -> Vec<Decided> {
        let mut evaluator = Evaluator::new(&self.engine, limits);
        let mut decided = Vec::new();
        for asked in &self.asked {
            let rule = self.rule(asked);
            let reached = self.reached(asked);
            if let Some(reason) = obstacles(&reached) {
                decided.push(one(&rule, None, Decision::NotEvaluated { reason }));
                continue;
            }
            for (object, input) in self.inputs(objects) {
                let has_exact_input = object.map_or(objects, |index| &objects[index..=index]);
                let has_exact_input = has_exact_input.iter().all(|one| are_exact(&one.value));
                if reached.calculates && !(self.has_exact_data && has_exact_input) {
                    let reason = REASON.to_owned();
                    decided.push(one(&rule, object, Decision::NotEvaluated { reason }));
                    continue;
                }
                let decisions = self.ask(&mut evaluator, asked, &reached, &input);
                decided.extend(decisions.into_iter().map(|decision| one(&rule, object, decision)));
            }
        }
        decided
    }

    fn rule(&self, asked: &Asked) -> Rule {
        let at = self.rules.of_package(&asked.package).find(|(name, _)| *name == asked.name);
        let nowhere = Place { file: String::new(), location: None };
        Rule {
            engine: EngineKind::Rego,
            policy: asked.package.join("."),
            rule: asked.name.clone(),
            at: at.map_or(nowhere, |(_, facts)| facts.at.clone()),
        }
    }

    /// What the rule needs, and the exceptions of its package.
    fn reached(&self, asked: &Asked) -> Reached {
        let mut reached = self.rules.reached(&path(asked, &asked.name));
        let exceptions = self.rules.reached(&path(asked, "exception"));
        reached.obstacles.extend(exceptions.obstacles);
        reached.needs_no_errors |= exceptions.needs_no_errors;
        reached.calculates |= exceptions.calculates;
        reached
    }

    fn inputs(&self, objects: &[Manifest]) -> Vec<(Option<usize>, Value)> {
        if !self.is_combined {
            let each = objects.iter().enumerate();
            return each
                .map(|(index, object)| (Some(index), object.value.clone().into()))
                .collect();
        }
        let mut combined: Vec<_> =
            objects.iter().map(|object| (&object.source.name, &object.value)).collect();
        combined.sort_by_key(|(path, _)| *path);
        let contents = |(path, contents)| json!({"path": path, "contents": contents});
        let combined: serde_json::Value = combined.into_iter().map(contents).collect();
        vec![(None, combined.into())]
    }

    fn ask(
        &self,
        evaluator: &mut Evaluator,
        asked: &Asked,
        reached: &Reached,
        input: &Value,
    ) -> Vec<Decision> {
        let found = evaluator
            .value(&path(asked, &asked.name), input, reached.needs_no_errors)
            .and_then(|value| messages(&value));
        let messages = match found {
            Ok(messages) => messages,
            Err(reason) => return vec![Decision::NotEvaluated { reason }],
        };
        if messages.is_empty() {
            return vec![Decision::Pass];
        }
        let exception = path(asked, "exception");
        let excepted = match self.rules.has(&exception) {
            true => evaluator.value(&exception, input, reached.needs_no_errors),
            false => Ok(Value::Undefined),
        };
        let excepted = match excepted {
            Ok(value) => names(&value).contains(bare(&asked.name)),
            Err(reason) => return vec![Decision::NotEvaluated { reason }],
        };
        let decision = |message: String| match (excepted, finds(&asked.name)) {
            (true, _) => {
                Decision::Excepted { by: format!("{}.exception", asked.package.join(".")), message }
            }
            (false, Some(Severity::Warn)) => Decision::Warn { message },
            (false, _) => Decision::Deny { message },
        };
        messages.into_iter().map(decision).collect()
    }
}

fn one(rule: &Rule, object: Option<usize>, decision: Decision) -> Decided {
    Decided { rule: rule.clone(), object, field: None, decision }
}

fn path(asked: &Asked, name: &str) -> RulePath {
    asked.package.iter().cloned().chain([name.to_owned()]).collect()
}

/// The name by which exceptions know a rule.
fn bare(name: &str) -> &str {
    name.split_once('_').map_or("", |(_, rest)| rest)
}

/// Everything that stands in the way of a rule, as one reason.
pub(crate) fn obstacles(reached: &Reached) -> Option<String> {
    let said: Vec<String> = reached
        .obstacles
        .iter()
        .map(|obstacle| format!("{}: {}", obstacle.at, obstacle.message))
        .collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// The messages of a rule's value.
pub(crate) fn messages(value: &Value) -> Result<Vec<String>, String> {
    let items: Vec<&Value> = match value {
        Value::Undefined | Value::Bool(false) => Vec::new(),
        Value::Set(items) => items.iter_sorted().collect(),
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) if fields.is_empty() => Vec::new(),
        _ => {
            return Err(
                "its value is not a set of messages, and conftest would take that for a pass: \
                        write `contains msg if` and set `msg`"
                    .to_owned(),
            );
        }
    };
    items.into_iter().map(message).collect()
}

fn message(item: &Value) -> Result<String, String> {
    let text = match item {
        Value::String(text) => Some(text),
        Value::Object(_) => match &item["msg"] {
            Value::String(text) => Some(text),
            _ => None,
        },
        _ => None,
    };
    text.map(ToString::to_string).ok_or_else(|| {
        "a finding is neither a text nor an object whose field `msg` is a text".to_owned()
    })
}

/// The names in a value of `exception`: the items of its items.
fn names(exceptions: &Value) -> BTreeSet<String> {
    let items = |value: &Value| -> Vec<Value> {
        match value {
            Value::Set(items) => items.iter_sorted().cloned().collect(),
            Value::Array(items) => items.iter().cloned().collect(),
            Value::Object(fields) => fields.iter_sorted().map(|(_, value)| value.clone()).collect(),
            _ => Vec::new(),
        }
    };
    let names = items(exceptions).iter().flat_map(items).collect::<Vec<Value>>();
    names.iter().filter_map(|name| Some(name.as_string().ok()?.to_string())).collect()
}

/// Evaluates within limits.
pub(crate) struct Evaluator {
    /// Takes every error of a built-in function for an error.
    strict: Engine,
    /// Takes it for undefined, as OPA does.
    lenient: Engine,
    limits: Limits,
    started: Option<Duration>,
}

impl Evaluator {
    pub(crate) fn new(engine: &Engine, limits: &Limits) -> Self {
        let with = |is_strict: bool| {
            let mut engine = engine.clone();
            engine.set_strict_builtin_errors(is_strict);
            limit(&mut engine, limits.one_rule);
            engine
        };
        Self { strict: with(true), lenient: with(false), limits: *limits, started: elapsed() }
    }

    /// The value of a rule; the error says why it has none that can be relied on.
    ///
    /// OPA takes the error of a built-in function for undefined. So does this, except where the
    /// error may not be one in OPA, or where it may hide another answer of OPA.
    pub(crate) fn value(
        &mut self,
        rule: &RulePath,
        input: &Value,
        needs_no_errors: bool,
    ) -> Result<Value, String> {
        let (Some(started), Some(now)) = (self.started, elapsed()) else {
            return Err(NO_CLOCK.to_owned());
        };
        if now.saturating_sub(started) >= self.limits.all {
            return Err(format!("stopped: all policies together took {:?}", self.limits.all));
        }
        let rule = format!("data.{}", rule.join("."));
        self.strict.set_input(input.clone());
        let error = match self.strict.eval_rule(rule.clone()) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if needs_no_errors || is_limit(&error) {
            return Err(self.reason(&error));
        }
        self.lenient.set_input(input.clone());
        self.lenient.eval_rule(rule).map_err(|error| self.reason(&error))
    }

    fn reason(&self, error: &anyhow::Error) -> String {
        if is_limit(error) {
            return format!(
                "stopped after {:?}: the policy runs for too long",
                self.limits.one_rule
            );
        }
        Failure::of(error).to_string()
    }
}

/// Whether the clock stopped the evaluation.
fn is_limit(error: &anyhow::Error) -> bool {
    error.downcast_ref::<regorus::LimitError>().is_some()
        || error.to_string().contains("time limit")
}
