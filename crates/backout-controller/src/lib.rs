//! Custom resources, their index and status, and leadership.

pub mod events;
pub mod install;
pub mod resources;
pub mod status;

#[cfg(test)]
mod cluster;
