//! The custom resources: their definitions, their status, and how they are read.
//!
//! The bodies of `ReleasePolicy` and `Release` are the very types of the files, so that a file
//! can be applied to a cluster unchanged.

mod definitions;
mod parse;
mod quarantine;
mod rules;
mod status;
mod structural;

pub use definitions::{definition, definitions};
pub use parse::{Invalid, parse_policy, parse_quarantine, parse_release};
pub use quarantine::QuarantineSpec;
pub use status::{
    Condition, ConditionStatus, ConditionType, LastCommand, PolicyStatus, ReleaseStatus,
    SignalStatus,
};

/// API group of the resources.
pub const GROUP: &str = "backout.dev";

/// The only version so far.
pub const VERSION: &str = "v1alpha1";

/// A kind of custom resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// How one workload is released and backed out.
    ReleasePolicy,
    /// An immutable record of what is shipped.
    Release,
    /// A digest that must not be deployed again.
    Quarantine,
}

impl Resource {
    /// Every kind, in the order in which they are printed.
    pub const ALL: [Self; 3] = [Self::ReleasePolicy, Self::Release, Self::Quarantine];

    /// The kind, as objects write it.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::ReleasePolicy => "ReleasePolicy",
            Self::Release => "Release",
            Self::Quarantine => "Quarantine",
        }
    }

    /// The name in addresses and permissions.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::ReleasePolicy => "releasepolicies",
            Self::Release => "releases",
            Self::Quarantine => "quarantines",
        }
    }

    /// What the client needs to address objects of the kind.
    #[must_use]
    pub fn api(self) -> kube::core::ApiResource {
        let kind = kube::core::GroupVersionKind::gvk(GROUP, VERSION, self.kind());
        kube::core::ApiResource::from_gvk_with_plural(&kind, self.plural())
    }
}

#[cfg(test)]
mod tests;
