//! What an expression uses, found before it is evaluated.

use std::collections::BTreeSet;

use cel::common::ast::operators;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue};

use super::functions;
use super::{Declarations, Uses};

/// Why an expression is refused, and at which node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The node.
    pub(super) node: u64,
    /// What it means.
    pub(super) reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Kubernetes would refuse it too.
    Invalid(String),
    /// Backout does not know how to evaluate it.
    Unsupported(String),
}

/// Finds what an expression uses, or the first thing in it that cannot be evaluated.
pub(super) fn check(expression: &IdedExpr, declarations: &Declarations) -> Result<Uses, Refusal> {
    let mut walk = Walk { declarations, scopes: Vec::new(), uses: Uses::default(), refused: None };
    walk.visit(expression);
    match walk.refused {
        Some(refusal) => Err(refusal),
        None => Ok(walk.uses),
    }
}

struct Walk<'a> {
    declarations: &'a Declarations,
    /// Names that macros bind, innermost last.
    scopes: Vec<String>,
    uses: Uses,
    /// The first refusal; what is not supported goes before what is not valid, because the
    /// arguments of an unknown macro look like names that nobody declared.
    refused: Option<Refusal>,
}

impl Walk<'_> {
    fn refuse(&mut self, node: u64, reason: Reason) {
        let replaces = matches!(
            (&self.refused, &reason),
            (None, _) | (Some(Refusal { reason: Reason::Invalid(_), .. }), Reason::Unsupported(_))
        );
        if replaces {
            self.refused = Some(Refusal { node, reason });
        }
    }

    fn unsupported(&mut self, node: u64, reason: impl Into<String>) {
        self.refuse(node, Reason::Unsupported(reason.into()));
    }

    fn visit(&mut self, expression: &IdedExpr) {
        match &expression.expr {
            Expr::Call(call) => self.call(expression.id, call),
            Expr::Comprehension(fold) => self.comprehension(expression.id, fold),
            Expr::Ident(name) => self.name(expression.id, name, None),
            Expr::Select(select) => {
                if let Some(name) = functions::spelled(expression)
                    && functions::is_type(&name)
                {
                    return;
                }
                self.field(expression.id, &select.operand, &select.field);
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.visit(&entry.key);
                        self.visit(&entry.value);
                    }
                }
            }
            Expr::Struct(made) => {
                let reason = format!("objects of the type {} are not supported", made.type_name);
                self.unsupported(expression.id, reason);
            }
            Expr::Unspecified => self.unsupported(expression.id, "part of it could not be read"),
            Expr::Literal(_) => {}
        }
    }

    fn comprehension(&mut self, node: u64, fold: &ComprehensionExpr) {
        if fold.iter_var2.is_some() {
            self.unsupported(node, "macros with two variables are not supported");
        }
        self.visit(&fold.iter_range);
        self.visit(&fold.accu_init);
        self.scopes.push(fold.iter_var.clone());
        self.scopes.push(fold.accu_var.clone());
        self.visit(&fold.loop_cond);
        self.visit(&fold.loop_step);
        self.scopes.pop();
        self.scopes.pop();
        self.scopes.push(fold.accu_var.clone());
        self.visit(&fold.result);
        self.scopes.pop();
    }

    /// A field that is selected from an operand.
    fn field(&mut self, node: u64, operand: &IdedExpr, field: &str) {
        match &operand.expr {
            Expr::Ident(name) => self.name(node, name, Some(field)),
            _ => self.visit(operand),
        }
    }

    fn call(&mut self, node: u64, call: &CallExpr) {
        let arguments = call.args.len();
        if call.target.is_none() && self.dynamic_field(node, call) {
            return;
        }
        match &call.target {
            None if !functions::is_global(&call.func_name, arguments) => {
                self.unsupported(node, functions::why_unknown(&call.func_name, arguments));
            }
            None => {}
            Some(target) => self.receiver(node, target, call),
        }
        call.args.iter().for_each(|argument| self.visit(argument));
    }

    fn receiver(&mut self, node: u64, target: &IdedExpr, call: &CallExpr) {
        let arguments = call.args.len();
        if let Some(namespace) = functions::spelled(target)
            && !self.is_declared(namespace.split('.').next().unwrap_or_default())
        {
            let name = format!("{namespace}.{}", call.func_name);
            let root = namespace.split('.').next().unwrap_or_default();
            if let Some(reason) = self.declarations.unsupported.get(root) {
                self.unsupported(node, reason.clone());
            } else if !functions::is_global(&name, arguments) {
                self.unsupported(node, functions::why_unknown(&name, arguments));
            }
            return;
        }
        self.visit(target);
        if !functions::is_member(&call.func_name, arguments) {
            self.unsupported(node, functions::why_unknown(&call.func_name, arguments));
        }
    }

    /// `variables['a']`, `request.?a` and the like: fields of what has only some.
    fn dynamic_field(&mut self, node: u64, call: &CallExpr) -> bool {
        let is_access = [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT]
            .contains(&call.func_name.as_str());
        let [operand, field] = call.args.as_slice() else { return false };
        let Expr::Ident(name) = &operand.expr else { return false };
        if !is_access || self.scopes.contains(name) {
            return false;
        }
        match &field.expr {
            Expr::Literal(LiteralValue::String(field)) if name == "request" => {
                self.name(node, name, Some(field.inner()));
                true
            }
            Expr::Literal(LiteralValue::String(field))
                if name == "variables" && call.func_name == operators::INDEX =>
            {
                self.name(node, name, Some(field.inner()));
                true
            }
            _ => false,
        }
    }

    fn is_declared(&self, name: &str) -> bool {
        let name = name.trim_start_matches('.');
        self.scopes.iter().any(|scope| scope == name) || self.declarations.names.contains(name)
    }

    fn name(&mut self, node: u64, name: &str, field: Option<&str>) {
        let name = name.trim_start_matches('.');
        if self.scopes.iter().any(|scope| scope == name) {
            return;
        }
        if let Some(reason) = self.declarations.unsupported.get(name) {
            return self.unsupported(node, reason.clone());
        }
        if self.declarations.names.contains(name) {
            self.uses.names.insert(name.to_owned());
            return match name {
                "variables" => self.variable(node, field),
                "request" => self.request(node, field),
                _ => {}
            };
        }
        if !functions::is_type(name) {
            let expected = list(&self.declarations.names);
            let message = format!("nothing is called {name} here; there are {expected}");
            self.refuse(node, Reason::Invalid(message));
        }
    }

    fn variable(&mut self, node: u64, field: Option<&str>) {
        match field {
            Some(field) if self.declarations.variables.contains(field) => {
                self.uses.variables.insert(field.to_owned());
            }
            Some(field) => {
                let message = format!("no variable before this is called {field}");
                self.refuse(node, Reason::Invalid(message));
            }
            None => self.unsupported(node, "variables as a whole are not supported"),
        }
    }

    fn request(&mut self, node: u64, field: Option<&str>) {
        let Some(field) = field else {
            return self.unsupported(node, "request as a whole is not known before the request");
        };
        if !super::REQUEST_FIELDS.contains(&field) {
            let reason = format!("request.{field} is not known before the request");
            self.unsupported(node, reason);
        }
    }
}

fn list(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
