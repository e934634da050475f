//! Tests against a real API server. They run when `BACKOUT_E2E_KUBECONFIG` names a kubeconfig.

mod cluster;
mod sets;
mod traffic;
