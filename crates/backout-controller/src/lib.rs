//! Custom resources, their index and status, and leadership.

pub mod events;
pub mod install;
pub mod resources;

#[cfg(test)]
mod cluster;
