//! Gateway API HTTPRoute v1.

super::route::gateway_route!(
    /// Moves weights of an HTTPRoute.
    HttpRoute,
    "HTTPRoute",
    "httproutes"
);
