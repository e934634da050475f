//! Macros over two variables: the place and the item of a list, or the key and the value of a map.
//!
//! The evaluator goes over one variable, so `x.all(i, v, p)` becomes a macro over the places or keys
//! of `x`, in which `v` is bound to the item there. Maps are gone through in the order of their
//! keys. `transformMap` and `transformMapEntry` are not there.

use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, ListExpr, LiteralValue, operators,
};
use cel::common::types::{CelInt, CelList, DYN_TYPE, Kind};
use cel::common::value::{CowVal, Val};
use cel::parser::{Macro, MacroExprHelper, ParseError};
use cel::{DeclarationError, Env, ExecutionError};

use super::failed;

/// The function that says which places or keys there are. No expression can call it.
const KEYS: &str = "@keys";
/// What the macro goes over, evaluated once.
const TARGET: &str = "@two";
const RESULT: &str = "@result";

/// What a macro makes of the items.
#[derive(Clone, Copy)]
enum Kinds {
    All,
    Exists,
    ExistsOne,
    TransformList,
}

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_overload(KEYS, KEYS, vec![DYN_TYPE], keys)?;
    for (name, arguments, kind) in [
        ("all", 3, Kinds::All),
        ("exists", 3, Kinds::Exists),
        ("existsOne", 3, Kinds::ExistsOne),
        ("exists_one", 3, Kinds::ExistsOne),
        ("transformList", 3, Kinds::TransformList),
        ("transformList", 4, Kinds::TransformList),
    ] {
        env.add_macro(Macro::receiver(name, arguments, move |helper, target, args| {
            expand(helper, target, args, kind)
        }))?;
    }
    Ok(())
}

fn keys<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let Some(value) = args.into_iter().next() else {
        return Err(ExecutionError::missing_argument_or_target());
    };
    match value.get_type().kind() {
        Kind::Map => Ok(value),
        Kind::List => {
            let count = value.as_sizer().map_or(0, |sizer| *sizer.size().inner());
            let places = (0..count).map(|place| Box::new(CelInt::from(place)) as Box<dyn Val + 'v>);
            Ok(CowVal::owned(CelList::from(places.collect::<Vec<_>>())))
        }
        _ => Err(failed("comprehension", "it is neither a list nor a map")),
    }
}

fn name_of(helper: &MacroExprHelper<'_>, argument: &IdedExpr) -> Result<String, ParseError> {
    match &argument.expr {
        Expr::Ident(name) => Ok(name.clone()),
        _ => Err(helper.new_error(argument.id, "argument must be a simple name")),
    }
}

fn expand(
    helper: &mut MacroExprHelper<'_>,
    target: &mut Option<IdedExpr>,
    args: &mut Vec<IdedExpr>,
    kind: Kinds,
) -> Result<Option<IdedExpr>, ParseError> {
    let [key, value, ..] = args.as_slice() else { return Ok(None) };
    let (key, value) = (name_of(helper, key)?, name_of(helper, value)?);
    let mut bodies = args.split_off(2);
    args.clear();
    let (Some(target), Some(last)) = (target.take(), bodies.pop()) else { return Ok(None) };
    let mut maker = Maker { helper, key: &key, value: &value };
    let last = maker.item(last);
    let filter = bodies.pop().map(|filter| maker.item(filter));
    let fold = maker.fold(kind, filter, last);
    Ok(Some(maker.bind(TARGET, target, fold)))
}

/// Makes the parts of an expansion.
struct Maker<'a, 'h> {
    helper: &'a mut MacroExprHelper<'h>,
    key: &'a str,
    value: &'a str,
}

impl Maker<'_, '_> {
    fn make(&mut self, expr: Expr) -> IdedExpr {
        self.helper.next_expr(expr)
    }

    fn ident(&mut self, name: &str) -> IdedExpr {
        self.make(Expr::Ident(name.to_owned()))
    }

    fn bool(&mut self, value: bool) -> IdedExpr {
        self.make(Expr::Literal(LiteralValue::Boolean(value.into())))
    }

    fn int(&mut self, value: i64) -> IdedExpr {
        self.make(Expr::Literal(LiteralValue::Int(value.into())))
    }

    fn list(&mut self, items: Vec<IdedExpr>) -> IdedExpr {
        self.make(Expr::List(ListExpr::new(items)))
    }

    fn call(&mut self, function: &str, args: Vec<IdedExpr>) -> IdedExpr {
        self.make(Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }))
    }

    /// `name` bound to a value in an expression: a macro over nothing, as cel-go does it.
    fn bind(&mut self, name: &str, value: IdedExpr, result: IdedExpr) -> IdedExpr {
        let (iter_range, loop_cond) = (self.list(Vec::new()), self.bool(false));
        let loop_step = self.ident(name);
        self.make(Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range,
            iter_var: "#unused".to_owned(),
            iter_var2: None,
            accu_var: name.to_owned(),
            accu_init: value,
            loop_cond,
            loop_step,
            result,
        })))
    }

    /// An expression in which the second variable is the item at the first.
    fn item(&mut self, body: IdedExpr) -> IdedExpr {
        let (target, key) = (self.ident(TARGET), self.ident(self.key));
        let item = self.call(operators::INDEX, vec![target, key]);
        self.bind(self.value, item, body)
    }

    fn fold(&mut self, kind: Kinds, filter: Option<IdedExpr>, body: IdedExpr) -> IdedExpr {
        let so_far = self.ident(RESULT);
        let again = self.ident(RESULT);
        let (accu_init, loop_cond, loop_step, result) = match kind {
            Kinds::All => {
                let goes_on = self.call(operators::NOT_STRICTLY_FALSE, vec![again]);
                let step = self.call(operators::LOGICAL_AND, vec![so_far, body]);
                (self.bool(true), goes_on, step, self.ident(RESULT))
            }
            Kinds::Exists => {
                let none = self.call(operators::LOGICAL_NOT, vec![again]);
                let goes_on = self.call(operators::NOT_STRICTLY_FALSE, vec![none]);
                let step = self.call(operators::LOGICAL_OR, vec![so_far, body]);
                (self.bool(false), goes_on, step, self.ident(RESULT))
            }
            Kinds::ExistsOne => {
                let one = self.int(1);
                let more = self.call(operators::ADD, vec![so_far, one]);
                let step = self.call(operators::CONDITIONAL, vec![body, more, again]);
                let (result, one) = (self.ident(RESULT), self.int(1));
                let is_one = self.call(operators::EQUALS, vec![result, one]);
                (self.int(0), self.bool(true), step, is_one)
            }
            Kinds::TransformList => {
                let item = self.list(vec![body]);
                let more = self.call(operators::ADD, vec![so_far, item]);
                let step = match filter {
                    Some(filter) => self.call(operators::CONDITIONAL, vec![filter, more, again]),
                    None => more,
                };
                (self.list(Vec::new()), self.bool(true), step, self.ident(RESULT))
            }
        };
        let target = self.ident(TARGET);
        let iter_range = self.call(KEYS, vec![target]);
        self.make(Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range,
            iter_var: self.key.to_owned(),
            iter_var2: None,
            accu_var: RESULT.to_owned(),
            accu_init,
            loop_cond,
            loop_step,
            result,
        })))
    }
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::{error, holds};

    #[test]
    fn lists_have_places() {
        assert!(holds("[1, 2].all(i, v, v == i + 1) && ![1, 3].all(i, v, v == i + 1)"));
        assert!(holds("['a', 'b'].exists(i, v, i == 1 && v == 'b') && ![].exists(i, v, true)"));
        assert!(holds(
            "['a', 'b'].existsOne(i, v, v == 'a') && !['a', 'a'].existsOne(i, v, v == 'a')"
        ));
        assert!(holds("[5, 6].transformList(i, v, i * v) == [0, 6]"));
        assert!(holds("[5, 6].transformList(i, v, i > 0, v) == [6]"));
    }

    #[test]
    fn maps_have_keys() {
        assert!(holds("{'a': 1, 'b': 2}.all(k, v, k != '' && v > 0)"));
        assert!(holds("{'a': 1, 'b': 2}.exists(k, v, k == 'b' && v == 2)"));
        assert!(holds(
            "{'c': 3, 'a': 1, 'b': 2}.transformList(k, v, k + string(v)) == ['a1', 'b2', 'c3']"
        ));
    }

    #[test]
    fn macros_nest_and_absorb_errors() {
        assert!(holds("[[1, 2], [3]].all(i, x, x.exists(j, y, y > i + j))"));
        assert!(holds("{'a': [1]}.all(k, v, v.all(x, k == 'a' && x == 1))"));
        assert!(holds("[0, 1].exists(i, v, 1 / v == 1) && ![0, 2].all(i, v, 2 / v == 5)"));
        assert!(error("[0].all(i, v, 1 / v == 1)").contains("division by zero"));
        assert!(error("'x'.all(i, v, true)").contains("neither a list nor a map"));
    }
}
