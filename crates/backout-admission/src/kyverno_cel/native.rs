//! Gatekeeper's engine for this language, `K8sNativeValidation`: expressions in a ConstraintTemplate.
//!
//! <https://open-policy-agent.github.io/gatekeeper/website/docs/validating-admission-policy/>

use backout_core::document::FieldPath;
use backout_core::manifest::Manifest;
use serde_json::Value;

use crate::cel::policy::{Condition, Evaluated, Fields, Rules};
use crate::cel::{Environment, Variable};
use crate::validating_admission_policy::matching::Subject;
use crate::validating_admission_policy::{World, declarations, scope};

/// Variables that Gatekeeper declares before those of a template.
const GIVEN: &[(&str, &str)] = &[
    ("anyObject", "object"),
    ("params", "!has(params.spec) || !has(params.spec.parameters) ? null : params.spec.parameters"),
];

/// The source of a template.
#[derive(Clone, Debug)]
pub struct Native {
    environment: Environment,
    rules: Rules,
}

impl Native {
    /// Reads the field `source` of a template, at a path such as `spec.targets[0].code[0].source`.
    ///
    /// # Errors
    /// When it does not have the shape that it must have; an expression that cannot be read is kept,
    /// and is not evaluated.
    pub fn read(
        environment: &Environment,
        template: &Manifest,
        path: &FieldPath,
        source: &Value,
    ) -> Result<Self, String> {
        let mut names = declarations();
        names.names.insert("params".to_owned());
        let mut given = Vec::new();
        for (name, text) in GIVEN {
            let expression = environment.compile(text, &names);
            given.push(Variable { name: (*name).to_owned(), expression });
        }
        names.variables.extend(GIVEN.iter().map(|(name, _)| (*name).to_owned()));
        let fields = Fields::new(template, path, source);
        let mut rules = Rules::read(fields, "validations", environment, &names, &str::to_owned)?;
        rules.variables.splice(0..0, given);
        // The field is called so, without the plural, in Gatekeeper's own types.
        let conditions =
            Condition::read(fields, "matchCondition", environment, &names, &str::to_owned)?;
        rules.match_conditions.extend(conditions);
        Ok(Self { environment: environment.clone(), rules })
    }

    /// The expressions, for their places.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Says what the template says of an object under a constraint, whose own match comes before.
    #[must_use]
    pub fn evaluate(
        &self,
        constraint: &Value,
        subject: &Subject<'_>,
        world: &World<'_>,
    ) -> Evaluated {
        let mut scope = scope(&self.environment, &self.rules.variables, subject, world);
        scope.set("params", constraint);
        self.rules.evaluate(&mut scope)
    }
}
