//! Tests against a real Prometheus, and against servers that behave badly.

mod access;
mod measures;
mod server;
