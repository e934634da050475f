//! `Release`: an immutable record of what is shipped.

pub mod validate;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::{ApiVersion, Metadata};
use crate::units::{Digest, Name};

/// The kind of a release document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReleaseKind {
    /// The only value.
    #[default]
    Release,
}

/// An immutable record of what is shipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// Always `backout.dev/v1alpha1`.
    pub api_version: ApiVersion,
    /// Always `Release`.
    pub kind: ReleaseKind,
    /// Name and namespace.
    pub metadata: Metadata,
    /// The record.
    pub spec: ReleaseSpec,
}

/// The body of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseSpec {
    /// The workload that it is a release of.
    pub workload: Name,
    /// The version that people use for it.
    pub version: String,
    /// Container images, by the digest that the build made.
    pub images: Vec<Image>,
    /// The configuration that it is shipped with.
    pub config: Configuration,
    /// All migrations that its schema consists of, oldest first.
    #[serde(default)]
    pub migrations: Vec<Migration>,
    /// Feature flags and how this release wants them.
    #[serde(default)]
    pub flags: Vec<Flag>,
    /// Infrastructure modules that it runs on, each after the ones it depends on.
    #[serde(default)]
    pub infrastructure: Vec<Module>,
    /// Bills of materials of the images: SPDX or CycloneDX files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sboms: Vec<Attachment>,
    /// Reports of vulnerability scanners on the images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scans: Vec<Attachment>,
    /// Where it comes from.
    pub context: Context,
}

/// One container image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Container name.
    pub name: Name,
    /// Registry and repository, without tag.
    pub repository: String,
    /// The tag that people use for it.
    pub tag: String,
    /// The digest that the build made: of the index, when the build made one for several platforms.
    pub digest: Digest,
    /// What the index lists for each platform, without attestations. Empty when the build made one
    /// image only, or when nobody asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<PlatformImage>,
}

/// The image of one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlatformImage {
    /// Operating system and processor, such as `linux/amd64` or `linux/arm64/v8`.
    pub platform: String,
    /// Its digest.
    pub digest: Digest,
}

/// A file that says something about an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attachment {
    /// The container name of the image. Default: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Name>,
    /// The file, relative to the policy.
    pub file: String,
    /// SHA-256 of the file, when it was recorded: a file that was changed since is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// The configuration that a release is shipped with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Commit of the configuration repository.
    pub revision: String,
    /// Version of the chart.
    pub chart_version: String,
    /// SHA-256 over the files of the chart, each with its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_digest: Option<Digest>,
    /// What the release brings for single environments instead of what the policy names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentConfig>,
}

/// The configuration of one environment, as a release brings it. What is left out is as the policy
/// says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvironmentConfig {
    /// The environment's name.
    pub name: Name,
    /// Folder of the chart, relative to the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<String>,
    /// Values files, relative to the policy; later ones win.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<String>>,
    /// SHA-256 over the values files, in their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_digest: Option<Digest>,
    /// The manifests that were rendered of chart and values, relative to the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<String>,
}

/// What a migration means for the release before it. The names follow the classes OK, L, C, W, R,
/// D and X of rollback safety: the question is not whether the migration locks, but whether the
/// previous release still works afterwards.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum PreviousRelease {
    /// It works unchanged (OK).
    Works,
    /// It works until the new release has written data of the new shape (L).
    WorksUntilWritten,
    /// Some of its writes fail, depending on data (C).
    DependsOnData,
    /// Its writes fail (W).
    WritesFail,
    /// Its reads fail (R).
    ReadsFail,
    /// Data that it needs is destroyed (D).
    DataDestroyed,
    /// Not known (X). The default, because unknown is never good.
    #[default]
    Unknown,
}

impl fmt::Display for PreviousRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Works => "the previous release works unchanged",
            Self::WorksUntilWritten => {
                "the previous release cannot read what the new release writes"
            }
            Self::DependsOnData => "some writes of the previous release fail, depending on data",
            Self::WritesFail => "writes of the previous release fail",
            Self::ReadsFail => "reads of the previous release fail",
            Self::DataDestroyed => "data that the previous release needs is destroyed",
            Self::Unknown => "it is not known whether the previous release still works",
        })
    }
}

/// One schema migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Migration {
    /// Its id in the migration tool.
    pub id: String,
    /// Its file, relative to the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What it means for the release before. Default: unknown.
    #[serde(default)]
    pub previous_release: PreviousRelease,
    /// The flag without which the new release leaves the new shape alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guarded_by: Option<Name>,
}

/// One feature flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Flag {
    /// Its key.
    pub key: Name,
    /// Whether this release wants it on.
    pub enabled: bool,
}

/// One infrastructure module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Module {
    /// Its name.
    pub name: Name,
    /// Where it comes from.
    pub source: String,
    /// Its pinned version.
    pub version: String,
    /// Whether moving to this version destroys or recreates something that bears data.
    #[serde(default)]
    pub destroys_data: bool,
}

/// Where a release comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Context {
    /// Commit that was built.
    pub git_sha: String,
    /// Branch or tag that was built.
    pub git_ref: String,
    /// Repository that was built.
    pub repository: String,
    /// Number of the build.
    pub build_number: u64,
    /// Page of the build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_url: Option<String>,
    /// When the build ended, RFC 3339, in UTC.
    pub built_at: String,
}

/// A release, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRef {
    /// Name of the record.
    pub name: Name,
    /// Version that people use.
    pub version: String,
    /// Name of its set of objects: the workload and a short hash of the record. This is what
    /// `$release` stands for in a query.
    pub set: String,
}

impl fmt::Display for ReleaseRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.version)
    }
}

/// How an infrastructure module differs between two releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleChange {
    /// It is new: going back leaves it in place.
    Added,
    /// Its version changed in place: going back pins the former version again.
    Updated,
    /// It destroys or recreates something that bears data: a point of no return.
    Destructive,
    /// It is gone.
    Removed,
}

impl Release {
    /// The release, by name.
    #[must_use]
    pub fn reference(&self) -> ReleaseRef {
        ReleaseRef {
            name: self.metadata.name.clone(),
            version: self.spec.version.clone(),
            set: self.set_name(),
        }
    }

    /// Name of the release's set of objects: the workload and eight characters of a hash over the
    /// whole record.
    #[must_use]
    pub fn set_name(&self) -> String {
        // A record holds only strings, numbers and lists, which always serialise.
        let canonical = serde_json::to_vec(&self.spec).unwrap_or_default();
        let digest = Digest::of_bytes(&canonical);
        format!("{}-{}", self.spec.workload, &digest.short()[..8])
    }

    /// Migrations of this release that `stable` does not have.
    pub fn new_migrations<'a>(&'a self, stable: &'a Self) -> impl Iterator<Item = &'a Migration> {
        self.spec
            .migrations
            .iter()
            .filter(|new| !stable.spec.migrations.iter().any(|old| old.id == new.id))
    }

    /// Flags that this release wants otherwise than `stable`, as this release wants them. A flag that
    /// a release does not list is off.
    #[must_use]
    pub fn changed_flags(&self, stable: &Self) -> Vec<Flag> {
        let keys: std::collections::BTreeSet<&Name> =
            self.spec.flags.iter().chain(&stable.spec.flags).map(|flag| &flag.key).collect();
        keys.into_iter()
            .map(|key| Flag { key: key.clone(), enabled: self.wants_flag(key) })
            .filter(|flag| flag.enabled != stable.wants_flag(&flag.key))
            .collect()
    }

    /// Whether the release wants the flag on.
    #[must_use]
    pub fn wants_flag(&self, key: &Name) -> bool {
        self.spec.flags.iter().any(|flag| &flag.key == key && flag.enabled)
    }

    /// The module of that name.
    #[must_use]
    pub fn module(&self, name: &Name) -> Option<&Module> {
        self.spec.infrastructure.iter().find(|module| &module.name == name)
    }

    /// Modules that differ from `stable`, in this release's order, removed ones last.
    #[must_use]
    pub fn changed_modules<'a>(&'a self, stable: &'a Self) -> Vec<(&'a Module, ModuleChange)> {
        let mut changes = Vec::new();
        for module in &self.spec.infrastructure {
            match stable.module(&module.name) {
                None => changes.push((module, ModuleChange::Added)),
                Some(old) if old.version == module.version && old.source == module.source => {}
                Some(_) if module.destroys_data => {
                    changes.push((module, ModuleChange::Destructive));
                }
                Some(_) => changes.push((module, ModuleChange::Updated)),
            }
        }
        for old in &stable.spec.infrastructure {
            if self.module(&old.name).is_none() {
                changes.push((old, ModuleChange::Removed));
            }
        }
        changes
    }

    /// Whether both releases run the same images.
    #[must_use]
    pub fn same_images(&self, other: &Self) -> bool {
        let digests = |release: &Self| {
            release
                .spec
                .images
                .iter()
                .map(|image| (image.name.clone(), image.digest.clone()))
                .collect::<std::collections::BTreeMap<_, _>>()
        };
        digests(self) == digests(other)
    }
}
