//! A limit on the work of one evaluation.
//!
//! An expression cannot loop for ever, but nested macros over long lists can take longer than any
//! release would wait. Before an expression is evaluated, calls to the functions of this file are
//! put around whatever costs time in proportion to its size: the lists that macros go over, the
//! operands of functions, and everything that is copied. Each call spends steps; when none are
//! left, evaluation ends and [`Meter::is_spent`] says so, whatever the expression made of the error.

#![expect(clippy::needless_pass_by_value, reason = "the evaluator calls functions of this type")]

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::{
    self, CelBytes, CelInt, CelList, CelMap, CelOptional, CelString, Kind, Type,
};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::functions;
use super::library::optional;

/// The variable that carries the meter. No expression can name it.
pub(super) const VARIABLE: &str = "@meter";
const COPY: &str = "@copy";
const ITERATE: &str = "@iterate";
const SQUARE: &str = "@square";
const PATTERN: &str = "@pattern";
const TEMPLATE: &str = "@template";
const JOIN: &str = "@join";
const REPLACE: &str = "@replace";

/// What compiling a regular expression costs beside its length.
const PATTERN_STEPS: u64 = 200;

static METER_TYPE: Type = Type::new_unspecified_type("backout.meter");

/// Counts the steps that are left; clones share the count.
#[derive(Clone, Debug)]
pub(super) struct Meter {
    left: Arc<AtomicU64>,
}

impl Meter {
    /// Makes a meter that stops after so many steps.
    pub(super) fn new(steps: u64) -> Self {
        Self { left: Arc::new(AtomicU64::new(steps)) }
    }

    /// Says whether the steps ran out.
    pub(super) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// Spends steps, or says that there are too few.
    pub(super) fn spend(&self, steps: u64) -> Result<(), ExecutionError> {
        let left = self.left.load(Ordering::Relaxed).saturating_sub(steps);
        self.left.store(left, Ordering::Relaxed);
        if left == 0 {
            return Err(ExecutionError::InternalError("too many steps".to_owned()));
        }
        Ok(())
    }
}

impl Val for Meter {
    fn get_type(&self) -> &Type {
        &METER_TYPE
    }

    fn cel_type() -> &'static Type {
        &METER_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Meter {}

/// The number of values that a value is made of. Text counts as one for every 32 bytes.
fn weight(value: &dyn Val) -> u64 {
    if let Some(text) = value.downcast_ref::<CelString>() {
        return 1 + text.inner().len() as u64 / 32;
    }
    if let Some(bytes) = value.downcast_ref::<CelBytes>() {
        return 1 + bytes.inner().len() as u64 / 32;
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        return 1 + list.inner().iter().map(|item| weight(item.as_ref())).sum::<u64>();
    }
    if let Some(map) = value.downcast_ref::<CelMap>() {
        let entries = map.inner().iter();
        return 1 + entries
            .map(|(key, item)| weight(key.inner()) + weight(item.as_ref()))
            .sum::<u64>();
    }
    if let Some(optional) = value.downcast_ref::<CelOptional>() {
        return 1 + optional.inner().map_or(0, weight);
    }
    1
}

fn spend<'b, 'v>(
    mut args: Vec<CowVal<'b, 'v>>,
    steps: impl FnOnce(&dyn Val) -> u64,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let meter = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let value = args.pop().ok_or_else(ExecutionError::missing_argument_or_target)?;
    let meter = meter
        .downcast_ref::<Meter>()
        .ok_or_else(|| ExecutionError::InternalError("the meter is missing".to_owned()))?;
    meter.spend(steps(value.as_ref()))?;
    Ok(value)
}

fn copy<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    spend(args, weight)
}

fn square<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    spend(args, |value| weight(value).saturating_mul(weight(value)))
}

fn pattern<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    spend(args, |value| weight(value).saturating_mul(32).saturating_add(PATTERN_STEPS))
}

/// Also brings the keys of a map into order, because a map has none of its own and the same policy
/// must give the same message every time.
fn iterate<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = spend(args, weight)?;
    if value.get_type().kind() != Kind::Map {
        return Ok(value);
    }
    let Some(iterable) = value.as_iterable() else { return Ok(value) };
    let mut keys: Vec<Box<dyn Val + 'v>> = Vec::new();
    let mut iterator = iterable.iter();
    while let Some(key) = iterator.next() {
        keys.push(key.clone_as_boxed());
    }
    keys.sort_by_cached_key(|key| order(key.as_ref()));
    Ok(CowVal::owned(CelList::from(keys)))
}

fn order(key: &dyn Val) -> (i64, String) {
    let number = key.downcast_ref::<CelInt>().map_or(0, |number| *number.inner());
    let text = key.downcast_ref::<CelString>().map_or("", |text| text.inner());
    let other = if text.is_empty() { format!("{key:?}") } else { text.to_owned() };
    (number, other)
}

/// Refuses to write a number with thousands of digits.
fn template<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = spend(args, weight)?;
    let text = value.downcast_ref::<CelString>().map_or("", |text| text.inner());
    let is_long = text
        .split("%.")
        .skip(1)
        .any(|rest| rest.bytes().take_while(u8::is_ascii_digit).count() > 2);
    if is_long {
        return Err(ExecutionError::FunctionError {
            function: "format".to_owned(),
            message: "a number has 99 digits after the point at most".to_owned(),
        });
    }
    Ok(value)
}

fn text_of<'a>(args: &'a [CowVal<'_, '_>], index: usize) -> &'a str {
    args.get(index)
        .and_then(|text| text.downcast_ref::<CelString>())
        .map_or("", |text| text.inner())
}

fn meter_of<'a>(args: &'a [CowVal<'_, '_>]) -> Result<&'a Meter, ExecutionError> {
    let meter = args.last().and_then(|meter| meter.downcast_ref::<Meter>());
    meter.ok_or_else(|| ExecutionError::InternalError("the meter is missing".to_owned()))
}

/// `join`, which pays for its result before it makes it.
fn join<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let list = args.first().and_then(|list| list.downcast_ref::<CelList>());
    let items = list.map_or(&[][..], CelList::inner);
    let separator = text_of(&args, 1);
    let texts: Option<Vec<&str>> =
        items.iter().map(|item| item.downcast_ref::<CelString>().map(CelString::inner)).collect();
    let texts = texts.ok_or_else(|| ExecutionError::FunctionError {
        function: "join".to_owned(),
        message: "the items are not all strings".to_owned(),
    })?;
    let bytes =
        texts.iter().map(|text| text.len() + separator.len()).fold(0, usize::saturating_add);
    meter_of(&args)?.spend(1 + bytes as u64 / 32)?;
    Ok(CowVal::owned(CelString::from(texts.join(separator))))
}

/// `replace`, which pays for its result before it makes it.
fn replace<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (text, from, to) = (text_of(&args, 0), text_of(&args, 1), text_of(&args, 2));
    let limit = args.get(3).and_then(|limit| limit.downcast_ref::<CelInt>());
    let limit = limit.and_then(|limit| usize::try_from(*limit.inner()).ok()).unwrap_or(usize::MAX);
    let found = text.matches(from).take(limit).count();
    let bytes = found.saturating_mul(to.len()).saturating_add(text.len());
    meter_of(&args)?.spend(1 + bytes as u64 / 32)?;
    Ok(CowVal::owned(CelString::from(text.replacen(from, to, limit))))
}

/// Declares the functions that spend steps.
pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    let signature = || vec![types::DYN_TYPE, METER_TYPE.to_owned()];
    env.add_overload(COPY, COPY, signature(), copy)?;
    env.add_overload(ITERATE, ITERATE, signature(), iterate)?;
    env.add_overload(SQUARE, SQUARE, signature(), square)?;
    env.add_overload(PATTERN, PATTERN, signature(), pattern)?;
    env.add_overload(TEMPLATE, TEMPLATE, signature(), template)?;
    let text = || types::STRING_TYPE;
    let meter = || METER_TYPE.to_owned();
    env.add_overload(JOIN, JOIN, vec![types::LIST_TYPE, text(), meter()], join)?;
    let all = vec![text(), text(), text(), meter()];
    env.add_overload(REPLACE, "@replace_all", all, replace)?;
    let some = vec![text(), text(), text(), types::INT_TYPE, meter()];
    env.add_overload(REPLACE, "@replace_some", some, replace)
}

/// Operators that neither copy nor look into their operands.
fn is_free(operator: &str) -> bool {
    [
        operators::CONDITIONAL,
        operators::LOGICAL_AND,
        operators::LOGICAL_OR,
        operators::LOGICAL_NOT,
        operators::NEGATE,
        operators::INDEX,
        operators::NOT_STRICTLY_FALSE,
    ]
    .contains(&operator)
}

fn wrap(function: &str, expression: &mut IdedExpr) {
    let is_plumbing = match &expression.expr {
        Expr::Literal(_) => true,
        Expr::Ident(name) => name.starts_with('@'),
        Expr::Call(call) => {
            function == COPY && (call.func_name == COPY || call.func_name == operators::ADD)
        }
        _ => false,
    };
    if !is_plumbing {
        wrap_always(function, expression);
    }
}

fn wrap_always(function: &str, expression: &mut IdedExpr) {
    let id = expression.id;
    let inner = std::mem::take(expression);
    let meter = IdedExpr { id, expr: Expr::Ident(VARIABLE.to_owned()) };
    let call = CallExpr { func_name: function.to_owned(), target: None, args: vec![inner, meter] };
    *expression = IdedExpr { id, expr: Expr::Call(call) };
}

fn is_sum(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Call(call) if call.func_name == operators::ADD)
}

fn unwrap_sum(expression: &mut IdedExpr) {
    if let Expr::Call(call) = &mut expression.expr
        && call.func_name == COPY
        && call.args.first().is_some_and(is_sum)
    {
        *expression = std::mem::take(&mut call.args[0]);
    }
}

/// Whether a call is the step of a `map` or `filter` macro, whose shape the evaluator knows.
fn appends(call: &CallExpr) -> bool {
    call.func_name == operators::ADD
        && matches!(call.args.as_slice(), [accumulator, _]
            if matches!(&accumulator.expr, Expr::Ident(name) if name.starts_with('@')))
}

fn operands(call: &mut CallExpr) {
    let quadratic = call.func_name == "distinct"
        || call.func_name == "contains" && call.args.len() == 2
        || matches!(call.func_name.as_str(), "equivalent" | "intersects");
    let function = if quadratic { SQUARE } else { COPY };
    if let Some(target) = &mut call.target
        && !functions::is_namespace(target)
    {
        let is_template = call.func_name == "format";
        if is_template {
            wrap_always(TEMPLATE, target);
        } else {
            wrap(function, target);
        }
    }
    let last = call.args.len().saturating_sub(1);
    let is_pattern = matches!(call.func_name.as_str(), "matches" | "find" | "findAll");
    for (index, argument) in call.args.iter_mut().enumerate() {
        let is_text = matches!(argument.expr, Expr::Literal(LiteralValue::String(_)));
        if is_pattern && index == 0 && (is_text || last <= 1) {
            // A literal costs as much to compile as anything else.
            wrap_always(PATTERN, argument);
        } else {
            wrap(function, argument);
        }
    }
}

/// Turns `list.join(separator)` and `text.replace(from, to)` into the functions that pay first.
fn pay_first(id: u64, call: &mut CallExpr) {
    let function = match (call.func_name.as_str(), call.args.len()) {
        ("join", 0 | 1) => JOIN,
        ("replace", 2 | 3) => REPLACE,
        _ => return,
    };
    let Some(target) = call.target.take() else { return };
    call.func_name = function.to_owned();
    call.args.insert(0, *target);
    if function == JOIN && call.args.len() == 1 {
        let nothing = Expr::Literal(LiteralValue::String(CelString::from(String::new())));
        call.args.push(IdedExpr { id, expr: nothing });
    }
    call.args.push(IdedExpr { id, expr: Expr::Ident(VARIABLE.to_owned()) });
}

/// Puts calls that spend steps around everything that costs time.
pub(super) fn insert(expression: &mut IdedExpr) {
    let id = expression.id;
    match &mut expression.expr {
        Expr::Call(call) => {
            let appends = appends(call);
            if let Some(target) = &mut call.target {
                insert(target);
            }
            call.args.iter_mut().for_each(insert);
            if call.func_name == operators::ADD
                && let Some(left) = call.args.first_mut()
            {
                // The sum of a sum is paid for once, which keeps the tree of a long one shallow.
                unwrap_sum(left);
            }
            if !appends && !is_free(&call.func_name) {
                operands(call);
                optional::rename(call);
                pay_first(id, call);
                wrap_always(COPY, expression);
            }
        }
        Expr::Comprehension(fold) => {
            for part in [
                &mut fold.iter_range,
                &mut fold.accu_init,
                &mut fold.loop_cond,
                &mut fold.loop_step,
                &mut fold.result,
            ] {
                insert(part);
            }
            // An empty list is how a macro binds a name; there is nothing to go over.
            if !is_empty_list(&fold.iter_range) {
                wrap(ITERATE, &mut fold.iter_range);
            }
            if !is_empty_list(&fold.accu_init) {
                wrap(COPY, &mut fold.accu_init);
            }
            wrap(COPY, &mut fold.result);
        }
        Expr::List(list) => {
            for element in &mut list.elements {
                insert(element);
                wrap(COPY, element);
            }
        }
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    insert(&mut entry.key);
                    insert(&mut entry.value);
                    wrap(COPY, &mut entry.value);
                }
            }
        }
        Expr::Select(select) => insert(&mut select.operand),
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn is_empty_list(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::List(list) if list.elements.is_empty())
}
