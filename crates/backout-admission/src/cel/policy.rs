//! What policies in this language have in common: match conditions, variables and validations.

use backout_core::document::FieldPath;
use backout_core::finding::Place;
use backout_core::manifest::Manifest;
use serde_json::Value;

use super::{Declarations, Environment, Expression, Outcome, Refused, Scope, Variable};

/// What an error of an expression leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// The object is refused.
    Fail,
    /// The expression is left out.
    Ignore,
}

/// An expression with its name and place.
#[derive(Clone, Debug)]
pub struct Condition {
    /// Its name in the policy.
    pub name: String,
    /// The expression.
    pub expression: Result<Expression, Refused>,
}

/// One expression that objects must meet.
#[derive(Clone, Debug)]
pub struct Validation {
    /// The expression as written.
    pub text: String,
    /// The expression.
    pub expression: Result<Expression, Refused>,
    /// What to say of an object that does not meet it.
    pub message: Option<String>,
    /// An expression that says it better.
    pub message_expression: Option<Result<Expression, Refused>>,
    /// Where the expression is written.
    pub at: Place,
}

/// The expressions of a policy.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What an error leads to.
    pub failure_policy: FailurePolicy,
    /// What an object must meet for the policy to apply to it.
    pub match_conditions: Vec<Condition>,
    /// The variables, in the order of their declaration.
    pub variables: Vec<Variable>,
    /// What objects must meet.
    pub validations: Vec<Validation>,
    /// What is written to the audit log; an error in it counts.
    pub audit_annotations: Vec<Condition>,
}

/// What a validation, or the policy as a whole, says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The object meets it.
    Pass,
    /// The object does not meet it, or an error counts as that.
    Fail {
        /// What the policy says, or the error.
        message: String,
    },
    /// Nobody knows.
    NotEvaluated {
        /// Why not.
        reason: String,
    },
}

/// What a policy says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluated {
    /// Its match conditions leave the object out.
    Skipped,
    /// The policy as a whole, before any validation.
    Policy(Verdict),
    /// Each validation, in order; an error in an annotation comes last, without a place.
    Validations(Vec<(Option<usize>, Verdict)>),
}

/// Reads the fields of a policy with their places.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    manifest: &'a Manifest,
    path: &'a FieldPath,
    value: &'a Value,
}

impl<'a> Fields<'a> {
    /// Looks at a field of a manifest.
    #[must_use]
    pub fn new(manifest: &'a Manifest, path: &'a FieldPath, value: &'a Value) -> Self {
        Self { manifest, path, value }
    }

    fn place(&self, list: &str, index: usize, field: &str) -> Place {
        place(self.manifest, &self.path.clone().key(list).index(index).key(field))
    }

    fn list(&self, field: &str) -> Result<&'a [Value], String> {
        match &self.value[field] {
            Value::Null => Ok(&[]),
            Value::Array(items) => Ok(items),
            _ => Err(format!("{} is not a list", self.path.clone().key(field))),
        }
    }
}

/// The place of a field of a manifest.
#[must_use]
pub fn place(manifest: &Manifest, path: &FieldPath) -> Place {
    let location = (!manifest.source.text.is_empty()).then(|| manifest.location(path));
    Place { file: manifest.source.name.clone(), location }
}

fn text<'a>(item: &'a Value, field: &str) -> Result<&'a str, String> {
    item[field].as_str().ok_or_else(|| format!("an item has no {field} that is a string"))
}

impl Condition {
    /// Reads a list of conditions with names, such as `matchConditions`.
    ///
    /// # Errors
    /// When the list does not have the shape that it must have; an expression that cannot be read is
    /// kept as such.
    pub fn read(
        fields: Fields<'_>,
        list: &str,
        environment: &Environment,
        declarations: &Declarations,
        rewrite: &dyn Fn(&str) -> String,
    ) -> Result<Vec<Self>, String> {
        conditions(fields.list(list)?, "name", "expression", |text| {
            environment.compile(&rewrite(text), declarations)
        })
    }
}

/// Whether conditions leave an object in; one that is false decides, whatever the others are.
///
/// # Errors
/// When no condition is false, and one of them ends in an error or cannot be evaluated.
pub fn all_hold(conditions: &[Condition], scope: &mut Scope<'_>) -> Result<bool, Undecided> {
    let mut unsupported = None;
    let mut error = None;
    for condition in conditions {
        let about = |what: &str| format!("matchConditions {}: {what}", condition.name);
        match scope.holds(&condition.expression) {
            Outcome::Value(true) => {}
            Outcome::Value(false) => return Ok(false),
            Outcome::Error(message) => error = error.or(Some(about(&message))),
            Outcome::Unsupported(reason) => unsupported = unsupported.or(Some(about(&reason))),
        }
    }
    match (unsupported, error) {
        (Some(reason), _) => Err(Undecided::Unsupported(reason)),
        (None, Some(message)) => Err(Undecided::Error(message)),
        (None, None) => Ok(true),
    }
}

/// Why conditions do not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// One ends in an error.
    Error(String),
    /// One cannot be evaluated.
    Unsupported(String),
}

impl Rules {
    /// Reads the expressions of a policy. The list of what objects must meet is the field
    /// `validations` of a policy, whatever its name is. `rewrite` may change an expression before it
    /// is read. Variables that are declared already come before those of the policy.
    ///
    /// # Errors
    /// When the fields do not have the shape that they must have; an expression that cannot be read
    /// is kept as such.
    pub fn read(
        fields: Fields<'_>,
        list: &str,
        environment: &Environment,
        declarations: &Declarations,
        rewrite: &dyn Fn(&str) -> String,
    ) -> Result<Self, String> {
        let failure_policy = match &fields.value["failurePolicy"] {
            Value::Null => FailurePolicy::Fail,
            Value::String(policy) if policy == "Fail" => FailurePolicy::Fail,
            Value::String(policy) if policy == "Ignore" => FailurePolicy::Ignore,
            other => return Err(format!("failurePolicy is {other}, not Fail or Ignore")),
        };
        let mut declarations = declarations.clone();
        let compile = |text: &str, declarations: &Declarations| {
            environment.compile(&rewrite(text), declarations)
        };
        // Match conditions come before variables and see none of them.
        let match_conditions =
            Condition::read(fields, "matchConditions", environment, &declarations, rewrite)?;
        declarations.names.insert("variables".to_owned());
        let mut variables = Vec::new();
        for item in fields.list("variables")? {
            let name = text(item, "name")?.to_owned();
            let expression = compile(text(item, "expression")?, &declarations);
            declarations.variables.insert(name.clone());
            variables.push(Variable { name, expression });
        }
        let mut validations = Vec::new();
        for (index, item) in fields.list(list)?.iter().enumerate() {
            let text = text(item, "expression")?;
            let said = item["message"].as_str().filter(|message| !message.trim().is_empty());
            let better = item["messageExpression"].as_str().filter(|text| !text.is_empty());
            validations.push(Validation {
                text: text.to_owned(),
                expression: compile(text, &declarations),
                message: said.map(|message| message.trim().to_owned()),
                message_expression: better.map(|text| compile(text, &declarations)),
                at: fields.place(list, index, "expression"),
            });
        }
        let audit_annotations =
            conditions(fields.list("auditAnnotations")?, "key", "valueExpression", |text| {
                compile(text, &declarations)
            })?;
        Ok(Self { failure_policy, match_conditions, variables, validations, audit_annotations })
    }

    /// Every expression that Kubernetes would not accept either, because of which the policy could
    /// not exist in a cluster; the first one decides.
    #[must_use]
    pub fn invalid(&self) -> Option<String> {
        let conditions = self.match_conditions.iter();
        let named = conditions
            .map(|condition| (format!("matchConditions {}", condition.name), &condition.expression))
            .chain(
                self.variables
                    .iter()
                    .map(|variable| (format!("variables.{}", variable.name), &variable.expression)),
            )
            .chain(self.audit_annotations.iter().map(|annotation| {
                (format!("auditAnnotations {}", annotation.name), &annotation.expression)
            }));
        let messages = self.validations.iter().enumerate().filter_map(|(index, validation)| {
            let expression = validation.message_expression.as_ref()?;
            Some((format!("validations[{index}].messageExpression"), expression))
        });
        named.chain(messages).find_map(|(name, expression)| match expression {
            Err(refused) if refused.is_invalid => Some(format!("{name}: {refused}")),
            _ => None,
        })
    }

    fn failed(&self, message: String) -> Verdict {
        match self.failure_policy {
            FailurePolicy::Fail => Verdict::Fail { message },
            FailurePolicy::Ignore => Verdict::Pass,
        }
    }

    /// Says what the policy says of the object in a scope, which must have been made with the
    /// variables of the policy.
    pub fn evaluate(&self, scope: &mut Scope<'_>) -> Evaluated {
        if let Some(reason) = self.invalid() {
            return Evaluated::Policy(Verdict::NotEvaluated { reason });
        }
        match self.applies(scope) {
            Ok(true) => {}
            Ok(false) => return Evaluated::Skipped,
            Err(verdict) => return Evaluated::Policy(verdict),
        }
        let validations = self.validations.iter().enumerate();
        let mut verdicts: Vec<_> =
            validations.map(|(index, one)| (Some(index), self.validate(one, scope))).collect();
        for annotation in &self.audit_annotations {
            let verdict = match scope.text_or_null(&annotation.expression) {
                Outcome::Value(_) => continue,
                Outcome::Error(message) => {
                    self.failed(format!("auditAnnotations {}: {message}", annotation.name))
                }
                Outcome::Unsupported(reason) => Verdict::NotEvaluated {
                    reason: format!("auditAnnotations {}: {reason}", annotation.name),
                },
            };
            if verdict != Verdict::Pass {
                verdicts.push((None, verdict));
            }
        }
        Evaluated::Validations(verdicts)
    }

    /// Whether the policy applies.
    fn applies(&self, scope: &mut Scope<'_>) -> Result<bool, Verdict> {
        match all_hold(&self.match_conditions, scope) {
            Ok(applies) => Ok(applies),
            Err(Undecided::Unsupported(reason)) => Err(Verdict::NotEvaluated { reason }),
            Err(Undecided::Error(message)) => match self.failure_policy {
                FailurePolicy::Fail => Err(Verdict::Fail { message }),
                FailurePolicy::Ignore => Ok(false),
            },
        }
    }

    fn validate(&self, validation: &Validation, scope: &mut Scope<'_>) -> Verdict {
        match scope.holds(&validation.expression) {
            Outcome::Value(true) => Verdict::Pass,
            Outcome::Value(false) => Verdict::Fail { message: said(validation, scope) },
            Outcome::Error(message) => {
                self.failed(format!("the expression ends in an error: {message}"))
            }
            Outcome::Unsupported(reason) => Verdict::NotEvaluated { reason },
        }
    }
}

fn conditions(
    items: &[Value],
    name: &str,
    expression: &str,
    compile: impl Fn(&str) -> Result<Expression, Refused>,
) -> Result<Vec<Condition>, String> {
    let read = |item| {
        let expression = compile(text(item, expression)?);
        Ok(Condition { name: text(item, name)?.to_owned(), expression })
    };
    items.iter().map(read).collect()
}

/// What to say of an object that breaks a rule. An expression that gives no text, an empty one or
/// several lines gives way to the message that is written.
fn said(validation: &Validation, scope: &mut Scope<'_>) -> String {
    /// The most that Kubernetes takes, in bytes.
    const MAX_BYTES: usize = 5 * 1024;
    if let Some(expression) = &validation.message_expression
        && let Outcome::Value(text) = scope.text(expression)
    {
        let text = text.trim();
        if !text.is_empty() && !text.contains('\n') && text.len() <= MAX_BYTES {
            return text.to_owned();
        }
    }
    let written = validation.message.clone();
    written.unwrap_or_else(|| format!("failed expression: {}", validation.text.trim()))
}
