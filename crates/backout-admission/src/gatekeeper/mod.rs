//! Gatekeeper: constraints, and the templates whose Rego decides about them.
//!
//! Objects are reviewed as if each were created, with the manifests that are given as
//! `data.inventory`. Defaults of a template's schema are filled in; parameters are not validated by
//! it, which the API server does when a constraint is applied. Pods of workloads are not made out
//! of their templates, as Gatekeeper makes none without an `ExpansionTemplate`; where there is one,
//! what it would make is said to be not evaluated.

mod inventory;
mod matching;
mod selector;
mod template;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use backout_core::document::FieldPath;
use backout_core::finding::Place;
use backout_core::manifest::Manifest;
use backout_core::units::Time;
use regorus::Value as Input;
use serde_json::{Value, json};

use crate::rego::{Evaluator, Limits, messages};
use crate::{Decided, Decision, Engine, Rule};
use matching::Match;
use template::Template;

/// The group of templates.
const TEMPLATES: &str = "templates.gatekeeper.sh";
/// The group of constraints.
const CONSTRAINTS: &str = "constraints.gatekeeper.sh";
/// The group of templates for what controllers make.
const EXPANSIONS: &str = "expansion.gatekeeper.sh";
/// The enforcement point of admission.
const ADMISSION: &str = "validation.gatekeeper.sh";

/// Constraints with their templates, ready to be asked.
pub struct Constraints {
    constraints: Vec<Constraint>,
    /// What can never be evaluated, said once.
    not_evaluated: Vec<Decided>,
}

struct Constraint {
    rule: Rule,
    template: Template,
    subject: Match,
    parameters: Value,
    action: Action,
}

/// What a violation leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Deny,
    Warn,
}

impl std::fmt::Debug for Constraints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules: Vec<&Rule> =
            self.constraints.iter().map(|constraint| &constraint.rule).collect();
        f.debug_struct("Constraints").field("rules", &rules).finish_non_exhaustive()
    }
}

impl Constraints {
    /// Whether an object belongs to Gatekeeper's configuration, and is no object to be reviewed.
    #[must_use]
    pub fn owns(object: &Manifest) -> bool {
        object.group().ends_with(".gatekeeper.sh")
    }

    /// Reads templates and constraints; other objects are passed over. What cannot be read becomes a
    /// decision of its own. `now` is what `time.now_ns` answers, in milliseconds since 1970.
    #[must_use]
    pub fn read(policies: &[Manifest], now: Option<Time>) -> Self {
        let of_group =
            |group: &'static str| policies.iter().filter(move |one| one.group() == group);
        let templates: BTreeMap<&str, Result<Template, String>> = of_group(TEMPLATES)
            .filter(|one| one.kind() == "ConstraintTemplate")
            .map(|one| (template::kind(one), Template::read(one, now)))
            .collect();
        let mut read = Self { constraints: Vec::new(), not_evaluated: Vec::new() };
        for constraint in of_group(CONSTRAINTS) {
            match Constraint::read(constraint, &templates) {
                Ok(constraint) => read.constraints.push(constraint),
                Err(reason) => read.refuse(constraint, reason),
            }
        }
        for expansion in of_group(EXPANSIONS) {
            let reason = "the objects that controllers make by this template are not made here, so \
                          constraints on them are not evaluated";
            read.refuse(expansion, reason.to_owned());
        }
        read
    }

    fn refuse(&mut self, object: &Manifest, reason: String) {
        let decision = Decision::NotEvaluated { reason };
        self.not_evaluated.push(Decided {
            rule: rule(object),
            object: None,
            field: None,
            decision,
        });
    }

    /// Asks every constraint about every object that it matches. What belongs to Gatekeeper itself is
    /// not reviewed.
    #[must_use]
    pub fn decide(&self, objects: &[Manifest], limits: &Limits) -> Vec<Decided> {
        let mut decided = self.not_evaluated.clone();
        let inventory: Input = inventory::of(objects).into();
        for constraint in &self.constraints {
            let mut engine = constraint.template.engine.clone();
            let is_added = engine.add_data(inventory.clone());
            let mut evaluator = Evaluator::new(&engine, limits);
            for (index, object) in objects.iter().enumerate().filter(|(_, one)| !Self::owns(one)) {
                let decisions = match (&is_added, constraint.subject.matches(object, objects)) {
                    (_, Ok(false)) => continue,
                    (Err(error), _) => vec![not_evaluated(format!("the inventory: {error}"))],
                    (Ok(()), Err(reason)) => vec![not_evaluated(reason)],
                    (Ok(()), Ok(true)) => constraint.ask(&mut evaluator, object),
                };
                decided.extend(decisions.into_iter().map(|decision| Decided {
                    rule: constraint.rule.clone(),
                    object: Some(index),
                    field: None,
                    decision,
                }));
            }
        }
        decided
    }
}

fn not_evaluated(reason: String) -> Decision {
    Decision::NotEvaluated { reason }
}

fn rule(object: &Manifest) -> Rule {
    let location = object.location(&FieldPath::root().key("metadata").key("name"));
    Rule {
        engine: Engine::Gatekeeper,
        policy: format!("{}/{}", object.kind(), object.name()),
        rule: String::new(),
        at: Place { file: object.source.name.clone(), location: Some(location) },
    }
}

impl Constraint {
    fn read(
        constraint: &Manifest,
        templates: &BTreeMap<&str, Result<Template, String>>,
    ) -> Result<Self, String> {
        let kind = constraint.kind();
        let template = templates
            .get(kind)
            .ok_or_else(|| format!("no ConstraintTemplate makes the kind {kind}: add it"))?
            .as_ref()
            .map_err(Clone::clone)?;
        let spec = &constraint.value["spec"];
        let subject = match &spec["match"] {
            Value::Null => Match::default(),
            given => serde_json::from_value(given.clone())
                .map_err(|error| format!("spec.match is not understood: {error}"))?,
        };
        Ok(Self {
            rule: rule(constraint),
            subject,
            parameters: template.parameters(&spec["parameters"]),
            action: action(spec)?,
            template: template.clone(),
        })
    }

    fn ask(&self, evaluator: &mut Evaluator, object: &Manifest) -> Vec<Decision> {
        let input = json!({"review": review(object), "parameters": self.parameters});
        let template = &self.template;
        let found = evaluator
            .value(&template.violation, &input.into(), template.needs_no_errors)
            .and_then(|value| messages(&value));
        let decision = |message| match self.action {
            Action::Deny => Decision::Deny { message },
            Action::Warn => Decision::Warn { message },
        };
        match found {
            Err(reason) => vec![not_evaluated(reason)],
            Ok(messages) if messages.is_empty() => vec![Decision::Pass],
            Ok(messages) => messages.into_iter().map(decision).collect(),
        }
    }
}

/// What `spec.enforcementAction` does at admission.
fn action(spec: &Value) -> Result<Action, String> {
    let of = |action: &Value| match action.as_str() {
        Some("deny") => Ok(Action::Deny),
        Some("warn" | "dryrun") => Ok(Action::Warn),
        _ => Err(format!("the enforcement action {action} is not known")),
    };
    match &spec["enforcementAction"] {
        Value::Null => Ok(Action::Deny),
        Value::String(action) if action == "scoped" => {
            let scoped = spec["scopedEnforcementActions"].as_array().into_iter().flatten();
            let mut strictest = Action::Warn;
            for one in scoped {
                let mut points = one["enforcementPoints"].as_array().into_iter().flatten();
                let is_here =
                    points.any(|point| point["name"] == "*" || point["name"] == ADMISSION);
                if of(&one["action"])? == Action::Deny && is_here {
                    strictest = Action::Deny;
                }
            }
            Ok(strictest)
        }
        action => of(action),
    }
}

/// The request that would create an object.
fn review(object: &Manifest) -> Value {
    let mut review = json!({
        "kind": {"group": object.group(), "version": object.version(), "kind": object.kind()},
        "name": object.name(),
        "operation": "CREATE",
        "object": object.value,
        "oldObject": null,
        "userInfo": {},
    });
    if let (Some(namespace), Some(fields)) = (object.namespace(), review.as_object_mut()) {
        fields.insert("namespace".to_owned(), json!(namespace));
    }
    review
}
