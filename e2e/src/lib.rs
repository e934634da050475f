//! A real cluster for tests, in namespaces of its own: control plane, pods as processes, and the
//! scenarios that run on them.

pub mod app;
pub mod cluster;
pub mod scenarios;
pub mod webhook;
