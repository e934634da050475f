//! Gateway API GRPCRoute v1.

super::route::gateway_route!(
    /// Moves weights of a GRPCRoute.
    GrpcRoute,
    "GRPCRoute",
    "grpcroutes"
);
