//! Kyverno's ValidatingPolicy and its relatives.

use backout_core::document::FieldPath;
use backout_core::manifest::Manifest;
use serde_json::Value;

use super::autogen;
use super::declarations;
use super::exception::{self, Excepted, Exception};
use crate::cel::policy::{Evaluated, Fields, Rules, Verdict, place};
use crate::cel::{Environment, Limits};
use crate::validating_admission_policy::matching::{self, Matches, Subject};
use crate::validating_admission_policy::{Problem, World, problems_of, scope};
use crate::{Decided, Decision, Engine, Rule};

const GROUP: &str = "policies.kyverno.io";

/// Policies with their exceptions.
#[derive(Clone, Debug)]
pub struct Policies {
    environment: Environment,
    policies: Vec<Policy>,
    exceptions: Vec<Exception>,
    /// Policies that validate, but not in a way that can be evaluated here.
    not_evaluated: Vec<Decided>,
    notes: Vec<Problem>,
}

#[derive(Clone, Debug)]
struct Policy {
    manifest: Manifest,
    /// The policy as written, then its forms for what makes Pods.
    forms: Result<Vec<Form>, String>,
    denies: bool,
}

#[derive(Clone, Debug)]
struct Form {
    /// The resource that it was made for; empty for the policy as written.
    of: &'static str,
    constraints: Value,
    rules: Rules,
}

impl Policies {
    /// Reads the policies and exceptions among manifests. What is wrong with them is returned too,
    /// and a policy that cannot be read is kept: it is not evaluated, and never passes.
    ///
    /// # Errors
    /// When the language cannot be set up, which does not depend on the manifests.
    pub fn read(manifests: &[Manifest], limits: Limits) -> Result<(Self, Vec<Problem>), String> {
        let environment = Environment::new(limits).map_err(|error| error.to_string())?;
        let mut this = Self {
            environment,
            policies: Vec::new(),
            exceptions: Vec::new(),
            not_evaluated: Vec::new(),
            notes: Vec::new(),
        };
        let mut problems = Vec::new();
        for manifest in manifests.iter().filter(|manifest| manifest.group() == GROUP) {
            this.add(manifest, &mut problems);
        }
        Ok((this, problems))
    }

    fn add(&mut self, manifest: &Manifest, problems: &mut Vec<Problem>) {
        match manifest.kind() {
            "ValidatingPolicy" | "NamespacedValidatingPolicy" => {
                if let Some(message) = elsewhere(&manifest.value["spec"]) {
                    self.note(manifest, message);
                    return;
                }
                let policy = read_policy(manifest, &self.environment);
                match &policy.forms {
                    Ok(forms) => problems.extend(
                        forms.iter().take(1).flat_map(|form| problems_of(manifest, &form.rules)),
                    ),
                    Err(message) => problems.push(Problem {
                        at: place(manifest, &FieldPath::root().key("spec")),
                        message: message.clone(),
                    }),
                }
                self.policies.push(policy);
            }
            "PolicyException" => {
                self.exceptions.push(Exception::read(manifest, &self.environment));
            }
            "ImageValidatingPolicy" | "NamespacedImageValidatingPolicy" => {
                let reason = "signatures and attestations of images are not checked here; use the \
                              gate artifact-signature";
                self.refuse(manifest, reason);
            }
            kind if ["MutatingPolicy", "GeneratingPolicy", "DeletingPolicy"]
                .iter()
                .any(|known| kind.ends_with(known)) =>
            {
                self.note(manifest, format!("a {kind} validates nothing"));
            }
            kind => self.refuse(manifest, &format!("the kind {kind} is not known")),
        }
    }

    fn note(&mut self, manifest: &Manifest, message: String) {
        self.notes.push(Problem { at: place(manifest, &FieldPath::root()), message });
    }

    fn refuse(&mut self, manifest: &Manifest, reason: &str) {
        let decision = Decision::NotEvaluated { reason: reason.to_owned() };
        self.not_evaluated.push(Decided {
            rule: Rule {
                engine: Engine::KyvernoCel,
                policy: manifest.name().to_owned(),
                rule: String::new(),
                at: place(manifest, &FieldPath::root()),
            },
            object: None,
            field: None,
            decision,
        });
    }

    /// What is worth knowing of policies that have no say in whether an object is admitted.
    #[must_use]
    pub fn notes(&self) -> &[Problem] {
        &self.notes
    }

    /// Says how many policies have a say.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len() + self.not_evaluated.len()
    }

    /// Whether no policy has a say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Decides on objects that are created: first the policies that cannot be evaluated at all, then
    /// by policy, object and validation. An object that a policy is not about has no decision.
    #[must_use]
    pub fn decide(&self, objects: &[Manifest], world: &World<'_>) -> Vec<Decided> {
        let mut decided = self.not_evaluated.clone();
        for policy in &self.policies {
            for (index, manifest) in objects.iter().enumerate() {
                let subject = Subject::new(manifest, world);
                if !policy.is_near(&subject) {
                    continue;
                }
                for (decision, rule) in self.judge(policy, &subject, world) {
                    decided.push(Decided { rule, object: Some(index), field: None, decision });
                }
            }
        }
        decided
    }

    fn judge(
        &self,
        policy: &Policy,
        subject: &Subject<'_>,
        world: &World<'_>,
    ) -> Vec<(Decision, Rule)> {
        let not_evaluated = |reason: &str| {
            (Decision::NotEvaluated { reason: reason.to_owned() }, policy.rule(None, None))
        };
        let forms = match &policy.forms {
            Ok(forms) => forms,
            Err(reason) => return vec![not_evaluated(reason)],
        };
        let mut decisions = Vec::new();
        for form in forms {
            match matching::matches(&form.constraints, subject, world) {
                Matches::No => {}
                Matches::Unknown(reason) => decisions.push(not_evaluated(&reason)),
                Matches::Yes => decisions.extend(self.apply(policy, form, subject, world)),
            }
        }
        decisions
    }

    fn apply(
        &self,
        policy: &Policy,
        form: &Form,
        subject: &Subject<'_>,
        world: &World<'_>,
    ) -> Vec<(Decision, Rule)> {
        let (exceptions, manifest) = (&self.exceptions, &policy.manifest);
        let excepted = exception::consider(exceptions, manifest, &self.environment, subject, world);
        let mut scope = scope(&self.environment, &form.rules.variables, subject, world);
        scope.set("exceptions", &excepted.value());
        let verdicts = match form.rules.evaluate(&mut scope) {
            Evaluated::Skipped => return Vec::new(),
            Evaluated::Policy(verdict) => vec![(None, verdict)],
            Evaluated::Validations(verdicts) => verdicts,
        };
        let decide = |(index, verdict): (Option<usize>, Verdict)| {
            (policy.decision(verdict, &excepted), policy.rule(Some(form), index))
        };
        verdicts.into_iter().map(decide).collect()
    }
}

impl Policy {
    /// Whether a policy of a namespace is about objects of the object's namespace.
    fn is_near(&self, subject: &Subject<'_>) -> bool {
        !self.manifest.kind().starts_with("Namespaced")
            || self.manifest.namespace().is_none()
            || self.manifest.namespace() == subject.namespace.as_deref()
    }

    fn decision(&self, verdict: Verdict, excepted: &Excepted) -> Decision {
        let by = || excepted.by.join(", ");
        match verdict {
            Verdict::Pass => Decision::Pass,
            Verdict::Fail { message } | Verdict::NotEvaluated { reason: message }
                if !excepted.by.is_empty() =>
            {
                Decision::Excepted { by: by(), message }
            }
            Verdict::NotEvaluated { reason } => Decision::NotEvaluated { reason },
            Verdict::Fail { message } => match &excepted.unknown {
                Some(unknown) => Decision::NotEvaluated {
                    reason: format!(
                        "{message}; whether an exception allows it is not known: {unknown}"
                    ),
                },
                None if self.denies => Decision::Deny { message },
                None => Decision::Warn { message },
            },
        }
    }

    /// The policy as a rule, or one of its validations, in one of its forms.
    fn rule(&self, form: Option<&Form>, validation: Option<usize>) -> Rule {
        let (name, at) = match (form, validation) {
            (Some(form), Some(index)) => {
                let prefix = if form.of.is_empty() { "" } else { "autogen-" };
                (format!("{prefix}validations[{index}]"), form.rules.validations[index].at.clone())
            }
            _ => (String::new(), place(&self.manifest, &FieldPath::root())),
        };
        Rule { engine: Engine::KyvernoCel, policy: self.manifest.name().to_owned(), rule: name, at }
    }
}

/// Says why a policy has no say in whether an object is admitted.
fn elsewhere(spec: &Value) -> Option<String> {
    let evaluation = &spec["evaluation"];
    if let Some(mode) = evaluation["mode"].as_str()
        && mode != "Kubernetes"
    {
        return Some(format!("it is about {mode} and not about objects of Kubernetes"));
    }
    let is_off = evaluation["admission"]["enabled"].as_bool() == Some(false);
    is_off.then(|| "it is not evaluated at admission, only in the background".to_owned())
}

fn read_policy(manifest: &Manifest, environment: &Environment) -> Policy {
    let spec = &manifest.value["spec"];
    let actions = &spec["validationActions"];
    // Without actions Kyverno denies; what is not understood counts as the strictest.
    let denies = actions.as_array().is_none_or(|actions| {
        actions.is_empty() || !actions.iter().all(|action| *action == "Warn" || *action == "Audit")
    });
    Policy { manifest: manifest.clone(), forms: read_forms(manifest, environment), denies }
}

fn read_forms(manifest: &Manifest, environment: &Environment) -> Result<Vec<Form>, String> {
    let spec = &manifest.value["spec"];
    let path = FieldPath::root().key("spec");
    let fields = Fields::new(manifest, &path, spec);
    let constraints = &spec["matchConstraints"];
    if !constraints.is_object() {
        return Err("spec.matchConstraints is missing".to_owned());
    }
    let read = |rewrite: &dyn Fn(&str) -> String| {
        Rules::read(fields, "validations", environment, &declarations(), rewrite)
    };
    let rules = read(&str::to_owned)?;
    let mut forms = vec![Form { of: "", constraints: constraints.clone(), rules }];
    for generated in autogen::generate(spec)? {
        let rules = read(&|text: &str| generated.rewrite(text))?;
        let of = generated.name;
        forms.push(Form { of, constraints: generated.constraints, rules });
    }
    Ok(forms)
}
