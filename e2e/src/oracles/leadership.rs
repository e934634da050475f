//! Whoever lost the Lease writes nothing more, told apart by the token that each process uses.

use crate::cluster::audit::Entry;

/// Every write to objects of a namespace that `account` made with another token than the one that
/// held the Lease when it came, in words. Events do not count: they tell what was, and may come
/// late.
#[must_use]
pub fn overtaken(audit: &[Entry], account: &str, namespace: &str) -> Vec<String> {
    let mut accepted: Vec<&Entry> = audit
        .iter()
        .filter(|entry| entry.user.username == account)
        .filter(|entry| (200..300).contains(&entry.response_status.code))
        .collect();
    accepted.sort_by_key(|entry| entry.answered);
    let mut leader = None;
    let mut found = Vec::new();
    for entry in accepted {
        let writer = entry.user.credential();
        let object = &entry.object_ref;
        if object.resource == "leases" {
            let holder = &entry.response_object["spec"]["holderIdentity"];
            if holder.as_str().is_some_and(|holder| !holder.is_empty()) {
                leader = writer.map(|writer| (writer, entry.answered));
            }
            continue;
        }
        let Some((token, since)) = leader else { continue };
        let of_run = object.namespace == namespace && object.resource != "events";
        if of_run && writer != Some(token) && entry.received > since {
            found.push(format!(
                "{} {} of {}/{} {} by {writer:?}, while {token} leads since {since}",
                entry.received, entry.verb, object.resource, object.name, object.subresource
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::overtaken;
    use crate::cluster::audit::Entry;

    fn entry(second: u32, token: &str, object: &Value, answer: &Value) -> Entry {
        let at = format!("2026-01-02T03:04:{second:02}Z");
        let entry = json!({
            "verb": "update", "requestURI": "/", "objectRef": object,
            "user": {"username": "backout", "extra": {
                "authentication.kubernetes.io/credential-id": [token],
            }},
            "responseStatus": {"code": 200}, "responseObject": answer,
            "requestReceivedTimestamp": at, "stageTimestamp": at,
        });
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn a_write_after_the_lease_was_lost_is_found() {
        let lease = json!({"resource": "leases", "namespace": "backout", "name": "l"});
        let held = |by: &str| json!({"spec": {"holderIdentity": by}});
        let route = json!({"resource": "httproutes", "namespace": "shop", "name": "checkout"});
        let nothing = Value::Null;
        let mut log = vec![
            entry(1, "first", &lease, &held("a")),
            entry(2, "first", &route, &nothing),
            entry(3, "second", &lease, &held("b")),
            entry(4, "second", &route, &nothing),
        ];
        assert_eq!(overtaken(&log, "backout", "shop"), Vec::<String>::new());
        log.push(entry(5, "first", &route, &nothing));
        assert_eq!(overtaken(&log, "backout", "shop").len(), 1);
    }
}
