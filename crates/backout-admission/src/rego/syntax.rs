//! The syntax tree of a module, as the evaluator writes it in JSON.
//!
//! A node is an object with one key, its kind: `{"Var": {"span": .., "value": ..}}`.

use backout_core::document::Location;
use serde_json::Value;

/// The kind of a node and its fields, if the value is one.
pub(super) fn node(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object()?;
    if fields.len() != 1 {
        return None;
    }
    let (kind, fields) = fields.iter().next()?;
    (kind.starts_with(char::is_uppercase) && fields.is_object()).then_some((kind, fields))
}

/// Calls `visit` on every node at or below a value, outermost first.
pub(super) fn walk<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a str, &'a Value)) {
    if let Some((kind, fields)) = node(value) {
        visit(kind, fields);
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Object(fields) => fields.values().for_each(|field| walk(field, visit)),
        _ => {}
    }
}

/// Where a node begins.
pub(super) fn location(fields: &Value) -> Option<Location> {
    let number =
        |name: &str| fields["span"][name].as_u64().and_then(|number| u32::try_from(number).ok());
    let length = number("end")?.saturating_sub(number("start")?).max(1);
    Some(Location { line: number("line")?, column: number("col")?, length })
}

/// A reference such as `input.spec.containers[i].name`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reference<'a> {
    /// The variable that it begins with.
    pub base: &'a str,
    /// Each further step: its name, or nothing when only evaluation tells.
    pub steps: Vec<Option<&'a str>>,
    /// The expressions in brackets that are not plain strings.
    pub indexes: Vec<&'a Value>,
}

impl<'a> Reference<'a> {
    /// Reads a variable or a chain of steps on one.
    pub(super) fn of(expression: &'a Value) -> Option<Self> {
        let mut steps = Vec::new();
        let mut indexes = Vec::new();
        let mut at = expression;
        loop {
            let (kind, fields) = node(at)?;
            match kind {
                "Var" => {
                    steps.reverse();
                    let base = fields["value"].as_str()?;
                    return Some(Self { base, steps, indexes });
                }
                "RefDot" => steps.push(fields["field"][1].as_str()),
                "RefBrack" => match node(&fields["index"]) {
                    Some(("String" | "RawString", index)) => steps.push(index["value"].as_str()),
                    _ => {
                        steps.push(None);
                        indexes.push(&fields["index"]);
                    }
                },
                _ => return None,
            }
            at = &fields["refr"];
        }
    }

    /// The steps up to the first that only evaluation tells.
    pub(super) fn known_steps(&self) -> Vec<String> {
        self.steps.iter().map_while(|step| step.map(str::to_owned)).collect()
    }

    /// The reference as a name, such as `http.send`, if evaluation adds nothing.
    pub(super) fn dotted(&self) -> Option<String> {
        let steps: Option<Vec<&str>> = self.steps.iter().copied().collect();
        Some(std::iter::once(self.base).chain(steps?).collect::<Vec<_>>().join("."))
    }
}
