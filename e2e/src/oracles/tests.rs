//! Each rule catches the one write that breaks it, and a good rollout breaks none.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Evidence, breaches};
use crate::load::Report;

const OURS: &str = "system:serviceaccount:backout:backout";

/// A log that grows by a second with each write.
struct Log(Vec<Value>);

impl Log {
    fn write(&mut self, user: &str, verb: &str, (resource, name): (&str, &str), object: Value) {
        self.answered(user, verb, (resource, name), (200, object, Value::Null));
    }

    fn answered(
        &mut self,
        user: &str,
        verb: &str,
        (resource, name): (&str, &str),
        (code, object, request): (u16, Value, Value),
    ) {
        let at = format!("2026-01-02T03:04:{:02}Z", self.0.len());
        self.0.push(json!({
            "verb": verb, "user": {"username": user}, "requestURI": "/",
            "objectRef": {"resource": resource, "namespace": "shop", "name": name},
            "responseStatus": {"code": code}, "responseObject": object, "requestObject": request,
            "requestReceivedTimestamp": at, "stageTimestamp": at,
        }));
    }

    fn slice(&mut self, set: &str, ready: usize) {
        let endpoint = json!({"conditions": {"ready": true}});
        let slice = json!({
            "metadata": {"name": set, "labels": {"kubernetes.io/service-name": set}},
            "endpoints": vec![endpoint; ready],
        });
        self.write("controllers", "update", ("endpointslices", set), slice);
    }

    fn sized(&mut self, set: &str, replicas: u32) {
        let object = json!({"spec": {"replicas": replicas}});
        let request = json!({"metadata": {"resourceVersion": "7"}});
        self.answered(OURS, "patch", ("deployments", set), (200, object, request));
    }

    fn route(&mut self, generation: u32, weights: &[(&str, u32)]) {
        let backends: Vec<Value> =
            weights.iter().map(|(set, weight)| json!({"name": set, "weight": weight})).collect();
        let note = format!("checkout-2/{generation}");
        let object = json!({
            "metadata": {"annotations": {
                "backout.dev/generation": note, "backout.dev/original": "{}",
            }},
            "spec": {"rules": [{"backendRefs": backends}]},
        });
        let request = json!({"metadata": {"resourceVersion": "7"}});
        self.answered(OURS, "patch", ("httproutes", "checkout"), (200, object, request));
    }

    fn breaches(self) -> Vec<&'static str> {
        let audit = self.0.into_iter().map(|entry| serde_json::from_value(entry).unwrap());
        let evidence = Evidence {
            audit: audit.collect(),
            ours: BTreeSet::from([OURS.to_owned()]),
            namespace: "shop".to_owned(),
            replicas: 4,
            users: vec![("services", "checkout".to_owned())],
            stable: "new".to_owned(),
            load: Report::new(std::time::Instant::now(), Vec::new(), Vec::new(), 0),
            bad: BTreeSet::new(),
        };
        breaches(&evidence).into_iter().map(|breach| breach.rule).collect()
    }
}

/// From `old` to `new`, up to the moment before the old set is made smaller.
fn promotion() -> Log {
    let mut log = Log(Vec::new());
    log.sized("old", 4);
    log.slice("old", 4);
    log.route(1, &[("old", 100)]);
    log.sized("new", 2);
    log.slice("new", 2);
    log.route(1, &[("old", 50), ("new", 50)]);
    log.sized("new", 4);
    log.slice("new", 4);
    log.route(1, &[("new", 100)]);
    log
}

#[test]
fn a_good_rollout_breaks_no_rule() {
    let mut log = promotion();
    log.sized("old", 0);
    log.answered(OURS, "create", ("configmaps", "run"), (201, json!({}), json!({})));
    let request = json!({"preconditions": {"uid": "u"}});
    log.answered(OURS, "delete", ("configmaps", "run"), (200, json!({}), request));
    assert_eq!(log.breaches(), Vec::<&str>::new());
}

#[test]
fn traffic_before_readiness_is_caught() {
    let mut log = promotion();
    log.slice("new", 0);
    log.route(1, &[("old", 100)]);
    log.route(1, &[("new", 100)]);
    let rules = log.breaches();
    assert!(rules.contains(&"no traffic to a set that is not ready"), "{rules:?}");
}

#[test]
fn too_few_pods_for_the_share_are_caught() {
    let mut log = promotion();
    log.route(1, &[("old", 100)]);
    log.slice("new", 3);
    log.route(1, &[("new", 100)]);
    assert_eq!(log.breaches(), ["capacity, readiness, traffic, scale-down"]);
}

#[test]
fn a_set_that_shrinks_under_traffic_is_caught() {
    let mut log = promotion();
    log.sized("new", 1);
    assert_eq!(log.breaches(), ["capacity, readiness, traffic, scale-down"]);
}

#[test]
fn an_overtaken_writer_is_caught() {
    let mut log = promotion();
    log.route(2, &[("new", 100)]);
    log.route(1, &[("new", 100)]);
    assert_eq!(log.breaches(), ["no write of an older generation"]);
}

#[test]
fn a_blind_deletion_is_caught() {
    let mut log = promotion();
    log.answered(OURS, "create", ("configmaps", "run"), (201, json!({}), json!({})));
    log.write(OURS, "delete", ("configmaps", "run"), json!({}));
    assert_eq!(log.breaches(), ["a destructive write has a precondition"]);
}

#[test]
fn a_route_that_still_names_the_other_set_is_caught() {
    let mut log = promotion();
    log.route(1, &[("old", 0), ("new", 100)]);
    assert_eq!(log.breaches(), ["at the end the route names only the stable set"]);
}

#[test]
fn a_deletion_of_the_users_is_caught_whoever_did_it() {
    for user in [OURS, "someone"] {
        let mut log = promotion();
        let request = json!({"preconditions": {"uid": "u"}});
        log.answered(user, "delete", ("services", "checkout"), (200, json!({}), request));
        assert_eq!(log.breaches(), ["nothing of the user's is deleted"]);
    }
}

#[test]
fn a_missing_permission_is_caught() {
    let mut log = promotion();
    log.write(OURS, "update", ("configmaps", "run"), json!({}));
    let message = "configmaps \"run\" is forbidden: User \"backout\" cannot update";
    for (of_permission, message) in [(true, message), (false, "admission webhook denied it")] {
        let mut log = Log(log.0.clone());
        log.0.last_mut().unwrap()["responseStatus"] = json!({"code": 403, "message": message});
        let expected: &[&str] = if of_permission { &["the permissions are enough"] } else { &[] };
        assert_eq!(log.breaches(), expected);
    }
}
