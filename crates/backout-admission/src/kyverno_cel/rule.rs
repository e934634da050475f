//! A rule of Kyverno's ClusterPolicy that is written in this language: `validate.cel`.

use backout_core::document::FieldPath;
use backout_core::manifest::Manifest;
use serde_json::Value;

use crate::cel::Environment;
use crate::cel::policy::{Condition, Evaluated, Fields, Rules};
use crate::validating_admission_policy::matching::Subject;
use crate::validating_admission_policy::{World, declarations, scope};

/// The expressions of a rule.
#[derive(Clone, Debug)]
pub struct CelRule {
    environment: Environment,
    rules: Rules,
    /// Whether the rule wants parameters.
    has_parameters: bool,
}

impl CelRule {
    /// Reads a rule, at a path such as `spec.rules[0]`, with its `celPreconditions` and its
    /// `validate.cel`. `rewrite` may change an expression before it is read, as for the forms of a
    /// rule for what makes Pods.
    ///
    /// # Errors
    /// When it does not have the shape that it must have; an expression that cannot be read is kept,
    /// and is not evaluated.
    pub fn read(
        environment: &Environment,
        policy: &Manifest,
        path: &FieldPath,
        rule: &Value,
        rewrite: &dyn Fn(&str) -> String,
    ) -> Result<Self, String> {
        let body = &rule["validate"]["cel"];
        let mut names = declarations();
        let has_parameters = body["paramKind"].is_object();
        if has_parameters {
            names.names.insert("params".to_owned());
        }
        let cel = path.clone().key("validate").key("cel");
        let fields = Fields::new(policy, &cel, body);
        let mut rules = Rules::read(fields, "expressions", environment, &names, rewrite)?;
        let fields = Fields::new(policy, path, rule);
        rules.match_conditions =
            Condition::read(fields, "celPreconditions", environment, &names, rewrite)?;
        Ok(Self { environment: environment.clone(), rules, has_parameters })
    }

    /// The expressions, for their places.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Says what the rule says of an object that it matches. Without the parameters that it wants,
    /// what needs them is not evaluated.
    #[must_use]
    pub fn evaluate(
        &self,
        parameters: Option<&Value>,
        subject: &Subject<'_>,
        world: &World<'_>,
    ) -> Evaluated {
        let mut scope = scope(&self.environment, &self.rules.variables, subject, world);
        match parameters {
            Some(parameters) => scope.set("params", parameters),
            None if self.has_parameters => {
                scope.set_missing("params", "the parameters of the rule are not given");
            }
            None => {}
        }
        self.rules.evaluate(&mut scope)
    }
}
