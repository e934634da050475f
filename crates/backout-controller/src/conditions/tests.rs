//! What conditions look like to `kubectl wait` and to GitOps tools.

use backout_world::failure::{Failure, Kind};
use backout_world::kubernetes::answer;
use jiff::Timestamp;
use kube::core::{Status, response::StatusSummary};

use super::{About, Conditions, LONGEST_MESSAGE, Reason};
use crate::resources::{Condition, ConditionStatus, ConditionType};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn kinds(kept: &[Condition]) -> Vec<(ConditionType, ConditionStatus)> {
    kept.iter().map(|condition| (condition.kind, condition.status)).collect()
}

#[test]
fn a_transition_is_a_change_of_status() {
    let mut kept = Vec::new();
    Conditions::of(&mut kept, 1, at(1)).reconciling(Reason::Adopting, "0 of 2");
    Conditions::of(&mut kept, 2, at(2)).reconciling(Reason::RollingOut, "1 of 2");
    let [ready, reconciling] = kept.as_slice() else { panic!("{kept:?}") };
    for condition in [ready, reconciling] {
        assert_eq!(condition.last_transition_time, "1970-01-01T00:00:01Z");
        assert_eq!((condition.observed_generation, condition.reason.as_str()), (2, "RollingOut"));
        assert_eq!(condition.message, "1 of 2");
    }
    Conditions::of(&mut kept, 2, at(3)).ready(Reason::Settled, "");
    assert_eq!(kinds(&kept), [(ConditionType::Ready, ConditionStatus::True)]);
    assert_eq!(kept[0].last_transition_time, "1970-01-01T00:00:03Z");
}

#[test]
fn what_is_abnormal_is_there_only_while_it_is_true() {
    let mut kept = Vec::new();
    let mut conditions = Conditions::of(&mut kept, 1, at(1));
    conditions.stalled(Reason::Held, "approve it");
    conditions.set(ConditionType::Promoted, ConditionStatus::False, "Held", "");
    conditions.set(ConditionType::Stalled, ConditionStatus::Unknown, "Held", "");
    conditions.set(ConditionType::Reconciling, ConditionStatus::False, "Held", "");
    let no = ConditionStatus::False;
    assert_eq!(kinds(&kept), [(ConditionType::Ready, no), (ConditionType::Promoted, no)]);
}

#[test]
fn stalled_and_reconciling_exclude_each_other() {
    let mut kept = Vec::new();
    for (second, stalls) in [(1, true), (2, false), (3, true)] {
        let mut conditions = Conditions::of(&mut kept, 1, at(second));
        if stalls {
            conditions.stalled(Reason::Refused, "");
        } else {
            conditions.reconciling(Reason::Retrying, "");
        }
        let other = if stalls { ConditionType::Stalled } else { ConditionType::Reconciling };
        let ready = (ConditionType::Ready, ConditionStatus::False);
        assert_eq!(kinds(&kept), [ready, (other, ConditionStatus::True)]);
    }
}

fn refused(object: &str, code: u16, reason: &str, message: &str) -> Failure {
    let status = Status {
        status: Some(StatusSummary::Failure),
        code,
        message: message.to_owned(),
        reason: reason.to_owned(),
        ..Status::default()
    };
    answer::failure(object, &kube::Error::Api(Box::new(status)))
}

/// What a failure makes of an object: the condition, its word and its message.
fn said(about: About, failure: &Failure) -> (ConditionType, String, String) {
    let mut kept = Vec::new();
    Conditions::of(&mut kept, 1, at(1)).failed(about, failure);
    let [ready, other] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!((ready.kind, ready.status), (ConditionType::Ready, ConditionStatus::False));
    assert_eq!((&ready.reason, &ready.message), (&other.reason, &other.message));
    (other.kind, other.reason.clone(), other.message.clone())
}

#[test]
fn what_is_missing_stalls_and_says_what_to_do() {
    let missing = |object| refused(object, 404, "NotFound", "\"checkout\" not found");
    let unknown = "the server could not find the requested resource";
    let unknown = refused("HTTPRoute shop/a", 404, "NotFound", unknown);
    let forbidden = "deployments.apps is forbidden: User \"system:serviceaccount\" cannot patch";
    let forbidden = refused("Deployment shop/a", 403, "Forbidden", forbidden);
    let (deployment, route) = (missing("Deployment shop/a"), missing("HTTPRoute shop/a"));
    let secret = missing("Secret shop/token");
    for (about, failure, word, told) in [
        (About::Deployment, deployment, "MissingDeployment", "Deployment shop/a does not exist"),
        (About::Route, route, "MissingRoute", "HTTPRoute shop/a does not exist"),
        (About::Prometheus, secret, "MissingSecret", "Secret shop/token does not exist"),
        (About::Route, unknown, "MissingResourceDefinition", "; install the resource definition"),
        (About::Deployment, forbidden, "MissingPermission", "; grant the permission"),
    ] {
        let (kind, reason, message) = said(about, &failure);
        assert_eq!((kind, reason.as_str()), (ConditionType::Stalled, word), "{failure:?}");
        assert!(message.contains(told), "{message}");
    }
}

#[test]
fn what_is_refused_stalls_and_what_failed_is_tried_again() {
    let invalid = Failure::new(Kind::Refused, "spec.steps: there are none");
    let query = Failure::new(Kind::Refused, "bad query");
    let silent = Failure::new(Kind::Failed, "Prometheus at http://p:9090: no answer within 5 s");
    let unprocessable = refused("Deployment shop/a", 422, "Invalid", "spec: no");
    let broken = refused("HTTPRoute shop/a", 500, "InternalError", "etcd");
    let (stalled, reconciling) = (ConditionType::Stalled, ConditionType::Reconciling);
    for (about, failure, kind, word) in [
        (About::Spec, invalid, stalled, "InvalidSpec"),
        (About::Prometheus, query, stalled, "PrometheusRefused"),
        (About::Other, unprocessable, stalled, "Refused"),
        (About::Prometheus, silent, reconciling, "PrometheusUnreachable"),
        (About::Route, broken, reconciling, "Retrying"),
    ] {
        let message = failure.in_full();
        assert_eq!(said(about, &failure), (kind, word.to_owned(), message));
    }
}

#[test]
fn a_message_has_an_end() {
    let mut kept = Vec::new();
    let long = "é".repeat(LONGEST_MESSAGE);
    Conditions::of(&mut kept, 1, at(1)).stalled(Reason::Refused, &long);
    let cut =
        kept.iter().all(|it| it.message.len() <= LONGEST_MESSAGE && it.message.ends_with("é…"));
    assert!(cut, "{kept:?}");
}
