//! What the gate on vulnerabilities looks at.

use backout_core::document::Unreadable;
use backout_core::units::Time;

use crate::scan::known_exploited::Catalogue;
use crate::scan::vex::Statements;
use crate::scan::{Image, Report, Unusable};
use crate::waivers::WaiverFile;

/// Which way the release goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A new release takes the place of the stable one.
    Forward,
    /// An earlier release takes the place of the one that serves.
    Back,
}

/// Everything that was read.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// When the gate is asked, in milliseconds since the Unix epoch.
    pub now: Time,
    /// Which way the release goes.
    pub direction: Direction,
    /// The release that is to serve.
    pub release: Scanned,
    /// The release that serves now; none when there is none.
    pub against: Option<Scanned>,
    /// The documents that the policy names under `vex`. They set findings of the release that is to
    /// serve aside, never those of the other.
    pub vex: Vec<Result<Statements, Unusable>>,
    /// The file that the policy names under `waivers`.
    pub waivers: Option<Result<WaiverFile, Unreadable>>,
    /// The file that the policy names under `knownExploited`.
    pub known_exploited: Option<Result<Catalogue, Unusable>>,
}

/// The images of a release, with the reports on them.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// The release's version.
    pub version: String,
    /// Its images.
    pub images: Vec<ScannedImage>,
}

/// An image, with the reports on it.
#[derive(Clone, Debug)]
pub struct ScannedImage {
    /// The image.
    pub image: Image,
    /// Its reports, or why they do not count. What several scanners found counts together.
    pub reports: Vec<Result<Report, Unusable>>,
}
