//! The status of a release whose rollout cannot be led: why, and whether it will be tried again.

use super::conditions::{Said, since};
use crate::resources::{ConditionStatus, ConditionType, ReleaseStatus};

/// The status of a release that cannot be rolled out, for this reason. If it `may_pass`, it is
/// tried again; otherwise the release is given up: its record never changes.
#[must_use]
pub fn not_led(
    previous: &ReleaseStatus,
    generation: i64,
    message: &str,
    may_pass: bool,
    now: &str,
) -> ReleaseStatus {
    let reason = if may_pass { "CannotBegin" } else { "Refused" };
    let said = |kind, status| Said { kind, status, reason, message: message.to_owned() };
    let conditions = [
        said(ConditionType::Ready, ConditionStatus::False),
        said(ConditionType::Stalled, ConditionStatus::True),
    ];
    let conditions = conditions
        .map(|said| since(said, &previous.conditions, generation, || now.to_owned()))
        .into();
    let mut status = ReleaseStatus {
        observed_generation: generation,
        message: Some(message.to_owned()),
        conditions,
        ..previous.clone()
    };
    if !may_pass {
        status.phase = "Cancelled".to_owned();
        status.outcome = Some("cancelled".to_owned());
        status.ended_at = previous.ended_at.clone().or_else(|| Some(now.to_owned()));
    } else if previous.started_at.is_none() {
        status.phase = "Pending".to_owned();
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_helped_ends_the_release() {
        let before = ReleaseStatus::default();
        let waits = not_led(&before, 1, "no policy", true, "2026-01-01T00:00:00Z");
        assert_eq!((waits.phase.as_str(), waits.outcome.as_deref()), ("Pending", None));
        assert_eq!(waits.conditions[1].kind, ConditionType::Stalled);
        let later = not_led(&waits, 1, "no policy", true, "2026-01-01T00:01:00Z");
        assert_eq!(later, waits, "a reason that stays keeps its time");
        let ended = not_led(&before, 1, "no good", false, "2026-01-01T00:00:00Z");
        assert_eq!(ended.outcome.as_deref(), Some("cancelled"));
        assert!(ended.ended_at.is_some());
    }
}
