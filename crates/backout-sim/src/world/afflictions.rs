//! What goes wrong, apart from everything else.

use backout_core::snapshot::Arm;
use backout_core::units::{Digest, Name};

/// Whether the data plane follows the route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flip {
    /// It does.
    #[default]
    Works,
    /// It stays where it is.
    Stuck,
    /// It gives only this part of what was asked for, in parts per million.
    Part(u32),
}

/// When an ailment shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// While the flag is on.
    FlagOn(Name),
    /// While the module has this version.
    ModuleAt(Name, String),
    /// While the environment runs this commit.
    ConfigAt(String),
}

/// Something that makes requests fail or slow down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ailment {
    /// The arm; both when absent.
    pub arm: Option<Arm>,
    /// Requests that fail, in parts per million.
    pub errors_ppm: u32,
    /// Requests that become slow, in parts per million.
    pub slow_ppm: u32,
    /// Capacity that is used up besides the load, in parts per million.
    pub level_ppm: u32,
    /// When it shows.
    pub when: When,
}

/// Everything that goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Afflictions {
    /// Failing and slow requests.
    pub ailments: Vec<Ailment>,
    /// The candidate's tags point to this digest.
    pub tag_moved: Option<Digest>,
    /// The candidate's image carries no signature.
    pub unsigned: bool,
    /// The environment's values are older than the chart.
    pub old_values: bool,
    /// The candidate's pods never get ready.
    pub never_ready: bool,
    /// The smoke test fails.
    pub smoke_fails: bool,
    /// Whether the data plane follows the route.
    pub flip: Flip,
    /// This label of the candidate's series got another name.
    pub relabelled: Option<(String, String)>,
    /// Traffic is only this part of what it was, in parts per million.
    pub thin_ppm: Option<u32>,
    /// So many requests to the candidate fail every minute, whatever the traffic.
    pub stray_errors_per_minute: u32,
    /// The GitOps agent puts the candidate's weight back as long as Git holds the candidate's
    /// configuration.
    pub gitops_owns_route: bool,
}
