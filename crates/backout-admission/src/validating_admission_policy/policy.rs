//! Policies with their bindings, and what they decide.

use std::collections::BTreeMap;

use backout_core::document::FieldPath;
use backout_core::finding::Place;
use backout_core::manifest::Manifest;
use serde_json::Value;

use super::matching::{self, Matches, Subject};
use super::selector;
use super::world::{self, World};
use crate::cel::policy::{Evaluated, FailurePolicy, Fields, Rules, Verdict, place};
use crate::cel::{Environment, Limits};
use crate::{Decided, Decision, Engine, Rule};

/// What is wrong with a file of policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Place,
    /// What, without a full stop.
    pub message: String,
}

/// Policies with their bindings.
#[derive(Clone, Debug)]
pub struct Policies {
    environment: Environment,
    policies: Vec<Policy>,
}

#[derive(Clone, Debug)]
struct Policy {
    manifest: Manifest,
    /// Its expressions, or why they cannot be read.
    rules: Result<Rules, String>,
    bindings: Vec<Binding>,
}

#[derive(Clone, Debug)]
struct Binding {
    spec: Value,
    /// Whether a violation is refused; otherwise it is only told.
    denies: bool,
}

/// The parameters that a policy is evaluated with.
enum Parameters<'a> {
    /// Each in turn; null when the policy has none.
    Values(Vec<&'a Value>),
    /// The policy does not apply.
    Skip,
    /// It is wrongly configured, which its failure policy decides on.
    Misconfigured(String),
    /// Nobody knows.
    Unknown(String),
}

const GROUP: &str = "admissionregistration.k8s.io";

fn is_ours(manifest: &Manifest, kind: &str) -> bool {
    manifest.group() == GROUP
        && manifest.kind() == kind
        && ["v1", "v1beta1", "v1alpha1"].contains(&manifest.version())
}

impl Policies {
    /// Reads the policies and bindings among manifests. What is wrong with them is returned too, and
    /// a policy that cannot be read is kept: it is not evaluated, and never passes.
    ///
    /// # Errors
    /// When the language cannot be set up, which does not depend on the manifests.
    pub fn read(manifests: &[Manifest], limits: Limits) -> Result<(Self, Vec<Problem>), String> {
        let environment = Environment::new(limits).map_err(|error| error.to_string())?;
        let mut problems = Vec::new();
        let policies = manifests
            .iter()
            .filter(|manifest| is_ours(manifest, "ValidatingAdmissionPolicy"))
            .map(|manifest| read_policy(manifest, &environment, &mut problems))
            .collect();
        let mut this = Self { environment, policies };
        for manifest in manifests {
            if is_ours(manifest, "ValidatingAdmissionPolicyBinding") {
                this.bind(manifest, &mut problems);
            }
        }
        Ok((this, problems))
    }

    fn bind(&mut self, manifest: &Manifest, problems: &mut Vec<Problem>) {
        let spec = &manifest.value["spec"];
        let name = spec["policyName"].as_str().unwrap_or_default();
        let path = FieldPath::root().key("spec");
        let mut problem = |field: &str, message: String| {
            problems.push(Problem { at: place(manifest, &path.clone().key(field)), message });
        };
        let Some(policy) = self.policies.iter_mut().find(|policy| policy.manifest.name() == name)
        else {
            return problem("policyName", format!("no policy is called {name:?}"));
        };
        let actions = spec["validationActions"].as_array();
        let actions: Vec<&str> = actions.into_iter().flatten().filter_map(Value::as_str).collect();
        let is_known = actions.iter().all(|action| ["Deny", "Warn", "Audit"].contains(action));
        if actions.is_empty() || !is_known {
            problem("validationActions", "it must list Deny, Warn or Audit".to_owned());
        }
        // What is not understood counts as the strictest.
        let denies = actions.is_empty() || !is_known || actions.contains(&"Deny");
        policy.bindings.push(Binding { spec: spec.clone(), denies });
    }

    /// Says which policies have no binding. In a cluster they do nothing.
    #[must_use]
    pub fn unbound(&self) -> Vec<Rule> {
        let unbound = self.policies.iter().filter(|policy| policy.bindings.is_empty());
        unbound.map(|policy| policy.rule(None)).collect()
    }

    /// Says how many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// Decides on objects that are created: by policy, object, binding, parameter and validation, in
    /// this order. An object that a policy is not about has no decision.
    #[must_use]
    pub fn decide(&self, objects: &[Manifest], world: &World<'_>) -> Vec<Decided> {
        let mut decided = Vec::new();
        for policy in &self.policies {
            for (index, manifest) in objects.iter().enumerate() {
                let subject = Subject::new(manifest, world);
                for (decision, validation) in self.judge(policy, &subject, world) {
                    let rule = policy.rule(validation);
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
    ) -> Vec<(Decision, Option<usize>)> {
        let not_evaluated = |reason: String| vec![(Decision::NotEvaluated { reason }, None)];
        if subject.manifest.group() == GROUP {
            // Kubernetes keeps policies away from what configures admission.
            return Vec::new();
        }
        let spec = &policy.manifest.value["spec"];
        let about = matching::matches(&spec["matchConstraints"], subject, world);
        if about == Matches::No {
            return Vec::new();
        }
        let mut decisions = Vec::new();
        for binding in &policy.bindings {
            let bound = matching::matches(&binding.spec["matchResources"], subject, world);
            match (&about, bound) {
                (_, Matches::No) => {}
                (Matches::Unknown(reason), _) => {
                    decisions.extend(not_evaluated(reason.clone()));
                }
                (_, Matches::Unknown(reason)) => decisions.extend(not_evaluated(reason)),
                _ => match &policy.rules {
                    Ok(rules) => {
                        decisions.extend(self.apply(policy, rules, binding, subject, world));
                    }
                    Err(reason) => decisions.extend(not_evaluated(reason.clone())),
                },
            }
        }
        decisions
    }

    /// Evaluates a policy that is about an object, with every parameter.
    fn apply(
        &self,
        policy: &Policy,
        rules: &Rules,
        binding: &Binding,
        subject: &Subject<'_>,
        world: &World<'_>,
    ) -> Vec<(Decision, Option<usize>)> {
        let parameters = match parameters(policy, binding, subject, world) {
            Parameters::Values(parameters) => parameters,
            Parameters::Skip => return Vec::new(),
            Parameters::Unknown(reason) => {
                return vec![(Decision::NotEvaluated { reason }, None)];
            }
            Parameters::Misconfigured(message) => {
                // Kubernetes refuses the object whatever the binding's actions are.
                return match rules.failure_policy {
                    FailurePolicy::Fail => vec![(Decision::Deny { message }, None)],
                    FailurePolicy::Ignore => Vec::new(),
                };
            }
        };
        let mut decisions = Vec::new();
        for parameter in parameters {
            let mut scope = world::scope(&self.environment, &rules.variables, subject, world);
            scope.set("params", parameter);
            match rules.evaluate(&mut scope) {
                Evaluated::Skipped => {}
                Evaluated::Policy(verdict) => decisions.push((binding.decision(verdict), None)),
                Evaluated::Validations(verdicts) => {
                    decisions.extend(
                        verdicts
                            .into_iter()
                            .map(|(index, verdict)| (binding.of(index, verdict), index)),
                    );
                }
            }
        }
        decisions
    }
}

impl Binding {
    /// What a validation says. What has no place is an annotation that ended in an error, for which
    /// Kubernetes refuses the object whatever the binding's actions are.
    fn of(&self, validation: Option<usize>, verdict: Verdict) -> Decision {
        match (validation, verdict) {
            (None, Verdict::Fail { message }) => Decision::Deny { message },
            (_, verdict) => self.decision(verdict),
        }
    }

    fn decision(&self, verdict: Verdict) -> Decision {
        match verdict {
            Verdict::Pass => Decision::Pass,
            Verdict::Fail { message } if self.denies => Decision::Deny { message },
            Verdict::Fail { message } => Decision::Warn { message },
            Verdict::NotEvaluated { reason } => Decision::NotEvaluated { reason },
        }
    }
}

impl Policy {
    /// The policy as a rule, or one of its validations.
    fn rule(&self, validation: Option<usize>) -> Rule {
        let at = match (validation, &self.rules) {
            (Some(index), Ok(rules)) => rules.validations[index].at.clone(),
            _ => place(&self.manifest, &FieldPath::root()),
        };
        Rule {
            engine: Engine::ValidatingAdmissionPolicy,
            policy: self.manifest.name().to_owned(),
            rule: validation.map_or_else(String::new, |index| format!("validations[{index}]")),
            at,
        }
    }
}

fn read_policy(
    manifest: &Manifest,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> Policy {
    let path = FieldPath::root().key("spec");
    let spec = &manifest.value["spec"];
    let mut declarations = world::declarations();
    if spec["paramKind"].is_object() {
        declarations.names.insert("params".to_owned());
    }
    let fields = Fields::new(manifest, &path, spec);
    let rules = Rules::read(fields, "validations", environment, &declarations, &str::to_owned);
    let rules = if spec["matchConstraints"].is_object() {
        rules
    } else {
        Err("spec.matchConstraints is missing".to_owned())
    };
    match &rules {
        Err(message) => {
            problems.push(Problem { at: place(manifest, &path), message: message.clone() });
        }
        Ok(rules) => problems.extend(problems_of(manifest, rules)),
    }
    Policy { manifest: manifest.clone(), rules, bindings: Vec::new() }
}

/// What is wrong with the expressions of a policy, each at its place.
pub(crate) fn problems_of(manifest: &Manifest, rules: &Rules) -> Vec<Problem> {
    let spec = FieldPath::root().key("spec");
    let list = |name: &str, index: usize, field: &str| {
        place(manifest, &spec.clone().key(name).index(index).key(field))
    };
    let mut found = BTreeMap::new();
    let mut note = |at: Place, message: String| {
        found.insert(
            (at.location.map(|at| (at.line, at.column)), message.clone()),
            Problem { at, message },
        );
    };
    for (index, condition) in rules.match_conditions.iter().enumerate() {
        if let Err(refused) = &condition.expression {
            note(list("matchConditions", index, "expression"), refused.to_string());
        }
    }
    for (index, variable) in rules.variables.iter().enumerate() {
        if let Err(refused) = &variable.expression {
            note(list("variables", index, "expression"), refused.to_string());
        }
    }
    for (index, validation) in rules.validations.iter().enumerate() {
        if let Err(refused) = &validation.expression {
            note(validation.at.clone(), refused.to_string());
        }
        if let Some(Err(refused)) = &validation.message_expression {
            note(list("validations", index, "messageExpression"), refused.to_string());
        }
    }
    found.into_values().collect()
}

/// Finds the parameters of a policy among what is given.
fn parameters<'a>(
    policy: &Policy,
    binding: &Binding,
    subject: &Subject<'_>,
    world: &World<'a>,
) -> Parameters<'a> {
    const NULL: &Value = &Value::Null;
    let kind = &policy.manifest.value["spec"]["paramKind"];
    let wanted = &binding.spec["paramRef"];
    if !kind.is_object() || !wanted.is_object() {
        return Parameters::Values(vec![NULL]);
    }
    let (version, name) = (kind["apiVersion"].as_str(), kind["kind"].as_str());
    let (Some(version), Some(kind)) = (version, name) else {
        return Parameters::Unknown("paramKind names no apiVersion and kind".to_owned());
    };
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let resource = world.resources.find(group, kind);
    let is_clusters = resource.as_ref().is_some_and(|resource| !resource.is_namespaced);
    let namespace = wanted["namespace"].as_str().or(subject.namespace.as_deref());
    let mut found = Vec::new();
    for manifest in world.manifests {
        let is_kind = manifest.api_version() == version && manifest.kind() == kind;
        // Whether objects of an unknown kind belong to namespaces is not known.
        let default = resource.as_ref().and(world.default_namespace.as_deref());
        let of = manifest.namespace().or(default);
        let is_there = is_clusters || of.is_none() || of == namespace;
        if !is_kind || !is_there {
            continue;
        }
        let is_wanted = match wanted["name"].as_str() {
            Some(name) => Ok(manifest.name() == name),
            None => selector::selects(&wanted["selector"], &manifest.value["metadata"]["labels"]),
        };
        match is_wanted {
            Ok(true) => found.push(&manifest.value),
            Ok(false) => {}
            Err(reason) => return Parameters::Unknown(format!("paramRef: {reason}")),
        }
    }
    if !found.is_empty() {
        return Parameters::Values(found);
    }
    let which = wanted["name"].as_str().unwrap_or("that the selector wants");
    if !world.has_all_parameters {
        return Parameters::Unknown(format!(
            "its parameter, the {kind} {which}, is not among the manifests; add it"
        ));
    }
    match wanted["parameterNotFoundAction"].as_str() {
        Some("Allow") => Parameters::Skip,
        _ => Parameters::Misconfigured(format!(
            "its parameter, the {kind} {which}, does not exist, and the binding denies then"
        )),
    }
}
