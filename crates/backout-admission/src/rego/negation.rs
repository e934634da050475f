//! Negations that the evaluator and OPA decide differently.
//!
//! OPA takes every operand of a call out of the negation and evaluates it first: when it is
//! undefined, the whole body is, and the rule does not apply. The evaluator takes the call for
//! undefined, which the negation makes true (microsoft/regorus#21, open-policy-agent/opa#7558).
//! A plain reference after `not`, or on either side of `==`, stays where it is in both.

use serde_json::Value;

use super::builtins;
use super::syntax::{Reference, node, walk};

/// What a name means in its module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    /// A variable of the body, or the input: it always has a value.
    Defined,
    /// A rule or an import, which may have none.
    MaybeUndefined,
    /// A function of the policy, which may have none.
    Function,
}

/// What a negation needs to know of its module.
pub(super) trait Names {
    /// What a variable means.
    fn variable(&self, name: &str) -> Meaning;
    /// Whether a call reaches a function of the policy rather than a built-in one.
    fn is_own_function(&self, function: &Reference<'_>) -> bool;
}

/// What is known of a negation.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    /// The operands that may be undefined: OPA's answer may be another.
    pub operands: Vec<&'a Value>,
    /// A built-in function is called within the operands, which is fine unless it fails.
    pub depends_on_calls: bool,
}

/// Looks at the expression after `not`.
pub(super) fn check<'a>(expression: &'a Value, names: &dyn Names) -> Found<'a> {
    let mut found = Found::default();
    let Some((kind, fields)) = node(expression) else {
        found.operands.push(expression);
        return found;
    };
    match kind {
        "Var" | "RefDot" | "RefBrack" => found.reference(expression, names),
        "Call" => found.arguments(fields, names),
        "BoolExpr" if fields["op"] == "Eq" => found.sides(fields, names),
        "AssignExpr" if fields["op"] == "Eq" => found.sides(fields, names),
        _ => found.operand(expression, names),
    }
    found
}

impl<'a> Found<'a> {
    fn reference(&mut self, expression: &'a Value, names: &dyn Names) {
        match Reference::of(expression) {
            Some(reference) if reference.base != "_" => {
                reference.indexes.iter().for_each(|index| self.operand(index, names));
            }
            _ => self.operands.push(expression),
        }
    }

    fn sides(&mut self, fields: &'a Value, names: &dyn Names) {
        for side in [&fields["lhs"], &fields["rhs"]] {
            match node(side) {
                Some(("Var" | "RefDot" | "RefBrack", _)) => self.reference(side, names),
                _ => self.operand(side, names),
            }
        }
    }

    fn arguments(&mut self, fields: &'a Value, names: &dyn Names) {
        let arguments = fields["params"].as_array().into_iter().flatten();
        arguments.for_each(|argument| self.operand(argument, names));
    }

    /// An operand that OPA evaluates before the negation.
    fn operand(&mut self, expression: &'a Value, names: &dyn Names) {
        let Some((kind, fields)) = node(expression) else {
            self.operands.push(expression);
            return;
        };
        match kind {
            "String" | "RawString" | "Number" | "Bool" | "Null" => {}
            // What is undefined inside of a comprehension leaves out an item in both.
            "ArrayCompr" | "SetCompr" | "ObjectCompr" => {}
            "Var" => match fields["value"].as_str() {
                Some(name) if name != "_" && names.variable(name) == Meaning::Defined => {}
                _ => self.operands.push(expression),
            },
            "Array" | "Set" => {
                let items = fields["items"].as_array().into_iter().flatten();
                items.for_each(|item| self.operand(item, names));
            }
            "Object" => {
                for field in fields["fields"].as_array().into_iter().flatten() {
                    self.operand(&field[1], names);
                    self.operand(&field[2], names);
                }
            }
            "BoolExpr" | "ArithExpr" | "BinExpr" => {
                self.depends_on_calls |= kind != "BoolExpr";
                self.operand(&fields["lhs"], names);
                self.operand(&fields["rhs"], names);
            }
            "Membership" => {
                let parts = [&fields["key"], &fields["value"], &fields["collection"]];
                let parts = parts.into_iter().filter(|part| !part.is_null());
                parts.for_each(|part| self.operand(part, names));
            }
            "Call" => {
                let function = Reference::of(&fields["fcn"]);
                let is_total = function.as_ref().is_some_and(|function| {
                    !names.is_own_function(function)
                        && function.dotted().is_some_and(|name| builtins::is_always_defined(&name))
                });
                if is_total {
                    self.depends_on_calls = true;
                    self.arguments(fields, names);
                } else {
                    self.operands.push(expression);
                }
            }
            _ => self.operands.push(expression),
        }
    }
}

/// Every expression after `not` at or below a value.
pub(super) fn all(value: &Value) -> Vec<&Value> {
    let mut negated = Vec::new();
    walk(value, &mut |kind, fields| {
        if kind == "NotExpr" {
            negated.push(&fields["expr"]);
        }
    });
    negated
}
