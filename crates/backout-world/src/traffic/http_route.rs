//! Gateway API HTTPRoute v1.

use std::sync::Arc;

use super::Provider;
use super::route::GatewayRoute;
use crate::kubernetes::objects::HTTP_ROUTE;

/// Moves weights of an HTTPRoute.
#[must_use]
pub fn provider(client: kube::Client) -> Arc<dyn Provider> {
    Arc::new(GatewayRoute::new(client, HTTP_ROUTE))
}
