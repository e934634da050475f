//! Exact reading of decimal numbers into scaled integers.

/// Why a decimal number was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The text is not digits with at most one decimal point.
    Malformed,
    /// The text has more decimals than the scale holds.
    TooPrecise,
    /// The scaled value does not fit.
    TooLarge,
}

/// Reads `12.5` as `12.5 * 10^places`, exactly.
///
/// Digits are required on both sides of a decimal point, so that `.5` and `5.` are refused.
/// Trailing zeros beyond the scale are accepted because they change nothing.
pub(super) fn scaled(text: &str, places: usize) -> Result<u64, Fault> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(Fault::Malformed),
        None => (text, ""),
    };
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(Fault::Malformed);
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return Err(Fault::TooPrecise);
    }
    let padding = std::iter::repeat_n(b'0', places - fraction.len());
    let mut value: u64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
        value = value
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(u64::from(digit - b'0')))
            .ok_or(Fault::TooLarge)?;
    }
    Ok(value)
}

/// Writes a scaled integer in its shortest exact decimal form, the inverse of [`scaled`].
pub(super) fn shortest(value: u64, places: usize) -> String {
    let digits = format!("{value:0>width$}", width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// Reports whether every byte is an ASCII digit; true for empty text.
fn all_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_exactly() {
        assert_eq!(scaled("0", 4), Ok(0));
        assert_eq!(scaled("12", 0), Ok(12));
        assert_eq!(scaled("99.95", 4), Ok(999_500));
        assert_eq!(scaled("1.50000000", 1), Ok(15));
    }

    #[test]
    fn refuses_what_is_not_a_decimal() {
        for text in ["", ".", ".5", "5.", "1.2.3", "-1", "+1", "1e3", "1_0", " 1", "٣"] {
            assert_eq!(scaled(text, 4), Err(Fault::Malformed), "{text:?}");
        }
        assert_eq!(scaled("0.00001", 4), Err(Fault::TooPrecise));
        assert_eq!(scaled("18446744073709551616", 0), Err(Fault::TooLarge));
        assert_eq!(scaled("18446744073709551615", 1), Err(Fault::TooLarge));
    }
}
