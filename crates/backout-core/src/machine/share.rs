//! Whether probes show the share of traffic that was asked for.

use crate::units::Weight;

/// Requests that tell a share from none at all: the expected count then lies above two standard
/// deviations of a binomial count. At least 400, so that half of a share is told from the whole at
/// weights from about a tenth.
#[must_use]
pub const fn probes_needed(expected: Weight) -> u32 {
    let percent = expected.as_percent() as u32;
    if percent == 0 || percent == 100 {
        return 400;
    }
    let least = 1_600_u32.div_ceil(percent);
    if least > 400 { least } else { 400 }
}

/// Whether `hits` of `probes` fit the expected share. All or nothing is exact; a share between may
/// differ by two standard deviations of a binomial count, plus one. A right share misses that one
/// time in twenty, and is probed again; a wrong one has only so many tries before its deadline.
#[must_use]
pub fn share_fits(expected: Weight, hits: u64, probes: u64) -> bool {
    if probes == 0 {
        return false;
    }
    match expected.as_percent() {
        0 => hits == 0,
        100 => hits == probes,
        percent => {
            let percent = u128::from(percent);
            let (hits, probes) = (u128::from(hits), u128::from(probes));
            // In hundredths of a request: |hits - n p| <= 2 sqrt(n p (1 - p)) + 1, squared where
            // the left side exceeds the slack of one request.
            let off = (hits * 100).abs_diff(probes * percent);
            let beyond = off.saturating_sub(100);
            beyond * beyond <= 4 * probes * percent * (100 - percent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(percent: u8) -> Weight {
        Weight::from_percent(percent).expect("a percentage")
    }

    #[test]
    fn all_or_nothing_is_exact() {
        assert!(share_fits(weight(100), 400, 400));
        assert!(!share_fits(weight(100), 399, 400));
        assert!(share_fits(weight(0), 0, 400));
        assert!(!share_fits(weight(0), 1, 400));
    }

    #[test]
    fn no_hits_never_fit_a_share() {
        for percent in 1..=100 {
            let probes = probes_needed(weight(percent));
            assert!(!share_fits(weight(percent), 0, u64::from(probes)), "{percent}%");
        }
    }

    #[test]
    fn no_probes_say_nothing() {
        assert!(!share_fits(weight(0), 0, 0));
    }

    #[test]
    fn half_of_a_quarter_does_not_fit() {
        assert!(share_fits(weight(25), 100, 400));
        assert!(share_fits(weight(25), 85, 400));
        assert!(!share_fits(weight(25), 50, 400));
    }
}
