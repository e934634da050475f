//! A Service whose selector says which sets it sends to: as the route itself, and as the Service
//! that clients inside the cluster use beside a route.

use std::collections::BTreeMap;

use backout_core::machine::Precondition;
use backout_core::units::Weight;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::object::{Notes, Object, fenced, patch, without_notes};
use super::{Arms, Fence};
use crate::failure::{Failure, Kind};
use crate::kubernetes::names;
use crate::kubernetes::objects::{SERVICE, annotation};

/// What a Service selects by.
pub(crate) type Selector = BTreeMap<String, String>;

/// The Service of that name.
pub(crate) fn object(client: &kube::Client, namespace: &str, name: &str) -> Object {
    Object::new(client, SERVICE, namespace, name)
}

/// Selects the pods of one set.
pub(crate) fn of_set(set: &str) -> Selector {
    [(names::RELEASE.to_owned(), set.to_owned())].into()
}

/// Selects the pods of all sets of a workload.
pub(crate) fn of_workload(workload: &str) -> Selector {
    [(names::WORKLOAD.to_owned(), workload.to_owned())].into()
}

/// The selector as the object has it; empty if it has none.
pub(crate) fn selector(object: &Value) -> Selector {
    let fields = object["spec"]["selector"].as_object();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    fields.into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

/// A selector in words.
pub(crate) fn told(selector: &Selector) -> String {
    if selector.is_empty() {
        return "nothing".to_owned();
    }
    selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// The version of what a Service asks for: a hash of its selector. A Service has no generation, and
/// its resource version changes with notes and with whatever a load balancer writes into its status.
/// 53 bits, so that every reader of JSON keeps it exactly.
pub(crate) fn version(selector: &Selector) -> u64 {
    let digest = Sha256::digest(told(selector).as_bytes());
    digest.iter().take(8).fold(0_u64, |all, byte| (all << 8) | u64::from(*byte)) >> 11
}

/// The version, with the weight that is noted where the selector alone does not say it.
pub(crate) fn shown(object: &Value, is: &Selector) -> u64 {
    let noted = annotation(object, names::WEIGHT).and_then(|text| text.parse::<u64>().ok());
    let shared = is.contains_key(names::WORKLOAD);
    version(is).wrapping_add(noted.filter(|_| shared).unwrap_or_default())
}

/// The spec that turns one selector into another; `None` if they are the same.
fn turned(from: &Selector, to: &Selector) -> Option<Value> {
    if from == to {
        return None;
    }
    let gone =
        from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let new = to.iter().map(|(key, value)| (key.clone(), json!(value)));
    Some(json!({ "selector": gone.chain(new).collect::<Map<_, _>>() }))
}

fn original(at: &Object, object: &Value) -> Result<Option<Selector>, Failure> {
    annotation(object, names::ORIGINAL)
        .map(|text| {
            serde_json::from_str(text).map_err(|error| {
                at.failure(
                    Kind::Refused,
                    format!("the annotation {} cannot be read: {error}", names::ORIGINAL),
                )
            })
        })
        .transpose()
}

/// Points the Service at the stable set and notes what it selected before, if that is not noted.
pub(crate) async fn adopt(at: &Object, arms: &Arms) -> Result<(), Failure> {
    at.change(|object| {
        let is = selector(object);
        if original(at, object)?.is_some() && is.keys().all(|key| ours(key)) {
            return Ok(None);
        }
        if is.is_empty() {
            return Err(at
                .failure(Kind::Refused, "it has no selector, so nothing that could be switched")
                .with_help("name a Service that selects the workload's pods"));
        }
        let user = if is.keys().all(|key| ours(key)) { None } else { Some(json!(is).to_string()) };
        let user = user.ok_or_else(|| {
            at.failure(
                Kind::Refused,
                format!("it selects {} and no note says what it was before", told(&is)),
            )
            .with_help("give it the selector of the workload's own pods, then adopt it again")
        })?;
        let notes = Notes { original: Some(user), arms, weight: Weight::ZERO, fence: None };
        Ok(patch(&notes.patch(object), turned(&is, &of_set(&arms.stable))))
    })
    .await
}

fn ours(key: &str) -> bool {
    key == names::RELEASE || key == names::WORKLOAD
}

/// Points a Service that was adopted at this set. One that was not adopted is left alone.
pub(crate) async fn point(at: &Object, arms: &Arms) -> Result<(), Failure> {
    at.change(|object| {
        if annotation(object, names::ORIGINAL).is_none() {
            return Ok(None);
        }
        let mut settled = arms.clone();
        settled.candidate = None;
        let notes = Notes { original: None, arms: &settled, weight: Weight::ZERO, fence: None };
        Ok(patch(&notes.patch(object), turned(&selector(object), &of_set(&arms.stable))))
    })
    .await
}

/// Gives the Service back as it was. One that was not adopted is left alone.
pub(crate) async fn detach(at: &Object) -> Result<(), Failure> {
    at.change(|object| {
        let Some(user) = original(at, object)? else { return Ok(None) };
        let is = selector(object);
        // A selector that someone changed meanwhile is theirs, and stays.
        let wanted = if is.keys().all(|key| ours(key)) { user } else { is.clone() };
        Ok(patch(&without_notes(), turned(&is, &wanted)))
    })
    .await
}

/// Writes a selector with its notes.
pub(crate) async fn write(
    at: &Object,
    arms: &Arms,
    (weight, wanted): (Weight, &Selector),
    expected: Option<Precondition>,
    fence: &Fence,
) -> Result<(), Failure> {
    at.change(|object| {
        fenced(at, object, fence)?;
        if annotation(object, names::ORIGINAL).is_none() {
            return Err(not_adopted(at));
        }
        let is = selector(object);
        let notes = Notes { original: None, arms, weight, fence: Some(fence) };
        let noted = annotation(object, names::WEIGHT);
        let same = is == *wanted && noted == Some(&weight.as_percent().to_string());
        if !same && expected.is_some_and(|expected| expected.resource_version != shown(object, &is))
        {
            return Err(at.failure(
                Kind::Failed,
                format!("it changed since it was read; it selects {}", told(&is)),
            ));
        }
        Ok(patch(&notes.patch(object), turned(&is, wanted)))
    })
    .await
}

/// Settles on the stable set, if that has all traffic.
pub(crate) async fn follow(at: &Object, arms: &Arms, fence: &Fence) -> Result<(), Failure> {
    at.change(|object| {
        fenced(at, object, fence)?;
        let is = selector(object);
        if is != of_set(&arms.stable) {
            return Err(at.failure(
                Kind::Refused,
                format!("it selects {}, not the set {} alone", told(&is), arms.stable),
            ));
        }
        let settled = Arms { candidate: None, ..arms.clone() };
        let notes =
            Notes { original: None, arms: &settled, weight: Weight::ZERO, fence: Some(fence) };
        Ok(patch(&notes.patch(object), None))
    })
    .await
}

/// The object was not taken over.
pub(crate) fn not_adopted(at: &Object) -> Failure {
    at.failure(Kind::Failed, "it was not adopted, or its notes were removed")
        .with_help("adopt it before traffic is moved")
}
