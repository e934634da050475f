//! Rego policies with conftest's conventions.
//!
//! The rules `deny`, `violation` and `warn`, and those that continue these names after an underscore,
//! are sets of messages, or of objects with a field `msg`. A rule `exception` is a set of lists of
//! the names whose findings are allowed, without `deny_`, `violation_` or `warn_`.
//!
//! The evaluator is not OPA. What it is known to decide differently is looked for in the source of
//! every rule before anything is evaluated, and refused with the place and the way round it.
//!
//! One thing is not looked for: the quotient of a division is a binary fraction here, so a policy that
//! goes on to calculate with one may see the last digit of OPA's result differ.
//!
//! The crate has no clock, so the program gives one with [`use_clock`], once. Without it nothing is
//! evaluated, because a policy could run for ever.

mod builtins;
mod decide;
mod failure;
mod fractions;
mod negation;
mod regular;
mod rules;
mod shape;
mod sprintf;
mod syntax;
mod texts;

#[cfg(test)]
pub(crate) mod tests;

use std::num::NonZeroU32;
use std::time::Duration;

use backout_core::document::{Problem, Source, Unreadable};
use backout_core::units::Time;
use regorus::Engine;
use regorus::utils::limits::{ExecutionTimerConfig, monotonic_now};
use serde_json::Value;

pub(crate) use decide::{Evaluator, messages, obstacles};
use failure::Failure;
pub(crate) use rules::{RulePath, Rules};

pub use regorus::utils::limits::TimeSource as Clock;

/// The largest module.
const MAX_MODULE_BYTES: usize = 512 * 1024;

/// All modules together.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The evaluator looks at the clock once in so many steps.
const STEPS_BETWEEN_LOOKS: u32 = 64;

/// Gives the clock that stops policies which run for too long. It serves the whole process; the
/// first one stays, and later calls change nothing.
pub fn use_clock(clock: &'static dyn Clock) {
    let _: Result<(), _> = regorus::utils::limits::set_time_source(clock);
}

/// How policies are read and asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The packages whose rules are asked. conftest's default is `main`.
    pub namespaces: Namespaces,
    /// Read modules as OPA did before 1.0, without `if` and `contains`.
    pub is_v0: bool,
    /// Ask each rule once, with a list of `{path, contents}` as input, as `conftest --combine`.
    pub is_combined: bool,
    /// What `time.now_ns` answers, in milliseconds since 1970; policies that ask for the time are
    /// not evaluated without it.
    pub now: Option<Time>,
}

impl Default for Options {
    fn default() -> Self {
        let namespaces = Namespaces::Of(vec!["main".to_owned()]);
        Self { namespaces, is_v0: false, is_combined: false, now: None }
    }
}

/// Which packages are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// Those of these names.
    Of(Vec<String>),
    /// Every package, as `conftest --all-namespaces`.
    All,
}

/// How long policies may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// One rule on one object.
    pub one_rule: Duration,
    /// All rules on all objects.
    pub all: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { one_rule: Duration::from_secs(2), all: Duration::from_secs(30) }
    }
}

/// A document that policies find below `data`.
#[derive(Clone, Debug)]
pub struct Data {
    /// The file, for errors.
    pub name: String,
    /// The folders between the folder that was given and the file, as conftest nests them; empty for
    /// a file that was given itself.
    pub below: Vec<String>,
    /// The document.
    pub value: Value,
}

/// Policies that were read and are ready to be asked.
pub struct Policies {
    /// Holds every module, all data and the functions of our own.
    engine: Engine,
    asked: Vec<Asked>,
    rules: Rules,
    is_combined: bool,
    /// All numbers in the data are the same in OPA.
    has_exact_data: bool,
}

/// A rule that findings come from.
#[derive(Clone, Debug)]
struct Asked {
    package: RulePath,
    name: String,
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Policies {
    /// Reads modules and data.
    ///
    /// # Errors
    ///
    /// When a module cannot be read, when data contradict one another, or when no package that is
    /// asked has a rule that findings come from.
    pub fn read(modules: &[Source], data: &[Data], options: &Options) -> Result<Self, Unreadable> {
        let (engine, rules) = compile(modules, options.is_v0, options.now)?;
        let mut policies = Self {
            engine,
            asked: Vec::new(),
            rules,
            is_combined: options.is_combined,
            has_exact_data: true,
        };
        policies.choose(&options.namespaces)?;
        let merged = merge(data)?;
        policies.has_exact_data = fractions::are_exact(&merged);
        policies.engine.add_data(merged.into()).map_err(|error| {
            problem("the data", None, format!("cannot be used: {}", Failure::of(&error)))
        })?;
        Ok(policies)
    }

    fn choose(&mut self, namespaces: &Namespaces) -> Result<(), Unreadable> {
        let names = match namespaces {
            Namespaces::Of(names) => names.clone(),
            Namespaces::All => self.packages(),
        };
        for namespace in &names {
            let package: RulePath = namespace.split('.').map(str::to_owned).collect();
            let found = self.rules.of_package(&package).filter(|(name, _)| finds(name).is_some());
            let found: Vec<Asked> = found
                .map(|(name, _)| Asked { package: package.clone(), name: name.to_owned() })
                .collect();
            if found.is_empty() && *namespaces != Namespaces::All {
                let message = format!(
                    "the package `{namespace}` has no rule named deny, violation or warn, so nothing \
                     would be checked"
                );
                let expected = format!("one of the packages {}", self.packages().join(", "));
                return Err(problem("the policies", Some(expected), message));
            }
            self.asked.extend(found);
        }
        if self.asked.is_empty() {
            let message = "no package has a rule named deny, violation or warn".to_owned();
            return Err(problem("the policies", None, message));
        }
        Ok(())
    }

    /// The names of all packages.
    #[must_use]
    pub fn packages(&self) -> Vec<String> {
        self.rules.packages().iter().map(|package| package.join(".")).collect()
    }
}

/// Whether findings of a rule refuse an object or only warn; nothing for other rules.
fn finds(name: &str) -> Option<Severity> {
    let mut parts = name.split('_');
    let severity = match parts.next()? {
        "deny" | "violation" => Severity::Deny,
        "warn" => Severity::Warn,
        _ => return None,
    };
    let is_word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    parts.all(is_word).then_some(severity)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Deny,
    Warn,
}

/// Reads modules into an evaluator, and looks at their rules.
pub(crate) fn compile(
    modules: &[Source],
    is_v0: bool,
    now: Option<Time>,
) -> Result<(Engine, Rules), Unreadable> {
    let mut engine = new_engine(is_v0);
    let mut bytes = 0_usize;
    for module in modules {
        bytes = bytes.saturating_add(module.text.len());
        if module.text.len() > MAX_MODULE_BYTES || bytes > MAX_BYTES {
            let message = format!(
                "is too large: a module may have {MAX_MODULE_BYTES} bytes, and all together {MAX_BYTES}"
            );
            return Err(problem(&module.name, None, message));
        }
        if let Some((location, what)) = shape::excess(&module.text) {
            let failure =
                Failure { file: String::new(), location: Some(location), message: what.to_owned() };
            return Err(failure.unreadable(module, Some("give parts of it names of their own")));
        }
        engine.add_policy(module.name.clone(), module.text.to_string()).map_err(|error| {
            Failure::of(&error).unreadable(module, other_version(module, is_v0))
        })?;
    }
    let whole = |error: String| problem("the policies", None, format!("cannot be read: {error}"));
    builtins::install(&mut engine, now).map_err(|error| whole(error.to_string()))?;
    let trees = engine.get_ast_as_json().map_err(|error| whole(error.to_string()))?;
    let trees: Value = serde_json::from_str(&trees).map_err(|_| {
        whole("expressions are nested too deeply; give the inner ones names".to_owned())
    })?;
    let rules = Rules::of(&trees, now.is_some());
    if rules.calculate() {
        fractions::guard(&mut engine).map_err(|error| whole(error.to_string()))?;
    }
    Ok((engine, rules))
}

fn new_engine(is_v0: bool) -> Engine {
    let mut engine = Engine::new();
    engine.set_rego_v0(is_v0);
    engine
}

/// What to do when a module is written for the other version of Rego.
fn other_version(module: &Source, is_v0: bool) -> Option<&'static str> {
    new_engine(!is_v0).add_policy(module.name.clone(), module.text.to_string()).ok()?;
    Some(if is_v0 {
        "the module is written for Rego v1: read it without `regoV0`"
    } else {
        "the module is written for Rego v0: read it with `regoV0: true`, or let `opa fmt --rego-v1` \
         rewrite it"
    })
}

/// Sets the clock's limit of one evaluation.
fn limit(engine: &mut Engine, limit: Duration) {
    let check_interval = NonZeroU32::new(STEPS_BETWEEN_LOOKS).unwrap_or(NonZeroU32::MIN);
    engine.set_execution_timer_config(ExecutionTimerConfig { limit, check_interval });
}

/// The time of the clock that the program gave.
fn elapsed() -> Option<Duration> {
    monotonic_now()
}

/// Merges documents at the root, as OPA's loader does.
fn merge(data: &[Data]) -> Result<Value, Unreadable> {
    let mut merged = Value::Object(serde_json::Map::new());
    for document in data {
        let nested = document.below.iter().rev().fold(document.value.clone(), |value, folder| {
            Value::Object(std::iter::once((folder.clone(), value)).collect())
        });
        if !nested.is_object() {
            let message = "is not an object with fields, so it cannot stand at the root of `data`";
            return Err(problem(&document.name, None, message.to_owned()));
        }
        merge_into(&mut merged, nested).map_err(|key| {
            let message = format!("sets `{key}`, which another document of the data sets as well");
            problem(&document.name, None, message)
        })?;
    }
    Ok(merged)
}

fn merge_into(into: &mut Value, from: Value) -> Result<(), String> {
    let (Value::Object(into), Value::Object(from)) = (into, from) else {
        return Err(String::new());
    };
    for (key, value) in from {
        match into.get_mut(&key) {
            None => {
                into.insert(key, value);
            }
            Some(there) => merge_into(there, value).map_err(|inner| match inner.as_str() {
                "" => key,
                _ => format!("{key}.{inner}"),
            })?,
        }
    }
    Ok(())
}

fn problem(name: &str, expected: Option<String>, message: String) -> Unreadable {
    Unreadable {
        source_name: name.to_owned(),
        source: None,
        problems: vec![Problem { path: None, location: None, message, expected, help: None }],
    }
}
