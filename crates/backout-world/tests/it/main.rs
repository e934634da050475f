//! Tests against a real API server, which run when `BACKOUT_E2E_KUBECONFIG` names a kubeconfig, and
//! against a real Prometheus and a real registry, which run where they are installed.

mod cluster;
mod prometheus;
mod registry;
mod sets;
mod signatures;
mod traffic;
