//! A real cluster for tests, in namespaces of its own: control plane, pods as processes, a proxy, a
//! Prometheus, load, and the scenarios that run on them.

pub mod app;
pub mod cluster;
pub mod count;
pub mod load;
pub mod metrics;
pub mod network;
pub mod oracles;
pub mod programs;
pub mod scale;
pub mod scenarios;
pub mod webhook;
