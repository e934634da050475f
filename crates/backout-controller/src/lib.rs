//! Custom resources, leadership, and what the controller says about itself and its runs.

pub mod events;
pub mod install;
pub mod lead;
pub mod resources;
pub mod status;

#[cfg(test)]
mod cluster;
