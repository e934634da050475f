//! `orValue` on a value that is not optional: the value itself.
//!
//! A chain such as `object.?metadata.labels` is optional as a whole in cel-go, also where it goes on
//! with a plain dot, and published Kyverno policies rely on `orValue` after it.

use cel::common::ast::CallExpr;
use cel::common::types::{CelOptional, DYN_TYPE};
use cel::common::value::CowVal;
use cel::{DeclarationError, Env, ExecutionError};

/// What `orValue` is called once an expression is read. The evaluator's own takes every receiver and
/// fails on those that are not optional.
const OR_VALUE: &str = "@orValue";

pub(in crate::cel) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_member_overload(OR_VALUE, OR_VALUE, DYN_TYPE, vec![DYN_TYPE], or_value)
}

/// Has a call of `orValue` use the one of this file.
pub(in crate::cel) fn rename(call: &mut CallExpr) {
    if call.func_name == "orValue" && call.target.is_some() {
        OR_VALUE.clone_into(&mut call.func_name);
    }
}

fn or_value<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let [value, other] = <[CowVal<'b, 'v>; 2]>::try_from(args)
        .map_err(|args| ExecutionError::invalid_argument_count(2, args.len()))?;
    let Some(optional) = value.downcast_ref::<CelOptional>() else { return Ok(value) };
    match optional.option() {
        Some(value) => Ok(CowVal::Owned(value.clone_as_boxed())),
        None => Ok(other),
    }
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::holds;

    #[test]
    fn a_plain_value_stays_itself() {
        assert!(holds("{'a': 1}.a.orValue(2) == 1"));
        assert!(holds("{'a': 1}.?b.orValue(2) == 2"));
        assert!(holds("{'a': {'b': 1}}.?a.b.orValue(2) == 1"));
        assert!(holds("{'a': 1}[?'a'].orValue(2) == 1 && optional.none().orValue('x') == 'x'"));
    }
}
