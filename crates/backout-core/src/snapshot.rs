//! What was observed. Never "the current state": each fact says when it was read, and from where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::release::ReleaseRef;
use crate::units::{Digest, Name, Span, Time, Weight};

/// One of the two releases of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// The release that served when the rollout began.
    Stable,
    /// The release on its way.
    Candidate,
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stable => "stable",
            Self::Candidate => "candidate",
        })
    }
}

/// One value per arm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerArm<T> {
    /// The stable release's.
    pub stable: T,
    /// The candidate's.
    pub candidate: T,
}

impl<T> PerArm<T> {
    /// The value of one arm.
    pub const fn get(&self, arm: Arm) -> &T {
        match arm {
            Arm::Stable => &self.stable,
            Arm::Candidate => &self.candidate,
        }
    }

    /// The value of one arm, to change it.
    pub const fn get_mut(&mut self, arm: Arm) -> &mut T {
        match arm {
            Arm::Stable => &mut self.stable,
            Arm::Candidate => &mut self.candidate,
        }
    }
}

/// A value that may not be known, with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fact<T> {
    /// Read at that time.
    Known {
        /// When it was read.
        as_of: Time,
        /// What was read.
        value: T,
    },
    /// Not known.
    Unknown {
        /// Why not.
        reason: String,
    },
}

impl<T> Fact<T> {
    /// A known fact.
    pub const fn known(as_of: Time, value: T) -> Self {
        Self::Known { as_of, value }
    }

    /// The value, if known.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Known { value, .. } => Some(value),
            Self::Unknown { .. } => None,
        }
    }
}

/// The route, as its object says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteFacts {
    /// Share of the candidate that the route asks for.
    pub candidate_weight: Weight,
    /// Changes with every write.
    pub resource_version: u64,
    /// Who wrote it last.
    pub written_by: String,
}

/// One release's set of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetFacts {
    /// Unique id of the Deployment.
    pub uid: u64,
    /// Changes with every write.
    pub resource_version: u64,
    /// Replicas asked for.
    pub desired: u32,
    /// Replicas ready.
    pub ready: u32,
    /// Digests that the pods run, by container.
    pub running: Arc<BTreeMap<Name, Digest>>,
    /// It is marked as kept evidence of a failure.
    #[serde(default)]
    pub evidence: bool,
    /// Who refused its pods for good, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What its pods wait for, which may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
}

/// Configuration in one environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigFacts {
    /// Commit that Git holds.
    pub git_revision: String,
    /// Commit that runs.
    pub live_revision: String,
    /// Who made the commit in Git.
    pub author: String,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseFacts {
    /// Migrations that are applied, by id.
    pub applied: Arc<BTreeSet<String>>,
    /// The newest backup whose restore was tried, if there is one.
    pub verified_backup: Option<Backup>,
}

/// A backup whose restore was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// How old it is: writes since then would be lost.
    pub age: Span,
    /// How long the tried restore took.
    pub restore_took: Span,
}

/// Whether a release could serve again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetFacts {
    /// The release.
    pub release: ReleaseRef,
    /// Its digests are in the registry.
    pub in_registry: Fact<bool>,
    /// Its signatures verify and today's admission accepts it.
    pub admitted: Fact<bool>,
    /// Its configuration can be restored.
    pub config_restorable: Fact<bool>,
    /// There is room for its replicas.
    pub has_capacity: Fact<bool>,
    /// Vulnerabilities above the policy's line that it would bring back.
    pub reintroduces: Fact<Vec<String>>,
    /// Whether it is the stable arm; another release needs a set of its own first.
    pub is_stable_arm: bool,
}

/// Everything that was observed for one decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// When the observation was complete. No fact is newer.
    pub as_of: Time,
    /// The route.
    pub route: Fact<RouteFacts>,
    /// The sets; `None` when the set does not exist.
    pub sets: PerArm<Fact<Option<SetFacts>>>,
    /// Configuration of the environment.
    pub config: Fact<ConfigFacts>,
    /// The database.
    pub database: Fact<DatabaseFacts>,
    /// Flags that are known to the flag service, by key.
    pub flags: Fact<Arc<BTreeMap<Name, bool>>>,
    /// Versions of the infrastructure modules, by name.
    pub modules: Fact<Arc<BTreeMap<Name, String>>>,
    /// Digests that must not be deployed again.
    pub quarantine: Fact<Arc<BTreeSet<Digest>>>,
    /// The release that is recorded as known good.
    pub known_good: Fact<Name>,
    /// Releases that could serve again, the stable one first, then older ones, newest first.
    pub targets: Vec<TargetFacts>,
}

impl Snapshot {
    /// The set of one arm, if it is known to exist.
    #[must_use]
    pub fn set(&self, arm: Arm) -> Option<&SetFacts> {
        self.sets.get(arm).value().and_then(Option::as_ref)
    }

    /// The same facts, all as of one time. Whoever observes piece by piece gives the time when it
    /// began, so that no fact claims to be newer than it is.
    #[must_use]
    pub fn as_of(mut self, time: Time) -> Self {
        fn stamp<T>(fact: &mut Fact<T>, time: Time) {
            if let Fact::Known { as_of, .. } = fact {
                *as_of = time;
            }
        }
        self.as_of = time;
        stamp(&mut self.route, time);
        stamp(&mut self.sets.stable, time);
        stamp(&mut self.sets.candidate, time);
        stamp(&mut self.config, time);
        stamp(&mut self.database, time);
        stamp(&mut self.flags, time);
        stamp(&mut self.modules, time);
        stamp(&mut self.quarantine, time);
        stamp(&mut self.known_good, time);
        for target in &mut self.targets {
            stamp(&mut target.in_registry, time);
            stamp(&mut target.admitted, time);
            stamp(&mut target.config_restorable, time);
            stamp(&mut target.has_capacity, time);
            stamp(&mut target.reintroduces, time);
        }
        self
    }

    /// The weight that the route asks for, if known.
    #[must_use]
    pub fn weight(&self) -> Option<Weight> {
        self.route.value().map(|route| route.candidate_weight)
    }
}
