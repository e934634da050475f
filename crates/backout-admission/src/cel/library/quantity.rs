//! Quantities of resources, such as `500m` or `1.5Gi`, as
//! <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/> defines them.

use cel::common::types::{CelBool, CelDouble, CelInt, CelString};
use cel::{DeclarationError, Env, ExecutionError, add_member_overload, add_overload};

use super::{failed, opaque};

/// Billionths in one.
const NANO: i128 = 1_000_000_000;

/// A quantity in billionths: Kubernetes keeps nothing finer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Quantity(i128);

opaque!(Quantity, "kubernetes.Quantity");

pub(super) fn register(env: &mut Env) -> Result<(), DeclarationError> {
    add_overload!(env, fn quantity: (CelString) -> Result<Quantity>, id = "string_to_quantity")?;
    add_overload!(env, fn is_quantity: (CelString) -> CelBool, id = "is_quantity_string")?;
    add_overload!(env, fn sign: (Quantity) -> CelInt, id = "quantity_sign")?;
    add_member_overload!(env, fn sign: (Quantity) -> CelInt)?;
    add_member_overload!(env, fn is_integer: (Quantity) -> CelBool)?;
    add_member_overload!(env, fn as_integer: (Quantity) -> Result<CelInt>)?;
    add_member_overload!(env, fn as_approximate_float: (Quantity) -> CelDouble)?;
    add_member_overload!(env, fn add: (Quantity, Quantity) -> Result<Quantity>)?;
    add_member_overload!(env, fn add_int: (Quantity, CelInt) -> Result<Quantity>, name = "add")?;
    add_member_overload!(env, fn sub: (Quantity, Quantity) -> Result<Quantity>)?;
    add_member_overload!(env, fn sub_int: (Quantity, CelInt) -> Result<Quantity>, name = "sub")?;
    add_member_overload!(env, fn is_greater_than: (Quantity, Quantity) -> CelBool)?;
    add_member_overload!(env, fn is_less_than: (Quantity, Quantity) -> CelBool)?;
    add_member_overload!(env, fn compare_to: (Quantity, Quantity) -> CelInt)?;
    Ok(())
}

/// The factor of a suffix: a power of ten in billionths, or a power of 1024.
fn factor(suffix: &str) -> Option<i128> {
    let binary = |power: u32| Some(NANO << (10 * power));
    match suffix {
        "n" => Some(1),
        "u" => Some(1_000),
        "m" => Some(1_000_000),
        "" => Some(NANO),
        "k" => Some(NANO * 1_000),
        "M" => Some(NANO * 1_000_000),
        "G" => Some(NANO * 1_000_000_000),
        "T" => Some(NANO * 1_000_000_000_000),
        "P" => Some(NANO * 1_000_000_000_000_000),
        "E" => Some(NANO * 1_000_000_000_000_000_000),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => exponent(suffix),
    }
}

/// The factor of a decimal exponent such as `e3`.
fn exponent(suffix: &str) -> Option<i128> {
    let power = suffix.strip_prefix(['e', 'E'])?;
    let digits = power.strip_prefix(['+', '-']).unwrap_or(power);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let power: i32 = power.parse().ok()?;
    let power = u32::try_from(power.saturating_add(9)).ok()?;
    Some(10_i128.checked_pow(power).unwrap_or(i128::MAX))
}

/// Reads a quantity as the API server does, which takes a missing number for zero. What is too large
/// is the largest.
fn parse(text: &str) -> Option<Quantity> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let factor = factor(suffix)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if text.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    let mut billionths = digits(whole)?.saturating_mul(factor);
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = digits(fraction)?.checked_mul(factor)?;
        // What is finer than a billionth is rounded up, away from zero.
        let more = i128::from(part % scale != 0);
        billionths = billionths.saturating_add(part / scale + more);
    }
    Some(Quantity(if text.starts_with('-') { -billionths } else { billionths }))
}

fn quantity(text: &CelString<'_>) -> Result<Quantity, ExecutionError> {
    parse(text.inner()).ok_or_else(|| failed("quantity", "not a quantity, such as 500m or 1Gi"))
}

fn is_quantity(text: &CelString<'_>) -> CelBool {
    CelBool::from(parse(text.inner()).is_some())
}

fn sign(quantity: &Quantity) -> CelInt {
    CelInt::from(if quantity.0 > 0 { 1 } else { -i64::from(quantity.0 < 0) })
}

fn integer(quantity: Quantity) -> Option<i64> {
    if quantity.0 % NANO == 0 { i64::try_from(quantity.0 / NANO).ok() } else { None }
}

fn is_integer(quantity: &Quantity) -> CelBool {
    CelBool::from(integer(*quantity).is_some())
}

fn as_integer(quantity: &Quantity) -> Result<CelInt, ExecutionError> {
    let integer = integer(*quantity);
    integer.map(CelInt::from).ok_or_else(|| failed("asInteger", "not a whole number of 64 bits"))
}

fn as_approximate_float(quantity: &Quantity) -> CelDouble {
    CelDouble::from(quantity.0 as f64 / 1e9)
}

fn checked(function: &str, sum: Option<i128>) -> Result<Quantity, ExecutionError> {
    sum.map(Quantity).ok_or_else(|| failed(function, "the result is too large"))
}

fn add(left: &Quantity, right: &Quantity) -> Result<Quantity, ExecutionError> {
    checked("add", left.0.checked_add(right.0))
}

fn add_int(left: &Quantity, right: &CelInt) -> Result<Quantity, ExecutionError> {
    checked("add", left.0.checked_add(i128::from(*right.inner()) * NANO))
}

fn sub(left: &Quantity, right: &Quantity) -> Result<Quantity, ExecutionError> {
    checked("sub", left.0.checked_sub(right.0))
}

fn sub_int(left: &Quantity, right: &CelInt) -> Result<Quantity, ExecutionError> {
    checked("sub", left.0.checked_sub(i128::from(*right.inner()) * NANO))
}

fn is_greater_than(left: &Quantity, right: &Quantity) -> CelBool {
    CelBool::from(left > right)
}

fn is_less_than(left: &Quantity, right: &Quantity) -> CelBool {
    CelBool::from(left < right)
}

fn compare_to(left: &Quantity, right: &Quantity) -> CelInt {
    CelInt::from(left.cmp(right) as i64)
}

#[cfg(test)]
mod tests {
    use crate::cel::tests::{error, holds};

    #[test]
    fn quantities_are_read() {
        for text in [
            "1", "1.5Gi", "200m", "-5", "+3k", "1e3", "1E-3", ".5", "5.", "100u", "3n", "Gi", "e3",
            ".", "-", "E", "1e99",
        ] {
            assert!(holds(&format!("isQuantity('{text}')")), "{text}");
        }
        for text in ["", "1 Gi", "1gi", "1..2", "1.2.3", "one", "1e", "e", "1KI", "--1"] {
            assert!(!holds(&format!("isQuantity('{text}')")), "{text}");
        }
        assert!(error("quantity('200K') == quantity('1')").contains("not a quantity"));
    }

    #[test]
    fn quantities_are_compared_whatever_their_suffix() {
        assert!(holds("quantity('200M').compareTo(quantity('0.2G')) == 0"));
        assert!(holds("quantity('50M').isLessThan(quantity('100M'))"));
        assert!(holds("quantity('50Mi').isGreaterThan(quantity('50M'))"));
        assert!(holds("quantity('1000m') == quantity('1') && quantity('1Ki') == quantity('1024')"));
        assert!(holds(
            "quantity('1e3') == quantity('1k') && quantity('0.5').compareTo(quantity('1')) == -1"
        ));
        assert!(holds("quantity('9Ei').isGreaterThan(quantity('9E'))"));
    }

    #[test]
    fn quantities_are_added() {
        assert!(holds("quantity('50k').add(quantity('20')) == quantity('50020')"));
        assert!(holds("quantity('50k').sub(20) == quantity('49980')"));
        assert!(holds(
            "quantity('50k').add(20).sub(quantity('100k')).sub(-50000) == quantity('20')"
        ));
        assert!(holds("quantity('-1').sign() == -1 && sign(quantity('0')) == 0"));
    }

    #[test]
    fn quantities_become_numbers() {
        assert!(holds("quantity('50k').isInteger() && quantity('50k').asInteger() == 50000"));
        assert!(holds("!quantity('500m').isInteger()"));
        assert!(holds("quantity('500m').asApproximateFloat() == 0.5"));
        assert!(error("quantity('1.5').asInteger() == 1").contains("not a whole number"));
        assert!(error("quantity('9E').add(quantity('9E')).asInteger() == 1").contains("64 bits"));
    }
}
