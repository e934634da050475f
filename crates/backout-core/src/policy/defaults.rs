//! Defaults of the policy, in one place so that they can be read at a glance. Each is the careful
//! choice: nothing waits for ever, missing data is never good, failed pods are kept.

use super::Gate;
use super::gate::Severity;
use crate::units::{Limit, Name, Share, Span};

pub(super) fn namespace() -> Name {
    Name::from_static("default")
}

pub(super) fn gates() -> Vec<Gate> {
    vec![Gate::artifact_digest(), Gate::artifact_signature(), Gate::config_drift()]
}

pub(super) const fn bake() -> Span {
    Span::from_mins(30)
}

pub(super) const fn flip_within() -> Limit {
    Limit::Within(Span::from_secs(60))
}

pub(super) const fn window() -> Span {
    Span::from_mins(1)
}

pub(super) const fn consecutive() -> u32 {
    2
}

pub(super) const fn min_requests() -> u64 {
    100
}

pub(super) const fn metrics_delay() -> Span {
    Span::from_secs(15)
}

pub(super) const fn no_data_after() -> Limit {
    Limit::Within(Span::from_mins(5))
}

pub(super) const fn shared_excess() -> Share {
    Share::from_ppm(500_000)
}

pub(super) const fn shared_hold() -> Limit {
    Limit::Within(Span::from_mins(30))
}

pub(super) const fn rollback_within() -> Span {
    Span::from_mins(1)
}

pub(super) const fn harm_budget() -> u64 {
    1_000
}

pub(super) const fn keep() -> Span {
    Span::from_hours(24)
}

pub(super) const fn settle() -> Span {
    Span::from_mins(5)
}

pub(super) const fn readiness() -> Limit {
    Limit::Within(Span::from_mins(10))
}

pub(super) const fn step() -> Limit {
    Limit::Within(Span::from_mins(30))
}

pub(super) const fn rollout() -> Limit {
    Limit::Within(Span::from_hours(4))
}

pub(super) const fn pause() -> Limit {
    Limit::Within(Span::from_hours(24))
}

pub(super) const fn fail_on() -> Severity {
    Severity::High
}

pub(super) const fn scan_max_age() -> Span {
    Span::from_hours(7 * 24)
}

pub(super) const fn smoke_within() -> Span {
    Span::from_mins(5)
}

pub(super) const fn approve_within() -> Limit {
    Limit::Within(Span::from_hours(24))
}
