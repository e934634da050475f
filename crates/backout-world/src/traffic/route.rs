//! What HTTPRoute and GRPCRoute share: rules with `backendRefs`, and the user's Service beside them.

use std::collections::BTreeSet;
use std::fmt;

use backout_core::machine::Precondition;
use backout_core::snapshot::RouteFacts;
use backout_core::units::Weight;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::backends::{self, Backends, Known};
use super::object::{Notes, Object, fenced, generation, patch, without_notes, written_by};
use super::{Arms, Fence, Provider, service};
use crate::failure::{Failure, Kind};
use crate::kubernetes::names;
use crate::kubernetes::objects::{Sort, annotation};

/// A kind of Gateway API route in one cluster.
pub(super) struct GatewayRoute {
    client: kube::Client,
    sort: Sort,
}

impl fmt::Debug for GatewayRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sort.kind)
    }
}

/// What the user had, as it is noted on the route.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Original {
    /// The Service that was taken over.
    service: String,
    /// The backends of each rule.
    backends: Backends,
}

impl GatewayRoute {
    pub(super) fn new(client: kube::Client, sort: Sort) -> Self {
        Self { client, sort }
    }

    fn object(&self, arms: &Arms) -> Object {
        Object::new(&self.client, self.sort, &arms.namespace, &arms.route)
    }

    fn service(&self, arms: &Arms, name: &str) -> Object {
        service::object(&self.client, &arms.namespace, name)
    }
}

impl Provider for GatewayRoute {
    fn kind(&self) -> &'static str {
        self.sort.kind
    }

    fn read<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<RouteFacts, Failure>> {
        async move {
            let at = self.object(arms);
            let object = at.get().await?;
            let original = original(&at, &object)?.ok_or_else(|| service::not_adopted(&at))?;
            let known = known(arms, &original);
            let written_by = written_by(&object, "rules");
            let share =
                backends::share(&rules(&object), &known, &arms.stable, arms.candidate.as_deref());
            let candidate_weight = share.map_err(|message| {
                at.failure(Kind::Failed, format!("{message}; last written by {written_by}"))
            })?;
            Ok(RouteFacts { candidate_weight, resource_version: generation(&object), written_by })
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        arms: &'a Arms,
        weight: Weight,
        expected: Option<Precondition>,
        fence: &'a Fence,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let at = self.object(arms);
            let mut users = None;
            at.change(|object| {
                fenced(&at, object, fence)?;
                let original = original(&at, object)?.ok_or_else(|| service::not_adopted(&at))?;
                let is = rules(object);
                // A candidate without traffic is not named at all: its Service may go away.
                let named = match weight {
                    Weight::ZERO => Arms { candidate: None, ..arms.clone() },
                    _ => arms.clone(),
                };
                let wanted = split(&at, object, &named, &original, weight)?;
                users = Some(original.service);
                if is != wanted
                    && expected.is_some_and(|one| one.resource_version != generation(object))
                {
                    let by = written_by(object, "rules");
                    let message = format!("it changed since it was read; last written by {by}");
                    return Err(at.failure(Kind::Failed, message));
                }
                let notes = Notes { original: None, arms, weight, fence: Some(fence) };
                let spec = (is != wanted).then(|| json!({ "rules": wanted }));
                Ok(patch(&notes.patch(object), spec))
            })
            .await?;
            // After the route: a client inside the cluster goes back no earlier than users do.
            match users {
                Some(name) if weight == Weight::ZERO => {
                    service::point(&self.service(arms, &name), arms).await
                }
                _ => Ok(()),
            }
        }
        .boxed()
    }

    fn adopt<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let at = self.object(arms);
            let mut users = None;
            at.change(|object| {
                let is = rules(object);
                let there = backends::of_rules(&is);
                let services = backends::services(&there, &arms.namespace);
                let noted = original(&at, object)?;
                if let Some(noted) = &noted
                    && !services.contains(&noted.service)
                {
                    users = Some(noted.service.clone());
                    return Ok(None);
                }
                let name = match &noted {
                    Some(noted) => noted.service.clone(),
                    None => chosen(&at, arms, &services)?,
                };
                let original = match noted {
                    // Some rules are as the user wrote them, others are still ours.
                    Some(noted) if services.contains(&arms.stable) => noted,
                    _ => Original { service: name.clone(), backends: there },
                };
                users = Some(name);
                let settled = Arms { candidate: None, ..arms.clone() };
                let wanted = split(&at, object, &settled, &original, Weight::ZERO)?;
                let text = serde_json::to_string(&original)
                    .map_err(|error| at.failure(Kind::Refused, error))?;
                let notes = Notes {
                    original: Some(text),
                    arms: &settled,
                    weight: Weight::ZERO,
                    fence: None,
                };
                let spec = (is != wanted).then(|| json!({ "rules": wanted }));
                Ok(patch(&notes.patch(object), spec))
            })
            .await?;
            match users {
                Some(name) => service::adopt(&self.service(arms, &name), arms).await,
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn follow<'a>(
        &'a self,
        arms: &'a Arms,
        fence: &'a Fence,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let at = self.object(arms);
            let mut users = None;
            at.change(|object| {
                fenced(&at, object, fence)?;
                let original = original(&at, object)?.ok_or_else(|| service::not_adopted(&at))?;
                let is = rules(object);
                let there = known(arms, &original);
                // Everything of ours must be on the stable set: seen as the only candidate, it has 100%.
                let others = ours(object, arms, &original);
                let other =
                    others.iter().find(|name| **name != arms.stable && **name != original.service);
                let other = other.map_or(original.service.as_str(), String::as_str);
                let share = backends::share(&is, &there, other, Some(&arms.stable));
                if share != Ok(Weight::FULL) {
                    let found =
                        share.map_or_else(|message| message, |share| format!("it has {share}"));
                    let message =
                        format!("the set {} does not have all traffic: {found}", arms.stable);
                    return Err(at.failure(Kind::Refused, message));
                }
                let settled = Arms { candidate: None, ..arms.clone() };
                let wanted = split(&at, object, &settled, &original, Weight::ZERO)?;
                users = Some(original.service);
                let notes = Notes {
                    original: None,
                    arms: &settled,
                    weight: Weight::ZERO,
                    fence: Some(fence),
                };
                let spec = (is != wanted).then(|| json!({ "rules": wanted }));
                Ok(patch(&notes.patch(object), spec))
            })
            .await?;
            match users {
                Some(name) => service::point(&self.service(arms, &name), arms).await,
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn detach<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let at = self.object(arms);
            let mut users = arms.service.clone();
            at.change(|object| {
                let is = rules(object);
                let Some(original) = original(&at, object)? else {
                    // A detach that was cut short: the route is the user's again, its Service not yet.
                    let services = backends::services(&backends::of_rules(&is), &arms.namespace);
                    users = users.clone().or_else(|| chosen(&at, arms, &services).ok());
                    return Ok(None);
                };
                let ours = ours(object, arms, &original);
                let ours = ours.iter().map(String::as_str).collect();
                let wanted = backends::restore(&is, &known(arms, &original), &ours)
                    .map_err(|message| at.failure(Kind::Refused, message))?;
                users = Some(original.service);
                let spec = (is != wanted).then(|| json!({ "rules": wanted }));
                Ok(patch(&without_notes(), spec))
            })
            .await?;
            match users {
                Some(name) => service::detach(&self.service(arms, &name)).await,
                None => Ok(()),
            }
        }
        .boxed()
    }
}

/// The user's Service among those that the route names.
fn chosen(at: &Object, arms: &Arms, services: &BTreeSet<String>) -> Result<String, Failure> {
    let listed = || services.iter().cloned().collect::<Vec<_>>().join(", ");
    let help = "name the Service that selects the workload";
    match &arms.service {
        Some(name) if services.contains(name) => Ok(name.clone()),
        Some(name) => {
            let message = format!("no rule sends to the Service {name}, but to: {}", listed());
            Err(at.failure(Kind::Refused, message).with_help(help))
        }
        None if services.len() == 1 => Ok(listed()),
        None => {
            let message = format!("it does not name one Service, but: {}", listed());
            Err(at.failure(Kind::Refused, message).with_help(help))
        }
    }
}

fn known<'a>(arms: &'a Arms, original: &'a Original) -> Known<'a> {
    Known { namespace: &arms.namespace, service: &original.service, original: &original.backends }
}

/// The names whose weights together are the workload's: the arms', those that are noted, and the
/// user's Service, which a GitOps tool may have written back.
fn ours(object: &Value, arms: &Arms, original: &Original) -> BTreeSet<String> {
    let noted =
        [names::STABLE, names::CANDIDATE].into_iter().filter_map(|name| annotation(object, name));
    let named = [Some(arms.stable.as_str()), arms.candidate.as_deref()].into_iter().flatten();
    noted.chain(named).chain([original.service.as_str()]).map(str::to_owned).collect()
}

fn split(
    at: &Object,
    object: &Value,
    arms: &Arms,
    original: &Original,
    weight: Weight,
) -> Result<Vec<Value>, Failure> {
    let ours = ours(object, arms, original);
    let ours = ours.iter().map(String::as_str).collect();
    let sets = (arms.stable.as_str(), arms.candidate.as_deref());
    backends::split(&rules(object), &ours, &arms.namespace, sets, weight)
        .map_err(|message| at.failure(Kind::Refused, message))
}

fn rules(object: &Value) -> Vec<Value> {
    object["spec"]["rules"].as_array().cloned().unwrap_or_default()
}

fn original(at: &Object, object: &Value) -> Result<Option<Original>, Failure> {
    let read = |text| {
        serde_json::from_str(text).map_err(|error| {
            let message = format!("the annotation {} cannot be read: {error}", names::ORIGINAL);
            at.failure(Kind::Refused, message)
        })
    };
    annotation(object, names::ORIGINAL).map(read).transpose()
}
