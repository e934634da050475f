//! Lists: `isSorted`, `sum`, `min`, `max`, `indexOf`, `lastIndexOf`.

#![expect(clippy::needless_pass_by_value, reason = "the evaluator calls functions of this type")]

use std::cmp::Ordering;

use cel::common::types::{CelBool, CelInt, CelList, DYN_TYPE, LIST_TYPE};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};

use super::failed;

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    env.add_member_overload("isSorted", "list_is_sorted", LIST_TYPE, vec![], is_sorted)?;
    env.add_member_overload("sum", "list_sum", LIST_TYPE, vec![], sum)?;
    env.add_member_overload("min", "list_min", LIST_TYPE, vec![], min)?;
    env.add_member_overload("max", "list_max", LIST_TYPE, vec![], max)?;
    env.add_member_overload("indexOf", "list_index_of", LIST_TYPE, vec![DYN_TYPE], index_of)?;
    env.add_member_overload(
        "lastIndexOf",
        "list_last_index_of",
        LIST_TYPE,
        vec![DYN_TYPE],
        last_index_of,
    )
}

fn items<'a, 'v>(args: &'a [CowVal<'_, 'v>]) -> &'a [Box<dyn Val + 'v>] {
    args.first().and_then(|list| list.downcast_ref::<CelList>()).map_or(&[], CelList::inner)
}

fn compare(function: &str, left: &dyn Val, right: &dyn Val) -> Result<Ordering, ExecutionError> {
    let comparer = left.as_comparer();
    comparer.ok_or_else(|| failed(function, "the items cannot be compared"))?.compare(right)
}

fn is_sorted<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    for pair in items(&args).windows(2) {
        if compare("isSorted", pair[0].as_ref(), pair[1].as_ref())? == Ordering::Greater {
            return Ok(CowVal::owned(CelBool::from(false)));
        }
    }
    Ok(CowVal::owned(CelBool::from(true)))
}

fn sum<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let mut items = items(&args).iter();
    let Some(first) = items.next() else {
        // The type of the items decides in a cluster; of an empty list it is not known here.
        return Ok(CowVal::owned(CelInt::from(0)));
    };
    let mut total = first.clone_as_boxed();
    for item in items {
        let adder = total.as_adder().ok_or_else(|| failed("sum", "the items are not numbers"))?;
        total = adder.add(item.as_ref())?.into_owned();
    }
    Ok(CowVal::Owned(total))
}

fn extreme<'b, 'v>(
    function: &str,
    args: &[CowVal<'b, 'v>],
    wanted: Ordering,
) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let mut items = items(args).iter();
    let mut best = items.next().ok_or_else(|| failed(function, "the list is empty"))?;
    for item in items {
        if compare(function, item.as_ref(), best.as_ref())? == wanted {
            best = item;
        }
    }
    Ok(CowVal::Owned(best.clone_as_boxed()))
}

fn min<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    extreme("min", &args, Ordering::Less)
}

fn max<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    extreme("max", &args, Ordering::Greater)
}

fn place(index: Option<usize>) -> CelInt {
    CelInt::from(index.and_then(|index| i64::try_from(index).ok()).unwrap_or(-1))
}

fn index_of<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let found = items(&args).iter().position(|item| item.equals(args[1].as_ref()));
    Ok(CowVal::owned(place(found)))
}

fn last_index_of<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let found = items(&args).iter().rposition(|item| item.equals(args[1].as_ref()));
    Ok(CowVal::owned(place(found)))
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::{error, holds};

    #[test]
    fn lists_are_summed_and_compared() {
        assert!(holds("[1, 3].sum() == 4 && [1.5, 1.5].sum() == 3.0"));
        assert!(holds("[duration('1m'), duration('1s')].sum() == duration('61s')"));
        assert!(holds("[1, 3, 2].max() == 3 && ['b', 'a'].min() == 'a'"));
        assert!(holds("[1, 3].isSorted() && !['b', 'a'].isSorted() && [].isSorted()"));
        assert!(holds("['a', 'b', 'a'].indexOf('a') == 0"));
        assert!(holds("['a', 'b', 'a'].lastIndexOf('a') == 2 && [1].indexOf(2) == -1"));
        assert!(holds("'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3"));
    }

    #[test]
    fn an_empty_list_has_no_extremes() {
        assert!(error("[].max() == 1").contains("the list is empty"));
        assert!(error("[{}, {}].isSorted()").contains("cannot be compared"));
    }
}
