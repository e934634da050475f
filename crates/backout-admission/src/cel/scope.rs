//! What expressions see, and their evaluation.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use cel::common::traits::Indexer;
use cel::common::types::{CelBool, CelNull, CelString, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{Context, ExecutionError, Value};

use super::expression::{Environment, Expression, Refused, shortened};
use super::{depth, json, meter};

static VARIABLES_TYPE: Type = Type::new_unspecified_type("kubernetes.variables");

/// A variable of a policy.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name, without `variables.`.
    pub name: String,
    /// What it stands for.
    pub expression: Result<Expression, Refused>,
}

/// What became of an evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// A value of the type that was expected.
    Value(T),
    /// An error of the language, which a failure policy decides on.
    Error(String),
    /// Nobody knows; a failure policy has no say in it.
    Unsupported(String),
}

impl<T> Outcome<T> {
    /// Changes the value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Value(value) => Outcome::Value(change(value)),
            Self::Error(message) => Outcome::Error(message),
            Self::Unsupported(reason) => Outcome::Unsupported(reason),
        }
    }
}

/// The values of names, for the expressions of one policy on one object.
pub struct Scope<'p> {
    environment: Environment,
    context: Context<'static, 'static>,
    declared: &'p [Variable],
    variables: Variables,
    /// Names that have no value here although they are declared, with the reason.
    missing: BTreeMap<String, String>,
    /// Variables that took too many steps or need a name that is missing.
    unsupported: BTreeMap<String, String>,
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("variables", &self.variables).finish_non_exhaustive()
    }
}

impl<'p> Scope<'p> {
    /// Makes a scope with the variables of a policy, which are evaluated when they are needed.
    #[must_use]
    pub fn new(environment: &Environment, variables: &'p [Variable]) -> Self {
        Self {
            environment: environment.clone(),
            context: Context::with_env(Arc::clone(&environment.env)),
            declared: variables,
            variables: Variables::default(),
            missing: BTreeMap::new(),
            unsupported: BTreeMap::new(),
        }
    }

    /// Gives a name a value.
    pub fn set(&mut self, name: &str, value: &serde_json::Value) {
        self.context.add_variable_as_val(name, json::to_cel(value));
    }

    /// Says why a name that is declared has no value here. An expression that needs it is not
    /// evaluated.
    pub fn set_missing(&mut self, name: &str, reason: &str) {
        self.missing.insert(name.to_owned(), reason.to_owned());
    }

    /// Evaluates an expression that says yes or no.
    pub fn holds(&mut self, expression: &Result<Expression, Refused>) -> Outcome<bool> {
        self.evaluate(expression, "a bool", |value| {
            value.downcast_ref::<CelBool>().map(|value| *value.inner())
        })
    }

    /// Evaluates an expression that says a text.
    pub fn text(&mut self, expression: &Result<Expression, Refused>) -> Outcome<String> {
        self.evaluate(expression, "a string", |value| {
            value.downcast_ref::<CelString>().map(|text| text.inner().to_owned())
        })
    }

    /// Evaluates an expression that says a text or nothing.
    pub fn text_or_null(
        &mut self,
        expression: &Result<Expression, Refused>,
    ) -> Outcome<Option<String>> {
        self.evaluate(expression, "a string or null", |value| {
            let text = value.downcast_ref::<CelString>().map(|text| text.inner().to_owned());
            let is_null = value.downcast_ref::<CelNull>().is_some();
            if is_null || text.is_some() { Some(text) } else { None }
        })
    }

    fn evaluate<T>(
        &mut self,
        expression: &Result<Expression, Refused>,
        expected: &str,
        take: impl FnOnce(&dyn Val) -> Option<T>,
    ) -> Outcome<T> {
        let expression = match expression {
            Ok(expression) => expression,
            Err(refused) => return Outcome::Unsupported(refused.to_string()),
        };
        let meter = meter::Meter::new(self.environment.limits.max_steps);
        self.context.add_variable_as_val(meter::VARIABLE, Box::new(meter.clone()));
        if let Some(reason) = self.prepare(expression, &meter) {
            return Outcome::Unsupported(reason);
        }
        let outcome = match self.run(expression) {
            Ok(value) => match take(value.as_ref()) {
                Some(value) => Outcome::Value(value),
                None => Outcome::Error(format!("it is {}, not {expected}", named(value.as_ref()))),
            },
            Err(error) => Outcome::Error(told(&error)),
        };
        if meter.is_spent() { Outcome::Unsupported(self.stopped()) } else { outcome }
    }

    fn stopped(&self) -> String {
        format!("stopped after {} steps", self.environment.limits.max_steps)
    }

    fn run(&self, expression: &Expression) -> Result<Box<dyn Val>, ExecutionError> {
        depth::with_stack(|| {
            Value::resolve_val(&expression.tree, &self.context).map(CowVal::into_owned)
        })
    }

    /// Evaluates the variables that an expression needs, those that they need included. Because
    /// evaluation changes nothing, this differs from evaluating them at first use only in time: an
    /// error is kept and comes up where the variable is used.
    ///
    /// Returns why the expression cannot be evaluated, if so.
    fn prepare(&mut self, expression: &Expression, meter: &meter::Meter) -> Option<String> {
        if let Some(reason) = self.lacks(expression) {
            return Some(reason);
        }
        for index in self.needed(expression) {
            let variable = &self.declared[index];
            if let Some(reason) = self.unsupported.get(&variable.name) {
                return Some(reason.clone());
            }
            if self.variables.0.contains_key(&variable.name) {
                continue;
            }
            let problem = match &variable.expression {
                Ok(expression) => {
                    self.lacks(expression).or_else(|| self.compute(variable, expression, meter))
                }
                Err(refused) => Some(refused.to_string()),
            };
            if let Some(problem) = problem {
                let reason = format!("variables.{}: {problem}", variable.name);
                self.unsupported.insert(variable.name.clone(), reason.clone());
                return Some(reason);
            }
        }
        None
    }

    fn compute(
        &mut self,
        variable: &Variable,
        expression: &Expression,
        meter: &meter::Meter,
    ) -> Option<String> {
        let value = self.run(expression).map_err(|error| told(&error));
        if meter.is_spent() {
            return Some(self.stopped());
        }
        let value = value.map(Arc::from);
        Arc::make_mut(&mut self.variables.0).insert(variable.name.clone(), value);
        self.context.add_variable_as_val("variables", Box::new(self.variables.clone()));
        None
    }

    fn lacks(&self, expression: &Expression) -> Option<String> {
        expression.uses.names.iter().find_map(|name| self.missing.get(name).cloned())
    }

    /// The places of the variables that an expression needs, in the order of their declaration. A
    /// variable only names variables before it.
    fn needed(&self, expression: &Expression) -> Vec<usize> {
        let mut names: BTreeSet<&str> =
            expression.uses.variables.iter().map(String::as_str).collect();
        let mut places = Vec::new();
        for (index, variable) in self.declared.iter().enumerate().rev() {
            if names.contains(variable.name.as_str()) {
                places.push(index);
                if let Ok(expression) = &variable.expression {
                    names.extend(expression.uses.variables.iter().map(String::as_str));
                }
            }
        }
        places.reverse();
        places
    }
}

fn named(value: &dyn Val) -> &str {
    value.get_type().name()
}

/// Says what an error means, without the values that it was about: they may be secret.
fn told(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {}", shortened(key)),
        ExecutionError::NoSuchOverload(overload) => shortened(&overload.to_string()),
        ExecutionError::UndeclaredReference(name) => {
            format!("undeclared reference to {}", shortened(name))
        }
        ExecutionError::FunctionError { function, message } => {
            shortened(&format!("{function}: {message}"))
        }
        ExecutionError::UnexpectedType { got, want } => format!("got {got}, want {want}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(operator, ..) => format!("overflow in {operator}"),
        ExecutionError::IndexOutOfBounds(_) => "index out of bounds".to_owned(),
        ExecutionError::DuplicateKey(_) => "a map repeats a key".to_owned(),
        ExecutionError::UnsupportedBinaryOperator(operator, ..) => {
            format!("no such overload of {operator} for these types")
        }
        ExecutionError::ValuesNotComparable(..) => {
            "values of these types cannot be compared".to_owned()
        }
        _ => "the types of the values do not fit".to_owned(),
    }
}

/// The values of variables; an error comes up when the variable is used.
#[derive(Clone, Debug, Default)]
struct Variables(Arc<BTreeMap<String, Computed>>);

/// The value of a variable, or the error that its expression ended in.
type Computed = Result<Arc<dyn Val>, String>;

impl Indexer for Variables {
    fn get<'b, 'v>(&'b self, field: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        let name = field.downcast_ref::<CelString>().map_or("", |name| name.inner());
        match self.0.get(name) {
            Some(Ok(value)) => Ok(CowVal::Borrowed(value.as_ref())),
            Some(Err(message)) => Err(ExecutionError::FunctionError {
                function: format!("variables.{name}"),
                message: message.clone(),
            }),
            None => Err(ExecutionError::InternalError(format!("variables.{name} is missing"))),
        }
    }

    fn steal<'v>(self: Box<Self>, field: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.get(field).map(CowVal::into_owned)
    }
}

impl Val for Variables {
    fn get_type(&self) -> &Type {
        &VARIABLES_TYPE
    }

    fn cel_type() -> &'static Type {
        &VARIABLES_TYPE
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Variables {}
