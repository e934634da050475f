//! Regular expressions: `matches`, `find`, `findAll`. Both RE2 and this crate take time in
//! proportion to the text.

use cel::common::types::{CelBool, CelInt, CelList, CelString};
use cel::common::value::Val;
use cel::{DeclarationError, Env, ExecutionError, add_member_overload, add_overload};
use regex::{Regex, RegexBuilder};

use super::failed;

/// What a compiled expression may take, in bytes.
const MAX_BYTES: usize = 1 << 20;

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    add_overload!(env, fn matches: (CelString, CelString) -> Result<CelBool>, id = "matches")?;
    add_member_overload!(env, fn matches: (CelString, CelString) -> Result<CelBool>)?;
    add_member_overload!(env, fn find: (CelString, CelString) -> Result<CelString>)?;
    add_member_overload!(env, fn find_all: (CelString, CelString) -> Result<CelList>)?;
    add_member_overload!(env, fn find_some: (CelString, CelString, CelInt) -> Result<CelList>,
        name = "findAll")?;
    Ok(())
}

fn compile(function: &str, pattern: &CelString<'_>) -> Result<Regex, ExecutionError> {
    RegexBuilder::new(pattern.inner()).size_limit(MAX_BYTES).build().map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim();
        failed(function, format!("the regular expression cannot be used: {reason}"))
    })
}

fn matches(text: &CelString<'_>, pattern: &CelString<'_>) -> Result<CelBool, ExecutionError> {
    Ok(CelBool::from(compile("matches", pattern)?.is_match(text.inner())))
}

fn find(
    text: &CelString<'_>,
    pattern: &CelString<'_>,
) -> Result<CelString<'static>, ExecutionError> {
    let found = compile("find", pattern)?;
    let found = found.find(text.inner()).map_or("", |found| found.as_str());
    Ok(CelString::from(found.to_owned()))
}

fn find_all(
    text: &CelString<'_>,
    pattern: &CelString<'_>,
) -> Result<CelList<'static>, ExecutionError> {
    find_some(text, pattern, &CelInt::from(-1))
}

fn find_some(
    text: &CelString<'_>,
    pattern: &CelString<'_>,
    limit: &CelInt,
) -> Result<CelList<'static>, ExecutionError> {
    let limit = usize::try_from(*limit.inner()).unwrap_or(usize::MAX);
    let expression = compile("findAll", pattern)?;
    let found: Vec<Box<dyn Val>> = expression
        .find_iter(text.inner())
        .take(limit)
        .map(|found| Box::new(CelString::from(found.as_str().to_owned())) as Box<dyn Val>)
        .collect();
    Ok(CelList::from(found))
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::{error, holds};

    #[test]
    fn texts_are_found() {
        assert!(holds("'abc 123'.find('[0-9]+') == '123'"));
        assert!(holds("'abc'.find('[0-9]+') == ''"));
        assert!(holds("'123 abc 456'.findAll('[0-9]+') == ['123', '456']"));
        assert!(holds("'123 abc 456'.findAll('[0-9]+', 1) == ['123']"));
        assert!(holds("'123 abc 456'.findAll('[0-9]+', 0) == []"));
        assert!(holds("'abc'.findAll('[0-9]+') == []"));
        assert!(holds("'my-app'.matches('^[a-z-]+$') && !matches('A', '^[a-z]$')"));
    }

    #[test]
    fn a_bad_pattern_is_an_error() {
        assert!(error("'a'.matches('(')").contains("matches: the regular expression"));
        assert!(error("'a'.matches('((a{500}){500}){500}')").contains("cannot be used"));
    }
}
