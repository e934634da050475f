//! Gateway API GRPCRoute v1.

use std::sync::Arc;

use super::Provider;
use super::route::GatewayRoute;
use crate::kubernetes::objects::GRPC_ROUTE;

/// Moves weights of a GRPCRoute.
#[must_use]
pub fn provider(client: kube::Client) -> Arc<dyn Provider> {
    Arc::new(GatewayRoute::new(client, GRPC_ROUTE))
}
