//! Names, labels and annotations of the objects that are ours, and of what we note on the user's.

/// Field manager of every write.
pub const MANAGER: &str = "backout";

/// Value of `app.kubernetes.io/managed-by` on every object of ours.
pub const MANAGED_BY: &str = "backout";

/// Label of every object and pod of a set, and of nothing else: the set's name. Services of ours
/// select by it, and metrics carry it, so that it is what `$release` stands for in a query.
pub const RELEASE: &str = "backout.dev/release";

/// Label of every object and pod of a set: the name of the workload, which is the same for all
/// sets of one policy.
pub const WORKLOAD: &str = "backout.dev/workload";

/// Label of every ConfigMap that a run is kept in: the release's name.
pub const RUN: &str = "backout.dev/run";

/// Label of a set that is kept as evidence after it failed.
pub const FAILED: &str = "backout.dev/failed";

/// Label of a route while a rollout moves it, so that GitOps tools can be told to look away.
pub const IN_PROGRESS: &str = "backout.dev/in-progress";

/// Annotation of a route: the fields of ours as the user had them, as JSON, to restore them.
pub const ORIGINAL: &str = "backout.dev/original";

/// Annotation of a route: the candidate's share that was last asked for, in percent.
pub const WEIGHT: &str = "backout.dev/candidate-weight";

/// Annotation of a route: the set that is the candidate.
pub const CANDIDATE: &str = "backout.dev/candidate";

/// Annotation of a route: the set that is the stable release's.
pub const STABLE: &str = "backout.dev/stable";

/// Annotation of a route: the generation of the run that wrote it last. A write of an older
/// generation of the same run is refused.
pub const GENERATION: &str = "backout.dev/generation";

/// Annotation of the user's Deployment: its replicas before it was adopted.
pub const REPLICAS: &str = "backout.dev/replicas";

/// Annotation of an object of a set: the user's object that it was copied from.
pub const COPIED_FROM: &str = "backout.dev/copied-from";

/// Annotation of an object of a set: the policy that it is released by.
pub const POLICY: &str = "backout.dev/policy";

/// Annotation of an object of a set: a hash of what it was made as, without its size, so that a
/// second attempt to create it can tell its own work from another's.
pub const CONTENT: &str = "backout.dev/content";

/// Annotation of a set's Deployment: its autoscaler as JSON. The autoscaler exists only while the
/// set is at full size, and must be the same one every time.
pub const AUTOSCALER: &str = "backout.dev/autoscaler";

/// Annotation of the user's Deployment: the record of the release that it was adopted as, as JSON,
/// so that an adoption that was cut short goes on with the same set.
pub const ADOPTED: &str = "backout.dev/adopted";

/// Annotations of the deployment's context: where a release comes from. The gates read the same list.
pub use backout_gates::names::backout as context;

/// A copy's name: the user's name and the eight characters that end the set's name, cut so that
/// it stays a valid name.
#[must_use]
pub fn copy_name(original: &str, set: &str) -> String {
    const LONGEST: usize = 63;
    let hash = set.rsplit('-').next().unwrap_or(set);
    let room = LONGEST.saturating_sub(hash.len() + 1);
    let kept: String = original.chars().take(room).collect();
    format!("{}-{hash}", kept.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_carry_the_hash_of_the_set() {
        assert_eq!(copy_name("settings", "checkout-1a2b3c4d"), "settings-1a2b3c4d");
        let long = copy_name(&"x".repeat(200), "checkout-1a2b3c4d");
        assert_eq!(long.len(), 63);
        assert!(long.ends_with("-1a2b3c4d"));
    }
}
