//! Measurements from Prometheus, or from anything that answers its HTTP API.
//!
//! - [`client`]: asks, within limits of time and size.
//! - [`answer`]: what an answer says.
//! - [`counters`], [`histograms`]: raw samples to what was counted within a window.
//! - [`measure`]: a policy's signals, asked for both releases.
//! - [`explain`]: why a query found nothing.

pub mod answer;
pub mod client;
pub mod counters;
pub mod explain;
pub mod histograms;
pub mod measure;

pub use client::{Access, Auth, Client, Remedy, Secret};
pub use measure::{Asked, Prometheus};
