//! Random numbers: one ChaCha8 stream per named purpose, so that a draw added in one place does
//! not shift the draws of another, and stored seeds keep their meaning.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// One named stream.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of that name for a seed.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a spreads the name over 64 bits; ChaCha then takes seed and name as its key.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in purpose.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&hash.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number below `bound`; 0 when `bound` is 0. The bias is below 2^-32 for the bounds that the
    /// simulator uses.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Whether an event of that probability, in parts per million, happens.
    pub fn chance(&mut self, ppm: u32) -> bool {
        self.below(1_000_000) < u64::from(ppm)
    }

    /// A number in (0, 1).
    fn unit(&mut self) -> f64 {
        // 52 bits are exact in a double; the half keeps 0 out.
        let bits = u32::try_from(self.0.next_u64() >> 40).unwrap_or(0);
        (f64::from(bits) + 0.5) / 16_777_216.0
    }

    /// How many of `n` independent requests an event of probability `ppm` strikes: binomial, by
    /// inversion where few are expected, otherwise by its normal approximation. Only operations
    /// that are exact by IEEE 754, or from `libm`, are used, so every platform draws the same.
    pub fn strikes(&mut self, n: u64, ppm: u32) -> u64 {
        if n == 0 || ppm == 0 {
            return 0;
        }
        if ppm >= 1_000_000 {
            return n;
        }
        let (count, p) = (to_f64(n), f64::from(ppm) / 1_000_000.0);
        let mean = count * p;
        if mean < 16.0 { self.few(n, p) } else { self.many(n, mean, p) }
    }

    /// Counts geometric gaps between strikes.
    fn few(&mut self, n: u64, p: f64) -> u64 {
        let log_miss = libm::log1p(-p);
        let (mut position, mut struck) = (0.0, 0);
        loop {
            position += libm::floor(libm::log(self.unit()) / log_miss) + 1.0;
            if position > to_f64(n) {
                return struck;
            }
            struck += 1;
        }
    }

    fn many(&mut self, n: u64, mean: f64, p: f64) -> u64 {
        let deviation = libm::sqrt(mean * (1.0 - p));
        let angle = 2.0 * core::f64::consts::PI * self.unit();
        let normal = libm::sqrt(-2.0 * libm::log(self.unit())) * libm::cos(angle);
        let drawn = libm::round(mean + deviation * normal);
        from_f64(drawn).min(n)
    }
}

/// Counts in the simulator stay far below 2^53, where every whole number is exact.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
const fn to_f64(n: u64) -> f64 {
    n as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float to integer cast saturates, and negative draws count as none"
)]
const fn from_f64(value: f64) -> u64 {
    if value > 0.0 { value as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_repeatable_and_apart() {
        let draw = |seed, name| {
            let mut stream = Stream::new(seed, name);
            (0..4).map(|_| stream.below(1_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1, "traffic"), draw(1, "traffic"));
        assert_ne!(draw(1, "traffic"), draw(2, "traffic"));
        assert_ne!(draw(1, "traffic"), draw(1, "pods"));
    }

    #[test]
    fn strikes_have_the_right_mean() {
        let mut stream = Stream::new(7, "test");
        for (n, ppm) in [(100, 10_000), (10_000, 500), (5_000, 200_000), (40, 900_000)] {
            let rounds = 4_000_u64;
            let total: u64 = (0..rounds).map(|_| stream.strikes(n, ppm)).sum();
            let expected = n * u64::from(ppm) * rounds / 1_000_000;
            let slack = expected / 20 + 40;
            assert!(total.abs_diff(expected) < slack, "{n} {ppm}: {total} against {expected}");
        }
    }

    #[test]
    fn strikes_never_exceed_the_requests() {
        let mut stream = Stream::new(3, "test");
        for n in 0..200 {
            for ppm in [0, 1, 500_000, 999_999, 1_000_000] {
                assert!(stream.strikes(n, ppm) <= n);
            }
        }
    }
}
