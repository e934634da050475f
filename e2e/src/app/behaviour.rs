//! How the demo application behaves, and which requests fail.

use serde::{Deserialize, Serialize};

/// What `/control` and the harness's table of digests say.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Behaviour {
    /// Share of requests that fail with 500, from 0 to 1.
    pub errors: f64,
    /// Time that every request takes, in milliseconds.
    pub latency_ms: u64,
    /// The gauge `app_utilization`, from 0 to 1.
    pub utilization: f64,
    /// What `/readyz` says.
    pub ready: bool,
    /// Moves the pattern of failing requests: the share of one failure that is due at the start.
    pub phase: f64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { errors: 0.0, latency_ms: 5, utilization: 0.3, ready: true, phase: 0.0 }
    }
}

/// Spreads failures evenly: for a share of 0.2 every fifth request fails.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) behaviour: Behaviour,
    /// Failures that are due, in millionths.
    due: u32,
}

const ONE: u32 = 1_000_000;

impl Pattern {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        let due = millionths(behaviour.phase);
        Self { behaviour, due }
    }

    pub(super) fn next_fails(&mut self) -> bool {
        self.due += millionths(self.behaviour.errors);
        let fails = self.due >= ONE;
        if fails {
            self.due -= ONE;
        }
        fails
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
fn millionths(share: f64) -> u32 {
    (share.clamp(0.0, 1.0) * f64::from(ONE)).round() as u32
}

#[cfg(test)]
mod tests {
    use super::{Behaviour, Pattern};

    #[test]
    fn every_fifth_request_fails_for_a_share_of_a_fifth() {
        let mut pattern = Pattern::new(Behaviour { errors: 0.2, ..Behaviour::default() });
        let failed: Vec<bool> = (0..10).map(|_| pattern.next_fails()).collect();
        assert_eq!(failed.iter().filter(|fails| **fails).count(), 2);
        assert!(failed[4] && failed[9]);
    }
}
