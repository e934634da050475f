//! Versions as <https://semver.org> defines them.

use ::semver::Version;
use cel::common::types::{CelBool, CelInt, CelString};
use cel::{DeclarationError, Env, ExecutionError, add_member_overload, add_overload};

use super::{failed, opaque};

#[derive(Clone, Debug)]
struct Semver(Version);

impl PartialEq for Semver {
    /// What follows a plus sign does not count.
    fn eq(&self, other: &Self) -> bool {
        self.0.cmp_precedence(&other.0).is_eq()
    }
}

opaque!(Semver, "kubernetes.Semver");

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    add_overload!(env, fn semver: (CelString) -> Result<Semver>, id = "string_to_semver")?;
    add_overload!(env, fn semver_normalized: (CelString, CelBool) -> Result<Semver>,
        name = "semver", id = "string_bool_to_semver")?;
    add_overload!(env, fn is_semver: (CelString) -> CelBool, id = "is_semver_string")?;
    add_overload!(env, fn is_semver_normalized: (CelString, CelBool) -> CelBool,
        name = "isSemver", id = "is_semver_string_bool")?;
    add_member_overload!(env, fn is_greater_than: (Semver, Semver) -> CelBool)?;
    add_member_overload!(env, fn is_less_than: (Semver, Semver) -> CelBool)?;
    add_member_overload!(env, fn compare_to: (Semver, Semver) -> CelInt)?;
    add_member_overload!(env, fn major: (Semver) -> CelInt)?;
    add_member_overload!(env, fn minor: (Semver) -> CelInt)?;
    add_member_overload!(env, fn patch: (Semver) -> CelInt)?;
    Ok(())
}

/// Reads a version. Normalized, a leading `v` and zeros before numbers go, and numbers that are
/// missing are zero.
fn parse(text: &str, normalize: bool) -> Result<Version, ExecutionError> {
    let read = |text: &str| {
        Version::parse(text).map_err(|error| failed("semver", format!("not a version: {error}")))
    };
    if !normalize {
        return read(text);
    }
    let text = text.strip_prefix('v').unwrap_or(text);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let mut numbers: Vec<&str> = numbers
        .split('.')
        .map(|number| {
            let short = number.trim_start_matches('0');
            if short.is_empty() && !number.is_empty() { "0" } else { short }
        })
        .collect();
    if numbers.len() < 3 && rest.is_empty() {
        numbers.resize(3, "0");
    }
    read(&format!("{}{rest}", numbers.join(".")))
}

fn semver(text: &CelString<'_>) -> Result<Semver, ExecutionError> {
    parse(text.inner(), false).map(Semver)
}

fn semver_normalized(text: &CelString<'_>, normalize: &CelBool) -> Result<Semver, ExecutionError> {
    parse(text.inner(), *normalize.inner()).map(Semver)
}

fn is_semver(text: &CelString<'_>) -> CelBool {
    CelBool::from(parse(text.inner(), false).is_ok())
}

fn is_semver_normalized(text: &CelString<'_>, normalize: &CelBool) -> CelBool {
    CelBool::from(parse(text.inner(), *normalize.inner()).is_ok())
}

fn is_greater_than(left: &Semver, right: &Semver) -> CelBool {
    CelBool::from(left.0.cmp_precedence(&right.0).is_gt())
}

fn is_less_than(left: &Semver, right: &Semver) -> CelBool {
    CelBool::from(left.0.cmp_precedence(&right.0).is_lt())
}

fn compare_to(left: &Semver, right: &Semver) -> CelInt {
    CelInt::from(left.0.cmp_precedence(&right.0) as i64)
}

fn number(value: u64) -> CelInt {
    CelInt::from(i64::try_from(value).unwrap_or(i64::MAX))
}

fn major(version: &Semver) -> CelInt {
    number(version.0.major)
}

fn minor(version: &Semver) -> CelInt {
    number(version.0.minor)
}

fn patch(version: &Semver) -> CelInt {
    number(version.0.patch)
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::{error, holds};

    #[test]
    fn versions_are_read() {
        assert!(holds("isSemver('1.0.0') && !isSemver('v1.0') && !isSemver('hello')"));
        assert!(holds("isSemver('v1.0', true) && !isSemver('v1.0', false)"));
        assert!(holds("semver('v01.01', true).compareTo(semver('1.1.0')) == 0"));
        assert!(holds("semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2"));
        assert!(holds("semver('1.2.3-rc.1+x').patch() == 3"));
        assert!(error("semver('three') == semver('1.0.0')").contains("not a version"));
    }

    #[test]
    fn versions_are_compared() {
        assert!(holds("semver('1.2.3').isLessThan(semver('1.10.0'))"));
        assert!(holds("semver('1.0.0').isGreaterThan(semver('1.0.0-rc.1'))"));
        assert!(holds("semver('1.0.0').compareTo(semver('2.0.0')) == -1"));
        assert!(holds("semver('1.0.0+a') == semver('1.0.0+b')"));
    }
}
