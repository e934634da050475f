//! Custom resources, leadership, rollouts, and what the controller says about itself and its runs.

pub mod adopt;
pub mod api;
pub mod apply;
pub mod conditions;
pub mod events;
pub mod figures;
pub mod install;
pub mod lead;
pub mod manager;
pub mod program;
pub mod resources;
pub mod rollout;
pub mod serve;
pub mod status;

#[cfg(test)]
mod cluster;
#[cfg(test)]
mod stand_in;
