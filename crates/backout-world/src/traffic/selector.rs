//! A Service whose selector is switched from one set to the other: all or nothing.

use std::sync::Arc;

use backout_core::machine::Precondition;
use backout_core::snapshot::RouteFacts;
use backout_core::units::Weight;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::object::{Object, written_by};
use super::service::{self, of_set, told};
use super::{Arms, Fence, Provider};
use crate::failure::{Failure, Kind};
use crate::kubernetes::names;
use crate::kubernetes::objects::annotation;

pub(super) struct Selector {
    client: kube::Client,
}

/// Switches a Service's selector.
#[must_use]
pub fn provider(client: kube::Client) -> Arc<dyn Provider> {
    Arc::new(Selector::new(client))
}

impl Selector {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { client }
    }

    fn object(&self, arms: &Arms) -> Object {
        service::object(&self.client, &arms.namespace, &arms.route)
    }
}

impl std::fmt::Debug for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Selector")
    }
}

impl Provider for Selector {
    fn kind(&self) -> &'static str {
        "Service"
    }

    fn read<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<RouteFacts, Failure>> {
        async move {
            let at = self.object(arms);
            let object = at.get().await?;
            if annotation(&object, names::ORIGINAL).is_none() {
                return Err(service::not_adopted(&at));
            }
            let is = service::selector(&object);
            let candidate = arms.candidate.as_deref().map(of_set);
            let candidate_weight = if is == of_set(&arms.stable) {
                Weight::ZERO
            } else if Some(&is) == candidate.as_ref() {
                Weight::FULL
            } else {
                return Err(at.failure(
                    Kind::Failed,
                    format!(
                        "it selects {} (last written by {}), which is neither the stable set {} nor \
                         the candidate",
                        told(&is),
                        written_by(&object, "selector"),
                        arms.stable
                    ),
                ));
            };
            let written_by = written_by(&object, "selector");
            Ok(RouteFacts { candidate_weight, resource_version: service::version(&is), written_by })
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        arms: &'a Arms,
        candidate: Weight,
        expected: Option<Precondition>,
        fence: &'a Fence,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let at = self.object(arms);
            let set = match (candidate, &arms.candidate) {
                (Weight::ZERO, _) => &arms.stable,
                (Weight::FULL, Some(set)) => set,
                (Weight::FULL, None) => {
                    return Err(at.failure(Kind::Refused, "there is no candidate to switch to"));
                }
                _ => {
                    return Err(at
                        .failure(
                            Kind::Refused,
                            format!("a selector is switched whole and cannot give {candidate}"),
                        )
                        .with_help("use `by: replicas`, `blueGreen`, or a route with weights"));
                }
            };
            service::write(&at, arms, (candidate, &of_set(set)), expected, fence).await
        }
        .boxed()
    }

    fn adopt<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<(), Failure>> {
        async move { service::adopt(&self.object(arms), arms).await }.boxed()
    }

    fn follow<'a>(
        &'a self,
        arms: &'a Arms,
        fence: &'a Fence,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        async move { service::follow(&self.object(arms), arms, fence).await }.boxed()
    }

    fn detach<'a>(&'a self, arms: &'a Arms) -> BoxFuture<'a, Result<(), Failure>> {
        async move { service::detach(&self.object(arms)).await }.boxed()
    }
}
