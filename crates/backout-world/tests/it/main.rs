//! Tests against a real API server, which run when `BACKOUT_E2E_KUBECONFIG` names a kubeconfig, and
//! against a real Prometheus, which run where it is installed.

mod cluster;
mod prometheus;
mod sets;
mod traffic;
