//! Constraint templates: a kind of constraints, and the Rego that decides about them.

use backout_core::document::{FieldPath, Source};
use backout_core::manifest::Manifest;
use backout_core::units::Time;
use regorus::Engine;
use serde_json::Value;

use crate::rego::{RulePath, compile, obstacles};

/// Names in the Rego of a template that say something only the API server knows.
const UNKNOWN_HERE: &[(&str, &str)] = &[
    ("userInfo", "it asks who makes the request, which nobody knows before it is made"),
    ("_unstable", "it asks for `input.review._unstable`, which is not made here"),
];

/// A template that can be evaluated.
#[derive(Clone)]
pub(super) struct Template {
    /// Holds the modules of the template.
    pub engine: Engine,
    /// The path of its rule `violation`.
    pub violation: RulePath,
    /// Whether an error of a built-in function could hide another answer of OPA.
    pub needs_no_errors: bool,
    /// The schema of `spec.parameters`.
    pub schema: Value,
}

/// The kind of constraints that a template makes.
pub(super) fn kind(template: &Manifest) -> &str {
    template.value["spec"]["crd"]["spec"]["names"]["kind"].as_str().unwrap_or_default()
}

impl Template {
    /// Reads a template; the error says why it cannot be evaluated.
    pub(super) fn read(template: &Manifest, now: Option<Time>) -> Result<Self, String> {
        let modules = Modules::of(template)?;
        for (word, why) in UNKNOWN_HERE {
            if let Some(module) = modules.sources.iter().find(|module| module.text.contains(word)) {
                return Err(format!("{}: {why}", module.name));
            }
        }
        let (engine, rules) = compile(&modules.sources, modules.is_v0, now)
            .map_err(|unreadable| unreadable.to_string())?;
        let mut packages = rules.packages().into_iter().filter(|package| {
            package.first().is_some_and(|first| first != "lib")
                && rules.of_package(package).any(|(name, _)| name == "violation")
        });
        let (Some(package), None) = (packages.next(), packages.next()) else {
            return Err(format!("{template} has not exactly one package with rules `violation`"));
        };
        let violation: RulePath = package.iter().cloned().chain(["violation".to_owned()]).collect();
        let reached = rules.reached(&violation);
        if let Some(reason) = obstacles(&reached) {
            return Err(reason);
        }
        let schema = &template.value["spec"]["crd"]["spec"]["validation"]["openAPIV3Schema"];
        Ok(Self {
            engine,
            needs_no_errors: reached.needs_no_errors,
            schema: schema.clone(),
            violation,
        })
    }

    /// The parameters of a constraint with the defaults of the schema, as the API server fills them in.
    pub(super) fn parameters(&self, given: &Value) -> Value {
        let mut parameters = given.clone();
        if parameters.is_null() {
            parameters = serde_json::json!({});
        }
        fill_in(&mut parameters, &self.schema);
        parameters
    }
}

fn fill_in(value: &mut Value, schema: &Value) {
    if let (Value::Object(fields), Value::Object(properties)) = (&mut *value, &schema["properties"])
    {
        for (name, property) in properties {
            if !fields.contains_key(name)
                && let Some(default) = property.get("default")
            {
                fields.insert(name.clone(), default.clone());
            }
            if let Some(field) = fields.get_mut(name) {
                fill_in(field, property);
            }
        }
    }
    if let Value::Array(items) = value {
        items.iter_mut().for_each(|item| fill_in(item, &schema["items"]));
    }
}

/// The modules of a template.
struct Modules {
    sources: Vec<Source>,
    is_v0: bool,
}

impl Modules {
    fn of(template: &Manifest) -> Result<Self, String> {
        let target = &template.value["spec"]["targets"][0];
        let at = FieldPath::root().key("spec").key("targets").index(0);
        let codes = target["code"].as_array().map_or(&[][..], Vec::as_slice);
        let rego = codes.iter().position(|code| code["engine"] == "Rego");
        let (holder, at, is_v0) = match rego {
            Some(index) => {
                let source = &codes[index]["source"];
                let at = at.key("code").index(index).key("source");
                (source, at, source["version"] != "v1")
            }
            None => (target, at, true),
        };
        if !holder["rego"].is_string() {
            let engines: Vec<&str> =
                codes.iter().filter_map(|code| code["engine"].as_str()).collect();
            return Err(match engines.as_slice() {
                [] => format!("{template} holds no Rego"),
                engines => format!(
                    "{template} is written for the engine {}, and only Rego is evaluated in templates",
                    engines.join(", ")
                ),
            });
        }
        let libraries = holder["libs"].as_array().map_or(0, Vec::len);
        let libraries = (0..libraries).map(|index| at.clone().key("libs").index(index));
        let paths = std::iter::once(at.clone().key("rego")).chain(libraries);
        let texts =
            std::iter::once(&holder["rego"]).chain(holder["libs"].as_array().into_iter().flatten());
        let sources = paths
            .zip(texts)
            .map(|(path, text)| {
                let text =
                    text.as_str().ok_or_else(|| format!("{path} of {template} is not text"))?;
                Ok(source(template, &path, text))
            })
            .collect::<Result<Vec<Source>, String>>()?;
        Ok(Self { sources, is_v0 })
    }
}

/// The module at a field, with as many empty lines before it that places in it are those of the file.
fn source(template: &Manifest, path: &FieldPath, text: &str) -> Source {
    let location = template.location(path);
    let first = text.lines().next().unwrap_or_default().trim();
    let below = (location.line..=location.line.saturating_add(2)).find(|number| {
        template.source.line(*number).is_some_and(|line| !first.is_empty() && line.trim() == first)
    });
    let before = below.and_then(|line| usize::try_from(line.saturating_sub(1)).ok()).unwrap_or(0);
    Source::new(&template.source.name, &format!("{}{text}", "\n".repeat(before)))
}
