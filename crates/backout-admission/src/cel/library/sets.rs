//! Lists as sets: `sets.contains`, `sets.equivalent`, `sets.intersects`.

#![expect(clippy::needless_pass_by_value, reason = "the evaluator calls functions of this type")]

use cel::common::types::{CelBool, CelList, LIST_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    let lists = || vec![LIST_TYPE, LIST_TYPE];
    env.add_overload("sets.contains", "list_sets_contains_list", lists(), contains)?;
    env.add_overload("sets.equivalent", "list_sets_equivalent_list", lists(), equivalent)?;
    env.add_overload("sets.intersects", "list_sets_intersects_list", lists(), intersects)
}

fn items<'a, 'v>(args: &'a [CowVal<'_, 'v>], index: usize) -> &'a [Box<dyn Val + 'v>] {
    args.get(index).and_then(|list| list.downcast_ref::<CelList>()).map_or(&[], CelList::inner)
}

fn has(list: &[Box<dyn Val + '_>], wanted: &dyn Val) -> bool {
    list.iter().any(|item| item.equals(wanted))
}

fn has_all(list: &[Box<dyn Val + '_>], wanted: &[Box<dyn Val + '_>]) -> bool {
    wanted.iter().all(|wanted| has(list, wanted.as_ref()))
}

fn contains<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    Ok(CowVal::owned(CelBool::from(has_all(items(&args, 0), items(&args, 1)))))
}

fn equivalent<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (left, right) = (items(&args, 0), items(&args, 1));
    Ok(CowVal::owned(CelBool::from(has_all(left, right) && has_all(right, left))))
}

fn intersects<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (left, right) = (items(&args, 0), items(&args, 1));
    let common = right.iter().any(|wanted| has(left, wanted.as_ref()));
    Ok(CowVal::owned(CelBool::from(common)))
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::holds;

    #[test]
    fn order_and_repetition_do_not_matter() {
        assert!(holds("sets.contains([1, 2, 3], [2, 2]) && sets.contains([], [])"));
        assert!(holds("!sets.contains(['a'], ['a', 'b']) && sets.contains([1], [1.0, 1u])"));
        assert!(holds("sets.equivalent([1, 2, 2], [2, 1]) && !sets.equivalent([1], [1, 2])"));
        assert!(holds("sets.intersects(['a', 'b'], ['b']) && !sets.intersects([1], [])"));
    }
}
